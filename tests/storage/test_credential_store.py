"""The credentials in the catalogue: pre-shared keys and what is trusted, and how other processes hear of changes."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.errors import NotFoundError, UsageError
from gateway.storage.catalogue import Catalogue
from gateway.storage.catalogue_file import REMOVALS_KEPT
from gateway.storage.credential_store import CredentialStore, PskRemovals, Trusted, TrustedKind


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path) as catalogue:
        yield catalogue


@pytest.fixture
def store(catalogue: Catalogue) -> CredentialStore:
    return catalogue.credentials


def trusted(name: str, *, der: bytes | None = None, kind: TrustedKind = "ca", added_ms: int = 1) -> Trusted:
    der = name.encode() if der is None else der
    return Trusted(kind, name, sha256(der).hexdigest(), der, added_ms)


# -- pre-shared keys -------------------------------------------------------------------------------------


def test_a_key_comes_back_as_it_was_given(store: CredentialStore, tmp_path: Path) -> None:
    store.add_psk("Zähler:1", b"\x00sealed\xff")
    assert store.psk("Zähler:1") == b"\x00sealed\xff"
    with Catalogue(tmp_path) as other:
        assert other.credentials.psk("Zähler:1") == b"\x00sealed\xff"


@pytest.mark.parametrize("identity", ["zähler", "Zähler ", "", "Z%", "Zähle", "Z\x00"])
def test_an_identity_is_found_to_the_letter_or_not_at_all(store: CredentialStore, identity: str) -> None:
    store.add_psk("Zähler", b"1")
    assert store.psk(identity) is None


def test_whether_there_is_any_key_is_known(store: CredentialStore) -> None:
    assert not store.has_psks()
    store.add_psk("a", b"1")
    assert store.has_psks()
    store.remove_psk("a")
    assert not store.has_psks()


def test_an_identity_with_a_key_gets_another_only_where_that_is_wished(store: CredentialStore) -> None:
    store.add_psk("a", b"1")
    with pytest.raises(UsageError, match="identity a has a pre-shared key already") as raised:
        store.add_psk("a", b"2")
    assert "--replace" in raised.value.hint
    assert store.psk("a") == b"1"
    store.add_psk("a", b"2", replace=True)
    store.add_psk("b", b"3", replace=True)
    assert (store.psk("a"), store.psk("b")) == (b"2", b"3")


def test_many_keys_are_kept_together_or_not_at_all(store: CredentialStore) -> None:
    store.add_psk("b", b"old")
    with pytest.raises(UsageError, match="identity b has"):
        store.add_psks([("a", b"1"), ("b", b"2")])
    assert store.psk("a") is None
    assert store.add_psks([("a", b"1"), ("b", b"2")], replace=True) == 2
    assert store.psk("b") == b"2"
    assert store.add_psks([]) == 0


def test_identities_are_listed_by_name_with_their_age_and_no_key(store: CredentialStore) -> None:
    store.add_psks([(name, b"secret") for name in ("meter-2", "METER-1", "pump_1", "pump%")])
    listed = store.psks()
    assert [psk.identity for psk in listed] == ["METER-1", "meter-2", "pump%", "pump_1"]
    assert all(psk.added_ms > 1_700_000_000_000 for psk in listed)
    assert "secret" not in repr(listed)


def test_a_list_can_be_searched_and_is_as_long_as_wished(store: CredentialStore) -> None:
    store.add_psks([(name, b"1") for name in ("meter-2", "meter-1", "pump_1", "pump%")])
    assert [psk.identity for psk in store.psks(search="ter-")] == ["meter-1", "meter-2"]
    assert [psk.identity for psk in store.psks(search="%")] == ["pump%"]
    assert [psk.identity for psk in store.psks(search="_")] == ["pump_1"]
    assert [psk.identity for psk in store.psks(limit=1)] == ["meter-1"]
    assert [psk.identity for psk in store.psks(limit=4)] == [psk.identity for psk in store.psks(limit=5)]
    assert store.psks(limit=0) == []


def test_a_list_goes_on_behind_an_identity(store: CredentialStore) -> None:
    store.add_psks([(name, b"sealed") for name in ("a", "b", "ba", "c")])
    assert [psk.identity for psk in store.psks(after="b")] == ["ba", "c"]
    assert [psk.identity for psk in store.psks(after="a", search="b", limit=1)] == ["b"]
    assert store.psks(after="c") == []


def test_removing_takes_all_that_are_named_or_none(store: CredentialStore) -> None:
    store.add_psks([(name, b"1") for name in "abc"])
    with pytest.raises(NotFoundError, match="no pre-shared key of d") as raised:
        store.remove_psk("a", "d")
    assert "gateway psk list" in raised.value.hint
    store.remove_psk("a", "c")
    assert [psk.identity for psk in store.psks()] == ["b"]


def test_no_file_of_the_catalogue_holds_a_key(store: CredentialStore, tmp_path: Path) -> None:
    sealer = PskSealer(KeyFile.open(tmp_path / "elsewhere" / "gateway.key"))
    keys = [bytes([number]) + b"<a pre-shared key>" for number in range(50)]
    for number, key in enumerate(keys):
        store.add_psk(f"device-{number}", sealer.seal(f"device-{number}", key))
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert "catalogue.db-wal" in files
    assert any(b"device-49" in content for content in files.values())
    for content in files.values():
        for key in keys:
            assert key not in content
            assert key.hex().encode() not in content.lower()


# -- removals --------------------------------------------------------------------------------------------


def test_removed_and_replaced_identities_are_told_once(store: CredentialStore) -> None:
    start = store.psk_removals(0)
    assert start == PskRemovals(0, frozenset())
    store.add_psks([(name, b"1") for name in "abcd"])
    assert store.psk_removals(start.position) == start
    store.remove_psk("a", "b")
    store.add_psk("c", b"2", replace=True)
    store.add_psk("e", b"1", replace=True)
    first = store.psk_removals(start.position)
    assert first.identities == frozenset({"a", "b", "c"})
    assert store.psk_removals(first.position) == PskRemovals(first.position, frozenset())
    store.add_psk("a", b"3")
    store.remove_psk("a")
    assert store.psk_removals(first.position).identities == frozenset({"a"})
    assert store.psk_removals(start.position).identities == frozenset({"a", "b", "c"})


def test_what_was_rolled_back_is_no_removal(store: CredentialStore) -> None:
    store.add_psk("a", b"1")
    with pytest.raises(NotFoundError):
        store.remove_psk("a", "b")
    assert store.psk_removals(0) == PskRemovals(0, frozenset())


def test_another_process_hears_of_a_removal(store: CredentialStore, tmp_path: Path) -> None:
    store.add_psk("a", b"1")
    with Catalogue(tmp_path) as reader:
        version = reader.data_version()
        position = reader.credentials.psk_removals(0).position
        store.remove_psk("a")
        assert reader.data_version() != version
        assert reader.credentials.psk_removals(position).identities == frozenset({"a"})
        assert reader.credentials.psk("a") is None


@pytest.mark.parametrize(
    ("removals", "reaches"), [(REMOVALS_KEPT - 1, True), (REMOVALS_KEPT, True), (REMOVALS_KEPT + 1, False)]
)
def test_the_log_reaches_back_as_far_as_it_is_kept(store: CredentialStore, removals: int, reaches: bool) -> None:
    names = [f"device-{number}" for number in range(removals)]
    store.add_psks((name, b"1") for name in names)
    store.remove_psk(*names)
    told = store.psk_removals(0)
    assert told == PskRemovals(removals, frozenset(names) if reaches else None)
    assert store.psk_removals(removals - 1) == PskRemovals(removals, frozenset(names[-1:]))


def test_a_position_of_another_catalogue_asks_for_each(store: CredentialStore) -> None:
    assert store.psk_removals(7) == PskRemovals(0, None)


# -- trusted ---------------------------------------------------------------------------------------------


def test_what_is_trusted_comes_back_by_name(store: CredentialStore, tmp_path: Path) -> None:
    root, device, key = trusted("Root"), trusted("Gerät 1", kind="device"), trusted("key", kind="key", added_ms=5)
    store.add_trusted(root, key)
    store.add_trusted(device)
    assert store.trusted() == [device, root, key]
    with Catalogue(tmp_path) as other:
        assert other.credentials.trusted() == [device, root, key]


def test_a_name_and_a_certificate_are_trusted_once(store: CredentialStore) -> None:
    root = trusted("Root")
    store.add_trusted(root)
    with pytest.raises(UsageError, match="Root again is trusted already, as Root") as raised:
        store.add_trusted(trusted("other"), trusted("Root again", der=root.der))
    assert "gateway trust remove" in raised.value.hint
    with pytest.raises(UsageError, match="another trusted certificate or key is named Root") as raised:
        store.add_trusted(trusted("Root", der=b"another"))
    assert "--name" in raised.value.hint
    assert store.trusted() == [root]


@pytest.mark.parametrize("digits", [8, 16, 64])
def test_it_is_removed_by_name_or_by_the_beginning_of_its_fingerprint(store: CredentialStore, digits: int) -> None:
    root, other = trusted("Root"), trusted("other")
    store.add_trusted(root, other)
    fingerprint = root.fingerprint[:digits]
    with_colons = ":".join(fingerprint[at : at + 2] for at in range(0, digits, 2)).upper()
    for title in ("Root", fingerprint, with_colons):
        assert store.remove_trusted(title) == root
        assert store.trusted() == [other]
        store.add_trusted(root)


def test_a_name_outranks_a_fingerprint(store: CredentialStore) -> None:
    root = trusted("Root")
    namesake = trusted(root.fingerprint)
    store.add_trusted(root, namesake)
    assert store.remove_trusted(root.fingerprint) == namesake
    assert store.remove_trusted(root.fingerprint) == root


def test_what_is_not_there_is_an_error_that_lists_what_is(store: CredentialStore) -> None:
    with pytest.raises(NotFoundError, match="the name or fingerprint Root") as raised:
        store.remove_trusted("Root")
    assert "gateway trust add" in raised.value.hint
    root = trusted("Root")
    store.add_trusted(root)
    for title in ("root", "", root.fingerprint[:7], "%", root.fingerprint + "0"):
        with pytest.raises(NotFoundError) as raised:
            store.remove_trusted(title)
        assert raised.value.hint == "there are: Root"
    store.add_trusted(*(trusted(f"ca-{number}") for number in range(20)))
    with pytest.raises(NotFoundError) as raised:
        store.remove_trusted("x")
    assert raised.value.hint.endswith("and more (gateway trust list)")
    assert raised.value.hint.count(",") == 10


def test_digits_that_several_begin_with_are_too_few(store: CredentialStore) -> None:
    one = Trusted("ca", "one", "0123456789" + "a" * 54, b"1", 1)
    two = Trusted("ca", "two", "0123456789" + "b" * 54, b"2", 1)
    store.add_trusted(one, two)
    with pytest.raises(UsageError, match="2 fingerprints begin with 01234567: of one, two") as raised:
        store.remove_trusted("01234567")
    assert "more" in raised.value.hint
    assert store.remove_trusted("0123456789a") == one


def test_the_trust_version_changes_whenever_what_is_trusted_does(store: CredentialStore, tmp_path: Path) -> None:
    root = trusted("Root")
    with Catalogue(tmp_path) as reader:
        versions = [reader.credentials.trust_version()]
        store.add_trusted(root)
        versions.append(reader.credentials.trust_version())
        store.remove_trusted("Root")
        versions.append(reader.credentials.trust_version())
        store.add_trusted(root)
        versions.append(reader.credentials.trust_version())
        assert len(set(versions)) == 4
        store.add_psk("a", b"1")
        with pytest.raises(UsageError):
            store.add_trusted(trusted("new"), root)
        assert reader.credentials.trust_version() == versions[-1]


def test_a_certificate_is_in_no_repr(store: CredentialStore) -> None:
    assert "DER" not in repr(trusted("Root", der=b"DER"))
