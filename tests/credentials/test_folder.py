"""The folder of certificates: what is made, what is kept, what is renewed, and what is never replaced unasked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.credentials.choices import KeyType, Purpose
from gateway.credentials.folder import CertificateFolder, Change, Issued, Options, check_client_name
from gateway.credentials.issuing import alternative_names, common_name
from gateway.credentials.writing import certificates_pem
from gateway.dtls.alerts import AlertError
from gateway.dtls.trust import TrustPolicy
from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UsageError
from tests.credentials.stores import cert_pem, key_pem
from tests.dtls import certificates as make

NOW_S = 1_750_000_000.0
DAY_S = 86_400.0
Call: TypeAlias = Callable[[], object]

DAYS_400 = Options(400)
RENEW = Options(400, renew=True)


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    """A folder with an authority of ten years."""
    made = CertificateFolder(tmp_path, NOW_S, "key password")
    made.authority(Options(3650))
    return made


def later(folder: CertificateFolder, days: float) -> CertificateFolder:
    return CertificateFolder(folder.path, NOW_S + days * DAY_S, "key password")


def files(folder: CertificateFolder) -> dict[str, bytes]:
    """All but the record of what was issued."""
    found = sorted(path for path in folder.path.iterdir() if path != folder.register.path)
    return {path.name: path.read_bytes() for path in found}


def on_record(folder: CertificateFolder) -> list[tuple[str, str, int]]:
    """Purpose, name and serial number of each certificate."""
    entries = folder.register.read().entries.values()
    return [(one.purpose.value, one.name, int(one.serial, 16)) for one in entries]


def refusal(error: pytest.ExceptionInfo[GatewayError]) -> str:
    return f"{error.value.message} | {error.value.hint}"


def server(folder: CertificateFolder, *names: str, options: Options = DAYS_400) -> Issued:
    return folder.server(names, ["localhost"], options)


# -- the authority -------------------------------------------------------------------------------


def test_an_authority_is_made_once_and_then_kept(folder: CertificateFolder) -> None:
    before = files(folder)
    assert list(before) == ["ca.pem", "ca_key.pem"]
    kept = folder.authority(Options(1))
    assert (kept.change, common_name(kept.certificate)) == (Change.KEPT, "gateway development CA")
    assert files(folder) == before


def test_renewing_an_authority_keeps_its_key_and_what_it_issued(folder: CertificateFolder) -> None:
    before = files(folder)
    client = folder.client("device-1", (), DAYS_400)
    renewed = later(folder, 30).authority(Options(3650, renew=True))
    assert (renewed.change, renewed.key_change) == (Change.RENEWED, Change.KEPT)
    after = files(folder)
    assert after["ca_key.pem"] == before["ca_key.pem"]
    assert after["ca.pem"] != before["ca.pem"]
    policy = TrustPolicy([renewed.certificate])
    assert policy.client_principal([client.certificate.public_bytes(Encoding.DER)], NOW_S + 31 * DAY_S)
    assert later(folder, 31).client("device-1", (), DAYS_400).change is Change.KEPT


def test_an_expired_authority_says_how_it_is_renewed_and_issues_nothing(folder: CertificateFolder) -> None:
    expired = later(folder, 3651)
    calls: list[Call] = [lambda: expired.authority(DAYS_400), lambda: expired.client("device-1", (), DAYS_400)]
    for call in calls:
        with pytest.raises(ConfigurationError) as error:
            call()
        assert "has expired" in refusal(error) and "gateway certs authority --renew" in refusal(error)
    assert expired.authority(RENEW).change is Change.RENEWED
    assert expired.client("device-1", (), DAYS_400).change is Change.MADE


@pytest.mark.parametrize("options", [Options(1), Options(1, renew=True)], ids=["as it is", "renew"])
def test_another_name_or_key_never_replaces_an_authority(folder: CertificateFolder, options: Options) -> None:
    before = files(folder)
    with pytest.raises(ConfigurationError, match="is 'gateway development CA', not 'Plant CA'"):
        folder.authority(options, "Plant CA")
    with pytest.raises(ConfigurationError, match="a key of another type than rsa"):
        folder.authority(replace(options, key_type=KeyType.RSA))
    assert files(folder) == before


@pytest.mark.parametrize(("gone", "left"), [("ca.pem", "ca_key.pem"), ("ca_key.pem", "ca.pem")])
@pytest.mark.parametrize("options", [Options(1), Options(1, renew=True)], ids=["as it is", "renew"])
def test_half_an_authority_is_an_error_and_not_made_whole(
    folder: CertificateFolder, gone: str, left: str, options: Options
) -> None:
    (folder.path / gone).unlink()
    before = files(folder)
    calls: list[Call] = [lambda: folder.authority(options), lambda: folder.client("device-1", (), options)]
    for call in calls:
        with pytest.raises(ConfigurationError, match=rf"{left}' is there, and .*{gone}' is not"):
            call()
    assert files(folder) == before


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as error:
        CertificateFolder(tmp_path, NOW_S).client("device-1", (), DAYS_400)
    assert error.value.hint == "gateway certs authority"


def test_a_certificate_that_is_no_authority_issues_nothing(tmp_path: Path) -> None:
    device = make.device()
    (tmp_path / "ca.pem").write_bytes(cert_pem(device))
    (tmp_path / "ca_key.pem").write_bytes(key_pem(device))
    with pytest.raises(ConfigurationError, match="is no CA's certificate"):
        CertificateFolder(tmp_path, NOW_S).client("device-1", (), DAYS_400)


def test_the_users_own_intermediate_authority_goes_into_the_chain_and_its_root_does_not(tmp_path: Path) -> None:
    root = make.authority("Root")
    middle = make.authority("Middle", issuer=root, path_length=0)
    (tmp_path / "ca.pem").write_bytes(cert_pem(middle, root))
    (tmp_path / "ca_key.pem").write_bytes(key_pem(middle, "key password"))
    folder = CertificateFolder(tmp_path, NOW_S, "key password")
    made = folder.client("device-1", (), DAYS_400)
    written = x509.load_pem_x509_certificates(made.certificate_file.read_bytes())
    assert [common_name(one) for one in written] == ["device-1", "Middle"]
    chain = [one.public_bytes(Encoding.DER) for one in written]
    assert TrustPolicy([root.certificate]).client_principal(chain, NOW_S).name == "device-1"
    assert folder.client("device-1", (), DAYS_400).change is Change.KEPT


# -- servers and clients -------------------------------------------------------------------------


def test_a_second_run_keeps_what_is_there(folder: CertificateFolder) -> None:
    assert server(folder).change is Change.MADE
    assert folder.client("device-1", ["urn:dev:ops:1"], DAYS_400).change is Change.MADE
    before = files(folder)
    assert server(folder).change is Change.KEPT
    assert server(folder, "LOCALHOST").change is Change.KEPT
    assert folder.client("device-1", (), DAYS_400).change is Change.KEPT
    assert folder.client("device-1", ["urn:dev:ops:1"], DAYS_400).change is Change.KEPT
    assert files(folder) == before
    assert list(before) == [
        "ca.pem",
        "ca_key.pem",
        "client-device-1.pem",
        "client-device-1_key.pem",
        "coapserver.pem",
        "coapserver_key.pem",
    ]


def test_what_has_expired_is_renewed_with_the_names_and_the_kind_of_key_that_it_had(folder: CertificateFolder) -> None:
    made = server(folder, "a.example", "192.0.2.7", options=Options(400, KeyType.P384))
    assert server(later(folder, 400), "a.example").change is Change.KEPT
    renewed = server(later(folder, 400 + 1 / DAY_S))
    assert (renewed.change, renewed.reason) == (Change.RENEWED, "it had expired")
    assert alternative_names(renewed.certificate) == ["a.example", "192.0.2.7"]
    assert renewed.key.public_key() != made.key.public_key()
    assert renewed.certificate.public_key() == renewed.key.public_key()
    assert type(renewed.certificate.signature_hash_algorithm) is type(made.certificate.signature_hash_algorithm)
    assert server(later(folder, 401), options=Options(1, KeyType.P384)).change is Change.KEPT


def test_other_names_or_another_key_replace_nothing_unless_asked_to(folder: CertificateFolder) -> None:
    server(folder, "a.example")
    folder.client("device-1", (), DAYS_400)
    before = files(folder)
    cases: list[tuple[Call, str]] = [
        (lambda: server(folder, "a.example", "b.example"), "is not for b.example"),
        (lambda: server(folder, options=Options(400, KeyType.RSA)), "has a key of another type than rsa"),
        (lambda: server(folder, options=Options(400, encrypt_key=True)), "has a key that is not encrypted"),
        (lambda: folder.client("device-1", ["d.example"], DAYS_400), "is not for d.example"),
    ]
    for call, problem in cases:
        with pytest.raises(ConfigurationError) as error:
            call()
        assert problem in error.value.message
        assert error.value.hint == "replace it, and its key: --renew"
    assert files(folder) == before
    renewed = server(folder, "a.example", "b.example", options=RENEW)
    assert (renewed.change, renewed.reason) == (Change.RENEWED, "")
    assert alternative_names(renewed.certificate) == ["a.example", "b.example"]


def test_all_that_is_issued_is_on_record_and_what_is_kept_is_not_anew(folder: CertificateFolder) -> None:
    made = [server(folder, "a.example"), folder.client("device-1", (), DAYS_400)]
    handed = folder.hand_out("SN-1", [], days=7, key_type=KeyType.P256)
    expected = [
        ("server", "a.example", made[0].certificate.serial_number),
        ("client", "device-1", made[1].certificate.serial_number),
        ("client", "SN-1", handed.chain[0].serial_number),
    ]
    assert on_record(folder) == expected
    server(folder)
    folder.client("device-1", (), DAYS_400)
    assert on_record(folder) == expected
    renewed = folder.client("device-1", (), RENEW)
    assert on_record(folder) == [*expected, ("client", "device-1", renewed.certificate.serial_number)]
    assert b"PRIVATE" not in folder.register.path.read_bytes()


def test_what_can_not_be_put_on_record_is_not_issued(folder: CertificateFolder) -> None:
    folder.register.path.mkdir()
    before = files(folder)
    calls: list[Call] = [
        lambda: server(folder),
        lambda: folder.client("device-1", (), DAYS_400),
        lambda: folder.hand_out("SN-1", [], days=7, key_type=KeyType.P256),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="can't be written"):
            call()
    assert files(folder) == before


def test_what_is_handed_out_is_issued_as_any_other_and_kept_nowhere(folder: CertificateFolder) -> None:
    before = files(folder)
    made = folder.hand_out("SN-1", ["urn:dev:1"], days=7, key_type=KeyType.P384)
    assert files(folder) == before
    assert certificates_pem([made.authority]) == before["ca.pem"]
    chain = [one.public_bytes(Encoding.DER) for one in made.chain]
    principal = TrustPolicy([made.authority]).client_principal(chain, NOW_S)
    assert (principal.name, principal.sans) == ("SN-1", ("urn:dev:1",))
    assert made.key.public_key() == made.chain[0].public_key()
    assert "key" not in repr(made).replace("Key", "")
    folder.revoke(made.chain[0], 30)


def test_nothing_is_handed_out_by_none_or_by_what_has_expired(tmp_path: Path, folder: CertificateFolder) -> None:
    with pytest.raises(NotFoundError):
        CertificateFolder(tmp_path / "empty", NOW_S).hand_out("SN-1", [], days=7, key_type=KeyType.P256)
    with pytest.raises(ConfigurationError, match="has expired"):
        later(folder, 4000).hand_out("SN-1", [], days=7, key_type=KeyType.P256)
    for name, names in (("", []), ("SN-1", ["not a name"])):
        with pytest.raises(UsageError):
            folder.hand_out(name, names, days=7, key_type=KeyType.P256)


def test_a_name_given_twice_is_in_the_certificate_once(folder: CertificateFolder) -> None:
    assert alternative_names(server(folder, "a.example", "a.example").certificate) == ["a.example"]


def test_an_encrypted_key_is_opened_with_its_password_and_with_no_other(folder: CertificateFolder) -> None:
    made = server(folder, options=Options(400, encrypt_key=True))
    with pytest.raises(TypeError):
        load_pem_private_key(made.key_file.read_bytes(), None)
    assert server(folder, options=Options(400, encrypt_key=True)).change is Change.KEPT
    assert server(folder).change is Change.KEPT
    with pytest.raises(ConfigurationError) as error:
        server(CertificateFolder(folder.path, NOW_S, "wrong"))
    assert "COAP_DTLS_PEM_KEY_PASSWORD is wrong" in refusal(error)


def test_a_key_that_is_encrypted_stays_so_when_it_is_renewed(folder: CertificateFolder) -> None:
    server(folder, options=Options(400, encrypt_key=True))
    for renewed in (server(later(folder, 401)), server(folder, options=RENEW)):
        assert renewed.change is Change.RENEWED
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in renewed.key_file.read_bytes()


def test_what_another_authority_issued_is_replaced_only_where_asked_to(folder: CertificateFolder) -> None:
    foreign = make.server("localhost", sans=[x509.DNSName("localhost")], not_after_s=NOW_S - 1)
    (folder.path / "coapserver.pem").write_bytes(cert_pem(foreign))
    (folder.path / "coapserver_key.pem").write_bytes(key_pem(foreign))
    with pytest.raises(ConfigurationError, match="is not issued by the authority in its folder"):
        server(folder)
    assert server(folder, options=RENEW).change is Change.RENEWED


def test_files_of_another_name_in_a_folder_without_upper_and_lower_case_are_not_taken_for_it(
    folder: CertificateFolder,
) -> None:
    made = folder.client("Pump", (), DAYS_400)
    for file in (made.certificate_file, made.key_file):
        file.rename(file.with_name(file.name.replace("Pump", "pump")))
    with pytest.raises(ConfigurationError, match="is the certificate of 'Pump'"):
        folder.client("pump", (), DAYS_400)


@pytest.mark.parametrize("broken", ["client-device-1.pem", "client-device-1_key.pem"])
@pytest.mark.parametrize("how", ["gone", "junk", "of another"])
def test_a_broken_pair_says_what_is_wrong_and_is_made_anew_where_asked_to(
    folder: CertificateFolder, broken: str, how: str
) -> None:
    folder.client("device-1", (), DAYS_400)
    other = folder.client("device-2", (), DAYS_400)
    if how == "gone":
        (folder.path / broken).unlink()
    elif how == "junk":
        (folder.path / broken).write_bytes(b"junk")
    else:
        source = other.key_file if broken.endswith("_key.pem") else other.certificate_file
        (folder.path / broken).write_bytes(source.read_bytes())
    before = files(folder)
    with pytest.raises(ConfigurationError) as error:
        folder.client("device-1", (), DAYS_400)
    assert broken in error.value.message
    assert "--renew" in error.value.hint
    assert files(folder) == before
    folder.client("device-1", (), RENEW)
    assert folder.client("device-1", (), DAYS_400).change is Change.KEPT


# -- names of clients ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a/b", "/etc/passwd", "../x", "a\\b"])
def test_a_client_name_with_a_path_in_it_is_refused(folder: CertificateFolder, name: str) -> None:
    before = files(folder)
    with pytest.raises(UsageError, match="has a path separator in it"):
        folder.client(name, (), DAYS_400)
    assert files(folder) == before


@pytest.mark.parametrize("name", ["", "a\x00b", "a\nb", "\x1b[31m", " a", "x" * 65, "\udcff"])
def test_a_client_name_that_no_certificate_holds_is_refused(folder: CertificateFolder, name: str) -> None:
    before = files(folder)
    with pytest.raises(UsageError, match="can't be in a certificate"):
        folder.client(name, (), DAYS_400)
    assert files(folder) == before


def test_a_client_name_that_would_take_the_file_of_anothers_key_is_refused(folder: CertificateFolder) -> None:
    with pytest.raises(UsageError, match="would have the key's file of client 'a'"):
        folder.client("a_key", (), DAYS_400)


def test_a_client_name_may_be_as_long_as_a_cn_and_a_files_name_can_be() -> None:
    check_client_name("x" * 64)
    check_client_name("é" * 64)
    check_client_name("名" * 64)
    check_client_name("🔑" * 60)  # 240 bytes, and 15 for "client-" and "_key.pem"
    with pytest.raises(UsageError, match="too long for a file's name"):
        check_client_name("🔑" * 60 + "x")


@pytest.mark.parametrize("name", ["..", ".", "-rf", "00:24:be:ff:fe:80:4f:f1", "Pumpe Süd 7", "$(id)", "ca", "x" * 64])
def test_odd_but_good_names_of_clients(folder: CertificateFolder, name: str) -> None:
    made = folder.client(name, (), DAYS_400)
    assert made.certificate_file.parent == folder.path
    assert common_name(made.certificate) == name
    assert folder.client(name, (), DAYS_400).change is Change.KEPT


# -- revocation ----------------------------------------------------------------------------------


def crl_of(folder: CertificateFolder) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(folder.crl_file.read_bytes())


def test_a_revoked_client_is_refused_and_made_anew_the_next_time(folder: CertificateFolder) -> None:
    made = folder.client("device-1", ["urn:dev:ops:1"], DAYS_400)
    assert folder.revoke(made.certificate, 365)
    policy = TrustPolicy([folder.authority(DAYS_400).certificate], crls=[crl_of(folder)])
    with pytest.raises(AlertError, match="certificate_revoked"):
        policy.client_principal([made.certificate.public_bytes(Encoding.DER)], NOW_S)
    renewed = folder.client("device-1", (), DAYS_400)
    assert (renewed.change, renewed.reason) == (Change.RENEWED, "it was revoked")
    assert policy.client_principal([renewed.certificate.public_bytes(Encoding.DER)], NOW_S).sans == ("urn:dev:ops:1",)


def test_revocations_add_up_and_their_lists_are_numbered(folder: CertificateFolder) -> None:
    devices = [folder.client(f"device-{number}", (), DAYS_400).certificate for number in range(3)]
    for number, device in enumerate(devices, start=1):
        assert later(folder, number).revoke(device, 365)
        crl = crl_of(folder)
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number
        assert [entry.serial_number for entry in crl] == [one.serial_number for one in devices[:number]]
    before = files(folder)
    assert not folder.revoke(devices[0], 365)
    assert files(folder) == before


def test_a_foreign_certificate_is_not_revoked(folder: CertificateFolder) -> None:
    with pytest.raises(UsageError, match="has not issued 'CN=device-1'"):
        folder.revoke(make.device().certificate, 365)
    assert not folder.crl_file.exists()


def test_a_serial_number_is_enough_to_revoke_what_is_on_record(folder: CertificateFolder) -> None:
    made = folder.hand_out("SN-1", [], days=7, key_type=KeyType.P256)
    serial = f"{made.chain[0].serial_number:x}"
    assert folder.revoke_serial(serial, 365).is_new
    assert folder.revoked() == {made.chain[0].serial_number: int(NOW_S) * 1000}
    assert not later(folder, 1).revoke_serial(serial, 365).is_new
    assert not folder.revoke(made.chain[0], 365)
    policy = TrustPolicy([made.authority], crls=[crl_of(folder)])
    with pytest.raises(AlertError, match="certificate_revoked"):
        policy.client_principal([made.chain[0].public_bytes(Encoding.DER)], NOW_S)


def test_a_serial_number_that_is_not_on_record_is_revoked_only_where_asked_to(folder: CertificateFolder) -> None:
    made = folder.client("device-1", (), DAYS_400).certificate
    folder.register.path.unlink()  # as if it was issued before there was a record
    with pytest.raises(NotFoundError, match="is on record") as error:
        folder.revoke_serial(f"{made.serial_number:x}", 365)
    assert "--force" in error.value.hint
    assert not folder.crl_file.exists()
    assert folder.revoke_serial(f"{made.serial_number:x}", 365, unrecorded=True) == (None, True)
    assert list(folder.revoked()) == [made.serial_number]
    largest = "7" + "f" * 39
    assert folder.revoke_serial(largest, 365, unrecorded=True) == (None, True)
    assert int(largest, 16) in folder.revoked()


def test_what_the_record_has_of_another_authority_is_not_revoked_by_its_serial_number(
    folder: CertificateFolder,
) -> None:
    made = folder.hand_out("SN-1", [], days=7, key_type=KeyType.P256)
    entry = folder.on_record(f"{made.chain[0].serial_number:x}")
    assert later(folder, 1).authority(RENEW).change is Change.RENEWED  # that is the same one still
    assert folder.revoke_entry(entry, 365)
    for file in ("ca.pem", "ca_key.pem", "ca.crl"):
        (folder.path / file).unlink()
    folder.authority(DAYS_400, "Another CA")
    calls: list[Call] = [
        lambda: folder.revoke_serial(entry.serial, 365),
        lambda: folder.revoke_serial(entry.serial, 365, unrecorded=True),
        lambda: folder.revoke_entry(entry, 365),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=f"has not issued 'SN-1', serial number {entry.serial}: ") as error:
            call()
        assert error.value.hint == "revoke it where its authority is: --folder F"
    assert not folder.crl_file.exists()
    ours = folder.hand_out("SN-2", [], days=7, key_type=KeyType.P256)
    assert folder.revoke_serial(f"{ours.chain[0].serial_number:x}", 365).is_new


def test_a_certificate_is_on_record_for_its_purpose_alone(folder: CertificateFolder) -> None:
    serial = f"{server(folder).certificate.serial_number:x}"
    assert folder.on_record(serial) == folder.on_record(serial, Purpose.SERVER)
    with pytest.raises(NotFoundError, match=f"no client's certificate with the serial number {serial} is on record"):
        folder.on_record(serial, Purpose.CLIENT)


@pytest.mark.parametrize("content", [b"junk", b""], ids=["junk", "empty"])
def test_a_list_that_is_not_the_authoritys_is_neither_used_nor_replaced(
    folder: CertificateFolder, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = folder.client("device-1", (), DAYS_400)
    other = CertificateFolder(tmp_path_factory.mktemp("other"), NOW_S)
    other.authority(DAYS_400)
    other.revoke(other.client("device-1", (), DAYS_400).certificate, 365)
    for foreign in (content, other.crl_file.read_bytes()):
        folder.crl_file.write_bytes(foreign)
        with pytest.raises(ConfigurationError, match="is no revocation list of the authority"):
            folder.revoke(made.certificate, 365)
        with pytest.raises(ConfigurationError, match="is no revocation list of the authority"):
            folder.revoked()
        assert folder.crl_file.read_bytes() == foreign


def test_keys_are_in_no_repr(folder: CertificateFolder) -> None:
    made = folder.client("device-1", (), DAYS_400)
    assert "PrivateKey" not in repr(made)
    assert certificates_pem(made.chain) == made.certificate_file.read_bytes()
