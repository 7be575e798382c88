"""Trust stores and revocation lists as files and folders: what is read, what is left out, and what is an error."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.credentials.trust_files import MAX_FOLDER_FILES, TrustFiles, load_trust_files
from tests.credentials.stores import (
    OTHER_PASSWORD,
    Stores,
    cert_pem,
    key_pem,
    p12,
    refusal_of,
    settings_of,
    unprivileged,
    write,
)
from tests.dtls.certificates import authority, crl, device

ROOT = authority("Root")
OTHER = authority("Other")
SENSOR = device(issuer=ROOT)
ROOT_CRL = crl(ROOT, [SENSOR])
OTHER_CRL = crl(OTHER)


def load(store: Path | None = None, lists: Path | None = None, **values: Any) -> TrustFiles:
    return load_trust_files(settings_of(coap_dtls_trust_store=store, coap_dtls_crl=lists, **values))


def crl_pem(*lists: x509.CertificateRevocationList) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in lists)


def test_where_nothing_is_set_nothing_is_trusted() -> None:
    assert load() == TrustFiles()


# -- the trust store -----------------------------------------------------------------------------


def test_a_pem_file_with_many_certificates_each_of_them_once(tmp_path: Path) -> None:
    path = write(tmp_path / "ca.pem", cert_pem(ROOT, OTHER, ROOT))
    assert load(path) == TrustFiles((ROOT.certificate, OTHER.certificate), (), (path,), ())


def test_a_certificate_in_der(tmp_path: Path) -> None:
    assert load(write(tmp_path / "ca.cer", ROOT.der)).anchors == (ROOT.certificate,)


@pytest.mark.parametrize("name", ["trust.jks", "trust.p12"])
def test_a_keystore_of_keytool_with_the_trust_stores_own_password(stores: Stores, name: str) -> None:
    found = load(stores[name])
    assert {one.subject.rfc4514_string() for one in found.anchors} == {"CN=root", "CN=second"}
    assert found.findings == ()
    refusal = refusal_of(lambda: load(stores[name], coap_dtls_trust_store_password=OTHER_PASSWORD))
    assert refusal.message == (
        f"COAP_DTLS_TRUST_STORE={stores[name]}: can't be opened: COAP_DTLS_TRUST_STORE_PASSWORD is wrong, "
        "or the file is damaged"
    )


def test_what_a_keystore_has_beside_trusted_certificates_is_a_finding(tmp_path: Path) -> None:
    found = load(write(tmp_path / "s.p12", p12(SENSOR, ROOT)))
    assert found.anchors == (ROOT.certificate,)
    assert len(found.findings) == 1


def test_a_folder_is_read_by_name_and_a_broken_file_in_it_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path / "b.pem", cert_pem(ROOT))
    write(tmp_path / "a.crt", OTHER.der)
    write(tmp_path / "C.CER", cert_pem(SENSOR))
    write(tmp_path / "broken.pem", cert_pem(ROOT)[:-30])
    write(tmp_path / "key.pem", key_pem(ROOT))
    write(tmp_path / "readme.txt", cert_pem(authority("Not read")))
    (tmp_path / "folder.pem").mkdir()
    (tmp_path / "gone.pem").symlink_to(tmp_path / "nowhere")
    found = load(tmp_path)
    assert found.anchors == (SENSOR.certificate, OTHER.certificate, ROOT.certificate)
    assert found.files == (tmp_path,)
    where = f"COAP_DTLS_TRUST_STORE={tmp_path}"
    assert found.findings == (
        f"{where}/broken.pem: is damaged: the CERTIFICATE that begins in line 1 does not end; this file is left out",
        f"{where}/folder.pem: is a folder; this file is left out",
        f"{where}/gone.pem: there is no such file; this file is left out",
        f"{where}/key.pem: holds no certificate, only PRIVATE KEY; this file is left out",
    )


def test_a_folder_without_certificates_is_a_finding(tmp_path: Path) -> None:
    assert load(tmp_path).findings == (
        f"COAP_DTLS_TRUST_STORE={tmp_path}: the folder holds no file named *.pem, *.crt, *.cer",
    )


def test_a_file_that_is_named_must_be_right(stores: Stores, tmp_path: Path) -> None:
    missing = refusal_of(lambda: load(tmp_path / "ca.pem"))
    assert missing.message == f"COAP_DTLS_TRUST_STORE={tmp_path}/ca.pem: there is no such file"
    assert "COAP_DTLS_TRUST_STORE" in missing.hint
    assert "holds no certificate" in refusal_of(lambda: load(write(tmp_path / "x", key_pem(ROOT)))).message
    assert "is damaged" in refusal_of(lambda: load(write(tmp_path / "x", cert_pem(ROOT)[:99]))).message
    assert "is a JCEKS keystore" in refusal_of(lambda: load(stores["server.jceks"])).message


# -- revocation lists ----------------------------------------------------------------------------


def test_revocation_lists_of_a_file_in_pem_or_der(tmp_path: Path) -> None:
    path = write(tmp_path / "x.crl", crl_pem(ROOT_CRL, OTHER_CRL))
    assert load(lists=path) == TrustFiles((), (ROOT_CRL, OTHER_CRL), (path,), ())
    assert load(lists=write(path, OTHER_CRL.public_bytes(Encoding.DER))).crls == (OTHER_CRL,)


def test_revocation_lists_of_a_folder_that_may_hold_certificates_too(tmp_path: Path) -> None:
    write(tmp_path / "a.crl", ROOT_CRL.public_bytes(Encoding.DER))
    write(tmp_path / "b.pem", crl_pem(OTHER_CRL))
    write(tmp_path / "ca.pem", cert_pem(ROOT))
    found = load(tmp_path, tmp_path)
    assert found.crls == (ROOT_CRL, OTHER_CRL)
    assert found.anchors == (ROOT.certificate,)
    assert found.files == (tmp_path, tmp_path)


def test_a_broken_revocation_list_is_an_error_in_a_folder_too(tmp_path: Path) -> None:
    write(tmp_path / "a.crl", crl_pem(ROOT_CRL))
    for name, content in (("b.crl", b""), ("b.crl", cert_pem(ROOT)[:50]), ("b.pem", crl_pem(OTHER_CRL)[:-30])):
        broken = write(tmp_path / name, content)
        assert refusal_of(lambda: load(lists=tmp_path)).message.startswith(f"COAP_DTLS_CRL={broken}: ")
        broken.unlink()


def test_what_this_user_may_not_read_is_an_error_where_it_is_named_or_a_revocation_list(open_folder: Path) -> None:
    write(open_folder / "a.crl", crl_pem(ROOT_CRL), 0)
    write(open_folder / "a.crt", cert_pem(ROOT), 0)
    with unprivileged():
        for refused in (lambda: load(open_folder / "a.crt"), lambda: load(lists=open_folder)):
            assert refusal_of(refused).message.endswith(": may not be read by this user")
        assert load(open_folder).findings == (
            f"COAP_DTLS_TRUST_STORE={open_folder}/a.crt: may not be read by this user; this file is left out",
        )
    open_folder.chmod(0o711)
    with unprivileged():
        assert refusal_of(lambda: load(open_folder)).message.endswith(": may not be read by this user")


def test_a_folder_without_revocation_lists_is_a_finding(tmp_path: Path) -> None:
    where = f"COAP_DTLS_CRL={tmp_path}"
    assert load(lists=tmp_path).findings == (f"{where}: the folder holds no file named *.pem, *.crl",)
    write(tmp_path / "ca.pem", cert_pem(ROOT))
    assert load(lists=tmp_path).findings == (f"{where}: the folder holds no revocation list",)


def test_a_folder_is_read_up_to_the_most_files_and_not_beyond(tmp_path: Path) -> None:
    for number in range(MAX_FOLDER_FILES):
        write(tmp_path / f"{number}.pem", b"")
    assert len(load(tmp_path).findings) == MAX_FOLDER_FILES
    write(tmp_path / "one-more.pem", b"")
    refusal = refusal_of(lambda: load(tmp_path))
    assert refusal.message == f"COAP_DTLS_TRUST_STORE={tmp_path}: holds {MAX_FOLDER_FILES + 1} files"
