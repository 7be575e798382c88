"""Adding users, logging them in, tokens for their scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from gateway.errors import NotFoundError, UsageError
from gateway.model import Role
from gateway.operations.users import (
    TOKEN_DAYS_MAX,
    TOKEN_NAME_MAX,
    add_user,
    check_user_name,
    create_token,
    digest,
    log_in,
    set_password,
)
from gateway.storage.catalogue import FILE_NAME, Catalogue

PASSWORD = "correct horse battery"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """A catalogue with the admin ada."""
    with Catalogue(tmp_path) as catalogue:
        assert add_user(catalogue, "ada", Role.ADMIN, PASSWORD) is None
        yield catalogue


def bearer_of(catalogue: Catalogue, token: str, now_ms: int = 0) -> str | None:
    """Whom a token stands for."""
    found = catalogue.users.bearer(digest(token), now_ms=now_ms)
    return None if found is None else found.user


def test_a_log_in_gives_a_token_for_so_many_hours(catalogue: Catalogue) -> None:
    found = log_in(catalogue, "ada", PASSWORD, hours=2)
    assert found is not None
    assert (found.user, found.role) == ("ada", Role.ADMIN)
    assert bearer_of(catalogue, found.token, found.expires_ms - 1) == "ada"
    assert bearer_of(catalogue, found.token, found.expires_ms) is None
    assert found.token not in repr(found)


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("eve", PASSWORD), ("ADA", PASSWORD), ("", "")])
def test_a_wrong_name_or_password_gives_none(catalogue: Catalogue, name: str, password: str) -> None:
    assert log_in(catalogue, name, password, hours=1) is None


def test_no_password_and_no_token_is_in_the_file(catalogue: Catalogue, tmp_path: Path) -> None:
    found = log_in(catalogue, "ada", PASSWORD, hours=1)
    made = create_token(catalogue, "ada", "script", Role.VIEWER, days=None)
    assert found is not None
    content = b"".join(file.read_bytes() for file in tmp_path.glob(f"{FILE_NAME}*"))
    assert b"script" in content
    for secret in (PASSWORD, found.token, made.token):
        assert secret.encode() not in content


def test_a_hash_of_old_parameters_is_renewed_by_a_log_in(catalogue: Catalogue) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    catalogue.users.set_password("ada", old)
    assert log_in(catalogue, "ada", "wrong", hours=1) is None
    assert catalogue.users.password_hash("ada") == old
    assert log_in(catalogue, "ada", PASSWORD, hours=1) is not None
    renewed = catalogue.users.password_hash("ada")
    assert renewed is not None
    assert renewed != old
    assert log_in(catalogue, "ada", PASSWORD, hours=1) is not None
    assert catalogue.users.password_hash("ada") == renewed


def test_a_password_is_generated_where_none_is_given(catalogue: Catalogue) -> None:
    generated = add_user(catalogue, "vic", Role.VIEWER, None)
    assert generated is not None
    assert log_in(catalogue, "vic", generated, hours=1) is not None
    another = set_password(catalogue, "vic", None)
    assert another not in (None, generated)
    assert log_in(catalogue, "vic", generated, hours=1) is None
    assert log_in(catalogue, "vic", str(another), hours=1) is not None


def test_a_bad_password_is_refused_and_changes_nothing(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError):
        add_user(catalogue, "vic", Role.VIEWER, "short")
    with pytest.raises(UsageError):
        set_password(catalogue, "ada", "short")
    assert [user.name for user in catalogue.users.all()] == ["ada"]
    assert log_in(catalogue, "ada", PASSWORD, hours=1) is not None
    with pytest.raises(NotFoundError):
        set_password(catalogue, "eve", PASSWORD)


@pytest.mark.parametrize("name", ["a", "ada.lovelace@example.com", "A-1_b", "x" * 64])
def test_these_can_be_users_names(name: str) -> None:
    check_user_name(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", ".a", "a/b", "é", "a\n", "x" * 65])
def test_these_can_not(name: str) -> None:
    with pytest.raises(UsageError, match="can't be a user's name"):
        check_user_name(name)


@pytest.mark.parametrize("days", [1, TOKEN_DAYS_MAX])
def test_a_token_lives_for_so_many_days(catalogue: Catalogue, days: int) -> None:
    made = create_token(catalogue, "ada", "x" * TOKEN_NAME_MAX, Role.ADMIN, days=days)
    assert made.stored.expires_ms == made.stored.created_ms + days * 86_400_000
    assert bearer_of(catalogue, made.token, made.stored.created_ms) == "ada"
    assert made.token not in repr(made)


@pytest.mark.parametrize("days", [-1, 0, TOKEN_DAYS_MAX + 1])
def test_a_tokens_life_has_bounds(catalogue: Catalogue, days: int) -> None:
    with pytest.raises(UsageError, match=f"can't live for {days} days"):
        create_token(catalogue, "ada", "script", Role.ADMIN, days=days)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "x" * (TOKEN_NAME_MAX + 1)])
def test_a_tokens_name_has_bounds(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(UsageError, match="can't be a token's name"):
        create_token(catalogue, "ada", name, Role.ADMIN, days=None)


def test_a_token_that_is_no_text_that_can_be_encoded_is_nobodys(catalogue: Catalogue) -> None:
    assert bearer_of(catalogue, "\udcff") is None
