"""Users, log-ins and tokens in the catalogue."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import NotFoundError, UsageError
from gateway.model import Role
from gateway.storage import user_store
from gateway.storage.catalogue import Catalogue
from gateway.storage.user_store import (
    FIRST_USER,
    LOG_INS_MAX,
    Bearer,
    NewLogIn,
    StoredToken,
    UserStore,
    first_password_file,
)

HASH = "$argon2id$of-a-password"
NOW_MS = 1_700_000_000_000


@pytest.fixture
def users(tmp_path: Path) -> Iterator[UserStore]:
    """A store with the admin ada and the viewer vic."""
    with Catalogue(tmp_path) as catalogue:
        catalogue.users.add("ada", Role.ADMIN, HASH)
        catalogue.users.add("vic", Role.VIEWER, HASH)
        yield catalogue.users


def log_in(users: UserStore, user: str = "ada", digest: bytes = b"d", at_ms: int = NOW_MS, for_ms: int = 1000) -> bool:
    return users.add_log_in(NewLogIn(user, HASH, digest, at_ms, at_ms + for_ms))


def token(id: str = "t", user: str = "ada", role: Role = Role.ADMIN, expires_ms: int | None = None) -> StoredToken:
    return StoredToken(id, "for tests", user, role, NOW_MS, expires_ms)


@pytest.mark.parametrize(
    "use",
    [
        lambda users: log_in(users, FIRST_USER, b"first"),
        lambda users: users.set_password(FIRST_USER, HASH),
        lambda users: users.remove(FIRST_USER),
    ],
)
def test_the_first_password_is_deleted_when_it_was_used_or_is_another_one(
    users: UserStore, tmp_path: Path, use: Callable[[UserStore], object]
) -> None:
    users.add(FIRST_USER, Role.ADMIN, HASH)
    file = first_password_file(tmp_path)
    file.write_text("secret\n")
    assert log_in(users, "ada")
    users.set_password("vic", HASH)
    assert not users.add_log_in(NewLogIn(FIRST_USER, "wrong", b"w", NOW_MS, NOW_MS + 1))
    assert file.exists()
    use(users)
    assert not file.exists()


def test_a_first_password_that_cannot_be_deleted_is_said(
    users: UserStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users.add(FIRST_USER, Role.ADMIN, HASH)
    first_password_file(tmp_path).mkdir()
    assert log_in(users, FIRST_USER)
    assert "can't be deleted, and has a password in it" in caplog.text


def test_users_are_listed_by_name_without_their_hashes(users: UserStore) -> None:
    assert [(user.name, user.role) for user in users.all()] == [("ada", Role.ADMIN), ("vic", Role.VIEWER)]
    assert HASH not in repr(users.all())
    assert users.get("vic").role is Role.VIEWER
    assert users.password_hash("vic") == HASH
    assert users.password_hash("eve") is None


def test_a_name_is_given_once(users: UserStore) -> None:
    with pytest.raises(UsageError, match="there is a user ada already"):
        users.add("ada", Role.VIEWER, "other")
    assert users.password_hash("ada") == HASH


def test_the_number_of_users_is_bounded(users: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_store, "USERS_MAX", 3)
    users.add("third", Role.VIEWER, HASH)
    with pytest.raises(UsageError, match="there are 3 users already"):
        users.add("fourth", Role.VIEWER, HASH)


def test_the_first_user_is_added_where_there_is_none_alone(tmp_path: Path, users: UserStore) -> None:
    assert not users.add_first("admin", HASH)
    with Catalogue(tmp_path / "other") as catalogue:
        assert not catalogue.users.exist()
        assert catalogue.users.add_first("admin", HASH)
        assert catalogue.users.exist()
        assert catalogue.users.get("admin").role is Role.ADMIN
        assert not catalogue.users.add_first("again", HASH)


def test_the_last_admin_stays_an_admin(users: UserStore) -> None:
    with pytest.raises(UsageError, match="ada is the only admin"):
        users.remove("ada")
    with pytest.raises(UsageError, match="ada is the only admin"):
        users.set_role("ada", Role.VIEWER)
    users.set_role("ada", Role.ADMIN)
    users.set_role("vic", Role.ADMIN)
    users.remove("ada")
    assert [user.name for user in users.all()] == ["vic"]


def test_what_is_asked_of_nobody_is_not_found(users: UserStore) -> None:
    for action in (
        lambda: users.get("eve"),
        lambda: users.remove("eve"),
        lambda: users.set_role("eve", Role.VIEWER),
        lambda: users.set_password("eve", HASH),
        lambda: users.add_token(token(user="eve"), b"d"),
    ):
        with pytest.raises(NotFoundError, match="there is no user eve"):
            action()
    with pytest.raises(NotFoundError, match="there is no API token t"):
        users.remove_token("t")


def test_a_log_in_is_good_until_its_end(users: UserStore) -> None:
    assert log_in(users)
    assert users.bearer(b"d", now_ms=NOW_MS + 999) == Bearer("ada", Role.ADMIN, "log-in", NOW_MS + 1000)
    assert users.bearer(b"d", now_ms=NOW_MS + 1000) is None
    assert users.bearer(b"other", now_ms=NOW_MS) is None


def test_a_log_in_ends_when_it_is_told_to(users: UserStore) -> None:
    log_in(users)
    log_in(users, digest=b"e")
    users.remove_log_in(b"d")
    users.remove_log_in(b"d")
    assert users.bearer(b"d", now_ms=NOW_MS) is None
    assert users.bearer(b"e", now_ms=NOW_MS) is not None


def test_a_log_in_by_a_password_that_is_another_meanwhile_is_none(users: UserStore) -> None:
    users.set_password("ada", "other")
    assert not log_in(users)
    assert not log_in(users, "eve")
    assert users.bearer(b"d", now_ms=NOW_MS) is None


def test_another_password_ends_all_log_ins_but_the_one_that_is_to_be_kept(users: UserStore) -> None:
    for digest in (b"1", b"2", b"3"):
        log_in(users, digest=digest)
    log_in(users, "vic", b"4")
    users.add_token(token(), b"5")
    users.set_password("ada", "other", keep=b"2")
    good = [digest for digest in (b"1", b"2", b"3", b"4", b"5") if users.bearer(digest, now_ms=NOW_MS)]
    assert good == [b"2", b"4", b"5"]
    users.set_password("ada", "another")
    assert users.bearer(b"2", now_ms=NOW_MS) is None


def test_the_same_password_as_another_hash_ends_nothing_and_does_not_undo_a_change(users: UserStore) -> None:
    log_in(users)
    users.renew_hash("ada", old=HASH, new="newer")
    assert users.password_hash("ada") == "newer"
    assert users.bearer(b"d", now_ms=NOW_MS) is not None
    users.renew_hash("ada", old=HASH, new="from before")
    assert users.password_hash("ada") == "newer"


def test_of_too_many_log_ins_the_oldest_goes_and_those_that_are_over_too(users: UserStore, tmp_path: Path) -> None:
    log_in(users, digest=b"over", at_ms=NOW_MS - 2000)
    log_in(users, "vic", b"vics")
    for number in range(LOG_INS_MAX + 1):
        log_in(users, digest=b"%d" % number, at_ms=NOW_MS + number)
    assert users.bearer(b"0", now_ms=NOW_MS) is None
    assert users.bearer(b"1", now_ms=NOW_MS) is not None
    assert users.bearer(b"%d" % LOG_INS_MAX, now_ms=NOW_MS) is not None
    assert users.bearer(b"vics", now_ms=NOW_MS) is not None
    with closing(sqlite3.connect(tmp_path / "catalogue.db")) as connection:
        assert connection.execute("SELECT count(*) FROM log_ins").fetchone() == (LOG_INS_MAX + 1,)


@pytest.mark.parametrize(
    ("users_role", "own_role", "role"),
    [
        (Role.ADMIN, Role.ADMIN, Role.ADMIN),
        (Role.ADMIN, Role.VIEWER, Role.VIEWER),
        (Role.VIEWER, Role.ADMIN, Role.VIEWER),
        (Role.VIEWER, Role.VIEWER, Role.VIEWER),
    ],
)
def test_a_token_may_do_no_more_than_its_user(users: UserStore, users_role: Role, own_role: Role, role: Role) -> None:
    users.set_role("vic", users_role)
    users.add_token(token(user="vic", role=own_role), b"d")
    assert users.bearer(b"d", now_ms=NOW_MS) == Bearer("vic", role, "token", None)


def test_a_token_is_good_until_its_end_or_for_ever(users: UserStore) -> None:
    users.add_token(token("a", expires_ms=NOW_MS + 5), b"a")
    users.add_token(token("b"), b"b")
    assert users.bearer(b"a", now_ms=NOW_MS + 4) is not None
    assert users.bearer(b"a", now_ms=NOW_MS + 5) is None
    assert users.bearer(b"b", now_ms=1 << 62) is not None


def test_a_revoked_token_is_good_for_nothing(users: UserStore) -> None:
    users.add_token(token(), b"d")
    assert users.tokens() == [token()]
    users.remove_token("t")
    assert users.tokens() == []
    assert users.bearer(b"d", now_ms=NOW_MS) is None


def test_the_number_of_tokens_is_bounded_and_those_that_are_over_go(
    users: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_store, "TOKENS_MAX", 2)
    users.add_token(token("over", expires_ms=NOW_MS), b"1")
    users.add_token(token("a"), b"2")
    users.add_token(token("b"), b"3")
    with pytest.raises(UsageError, match="there are 2 API tokens already"):
        users.add_token(token("c"), b"4")


def test_with_a_user_go_their_log_ins_and_tokens(users: UserStore) -> None:
    log_in(users, "vic", b"1")
    users.add_token(token(user="vic"), b"2")
    users.remove("vic")
    users.add("vic", Role.ADMIN, HASH)
    assert users.bearer(b"1", now_ms=NOW_MS) is None
    assert users.bearer(b"2", now_ms=NOW_MS) is None
    assert users.tokens() == []
