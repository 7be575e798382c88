"""PEM and DER as openssl and keytool write them, and as users mangle them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

from gateway.credentials.files import MAX_FILE_BYTES
from gateway.credentials.pem import PemNames, load_identity, read_certificates, read_crls
from tests.credentials.stores import (
    KEY_PASSWORD,
    OTHER_PASSWORD,
    cert_pem,
    key_pem,
    openssl,
    refusal_of,
    write,
)
from tests.dtls.certificates import authority, crl, device, server

ROOT = authority("Root")
MIDDLE = authority("Middle", issuer=ROOT)
SERVER = server(issuer=MIDDLE)
RSA = server(key="rsa2048")
ED25519 = server(key="ed25519")
TRADITIONAL = PrivateFormat.TraditionalOpenSSL


# -- certificates --------------------------------------------------------------------------------


def test_one_certificate_and_many_are_read_in_order() -> None:
    assert read_certificates(cert_pem(SERVER), "x") == [SERVER.certificate]
    three = (SERVER, MIDDLE, ROOT)
    assert read_certificates(cert_pem(*three), "x") == [one.certificate for one in three]


def test_files_that_were_put_together_without_a_newline_are_read() -> None:
    joined = cert_pem(SERVER).rstrip() + cert_pem(MIDDLE).rstrip() + key_pem(SERVER)
    assert read_certificates(joined, "x") == [SERVER.certificate, MIDDLE.certificate]


def test_der_is_read_too() -> None:
    assert read_certificates(SERVER.der, "x") == [SERVER.certificate]


@pytest.mark.parametrize(
    "mangle",
    [
        lambda pem: b"subject=/CN=gateway\n\n" + pem + b"\ntrailing text",
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"".join(b"  " + line + b" \n" for line in pem.splitlines()),
        lambda pem: pem.rstrip(b"\n"),
        lambda pem: key_pem(SERVER) + pem,
        lambda pem: pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
        lambda pem: openssl("x509", "-text", stdin=pem),
    ],
    ids=[
        "text around",
        "CRLF",
        "byte order mark",
        "indented",
        "no last newline",
        "a key before",
        "X509",
        "openssl -text",
    ],
)
def test_what_stands_around_a_certificate_does_not_matter(mangle: Callable[[bytes], bytes]) -> None:
    assert read_certificates(mangle(cert_pem(SERVER)), "x") == [SERVER.certificate]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x: holds no certificate"),
        (b"hello", "x: holds no certificate"),
        (key_pem(SERVER), "x: holds no certificate, only PRIVATE KEY"),
        (cert_pem(SERVER).replace(b"\n", b"\n!", 2), "x: certificate 1 is damaged: no base64"),
        (cert_pem(ROOT) + cert_pem(SERVER)[:-40], "x: is damaged: the CERTIFICATE that begins in line 11 does not end"),
        (
            cert_pem(ROOT)[:-40] + b"\n" + cert_pem(SERVER),
            "x: is damaged: the CERTIFICATE that begins in line 1 does not end",
        ),
        (SERVER.der[:-1], "x: certificate is damaged: cut short, or something follows it"),
        (SERVER.der + b"\0", "x: certificate is damaged: cut short, or something follows it"),
        (SERVER.der[:40] + bytes(200) + SERVER.der[240:], "x: certificate is damaged"),
    ],
)
def test_what_is_no_certificate_is_refused_with_the_reason(data: bytes, message: str) -> None:
    begins_at = len(cert_pem(ROOT).splitlines()) + 1
    refusal = refusal_of(lambda: read_certificates(data, "x"))
    assert refusal.message == message.replace("line 11", f"line {begins_at}")


def test_many_blocks_that_do_not_end_take_no_time() -> None:
    refusal_of(lambda: read_certificates(b"-----BEGIN CERTIFICATE-----\n" * 40_000, "x"))
    refusal_of(lambda: read_certificates(b"-----BEGIN A-----\n-----END A-----\n" * 30_000, "x"))


def test_revocation_lists_are_read_from_pem_and_der() -> None:
    lists = [crl(ROOT, [MIDDLE]), crl(MIDDLE)]
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in lists)
    assert read_crls(pem, "x") == lists
    assert read_crls(lists[0].public_bytes(Encoding.DER), "x") == lists[:1]
    assert refusal_of(lambda: read_crls(cert_pem(ROOT), "x")).message == (
        "x: holds no certificate revocation list, only CERTIFICATE"
    )


# -- a certificate with its key ------------------------------------------------------------------


def test_chain_and_key_in_two_files(tmp_path: Path) -> None:
    certificate = write(tmp_path / "c.pem", cert_pem(SERVER, MIDDLE))
    key = write(tmp_path / "k.pem", key_pem(SERVER))
    loaded = load_identity(certificate, key, None)
    assert loaded.identity.chain == (SERVER.der, MIDDLE.der)
    assert loaded.identity.key.public_key() == SERVER.key.public_key()
    assert (loaded.certificate, loaded.key_file.path, loaded.notes) == (SERVER.certificate, key, ())


def test_chain_and_key_in_one_file_without_naming_the_key(tmp_path: Path) -> None:
    both = write(tmp_path / "c.pem", key_pem(SERVER) + cert_pem(SERVER))
    assert load_identity(both, None, None).identity.chain == (SERVER.der,)


def test_a_key_file_that_is_not_there_or_holds_none_gives_way_to_the_key_in_the_certificate_file(
    tmp_path: Path,
) -> None:
    both = write(tmp_path / "c.pem", cert_pem(SERVER) + key_pem(SERVER))
    missing = load_identity(both, tmp_path / "k.pem", None)
    assert missing.key_file.path == both
    assert missing.notes == (f"--key={tmp_path}/k.pem: there is no such file; the key is taken from {both}",)
    keyless = load_identity(both, write(tmp_path / "k.pem", cert_pem(ROOT)), None)
    assert keyless.notes == (f"--key={tmp_path}/k.pem: holds no private key; it is taken from {both}",)


KEYS: dict[str, tuple[bytes, bytes]] = {
    "PKCS#8": (cert_pem(SERVER), key_pem(SERVER)),
    "SEC1": (cert_pem(SERVER), key_pem(SERVER, form=TRADITIONAL)),
    "EC PARAMETERS before it": (
        cert_pem(SERVER),
        openssl("ecparam", "-name", "prime256v1") + key_pem(SERVER, form=TRADITIONAL),
    ),
    "RSA PKCS#8": (cert_pem(RSA), key_pem(RSA)),
    "PKCS#1": (cert_pem(RSA), key_pem(RSA, form=TRADITIONAL)),
    "Ed25519": (cert_pem(ED25519), key_pem(ED25519)),
}
ENCRYPTED_KEYS: dict[str, tuple[bytes, bytes]] = {
    "PKCS#8": (cert_pem(SERVER), key_pem(SERVER, KEY_PASSWORD)),
    "SEC1": (
        cert_pem(SERVER),
        openssl("ec", "-aes128", "-passout", f"pass:{KEY_PASSWORD}", stdin=key_pem(SERVER, form=TRADITIONAL)),
    ),
    "PKCS#1": (
        cert_pem(RSA),
        openssl("rsa", "-traditional", "-aes256", "-passout", f"pass:{KEY_PASSWORD}", stdin=key_pem(RSA)),
    ),
    "Ed25519": (cert_pem(ED25519), key_pem(ED25519, KEY_PASSWORD)),
}


@pytest.mark.parametrize(("certificate", "key"), KEYS.values(), ids=KEYS)
def test_every_form_of_a_key_is_read_and_a_password_that_it_does_not_need_is_noted(
    tmp_path: Path, certificate: bytes, key: bytes
) -> None:
    files = write(tmp_path / "c.pem", certificate), write(tmp_path / "k.pem", key)
    assert load_identity(*files, None).notes == ()
    assert load_identity(*files, b"").notes == ()
    assert load_identity(*files, b"secret").notes == (
        f"--key-password is not needed, and ignored: the key in {tmp_path}/k.pem is not encrypted",
    )


@pytest.mark.parametrize(("certificate", "key"), ENCRYPTED_KEYS.values(), ids=ENCRYPTED_KEYS)
def test_every_form_of_an_encrypted_key_is_read_with_its_password_and_with_no_other(
    tmp_path: Path, certificate: bytes, key: bytes
) -> None:
    assert b"ENCRYPTED" in key
    files = write(tmp_path / "c.pem", certificate), write(tmp_path / "k.pem", key)
    assert load_identity(*files, KEY_PASSWORD.encode()).notes == ()
    wrong = refusal_of(lambda: load_identity(*files, OTHER_PASSWORD.encode()))
    assert wrong.message == f"--key={tmp_path}/k.pem: the private key can't be decrypted: --key-password is wrong"
    for none in (None, b""):
        missing = refusal_of(lambda none=none: load_identity(*files, none))  # type: ignore[misc]
        assert missing.message == f"--key={tmp_path}/k.pem: the private key is encrypted"
        assert missing.hint == "set --key-password"


def test_messages_use_the_names_that_they_are_told(tmp_path: Path) -> None:
    names = PemNames("C", "K", "P", "make it")
    missing = refusal_of(lambda: load_identity(tmp_path / "c.pem", None, None, names=names))
    assert (missing.message, missing.hint) == (f"C={tmp_path}/c.pem: there is no such file", "make it")
    certificate = write(tmp_path / "c.pem", cert_pem(SERVER))
    missing = refusal_of(lambda: load_identity(certificate, tmp_path / "k.pem", None, names=names))
    assert (missing.message, missing.hint) == (f"K={tmp_path}/k.pem: there is no such file", "make it")


def test_files_without_a_key_are_refused_with_what_they_hold(tmp_path: Path) -> None:
    certificate = write(tmp_path / "c.pem", cert_pem(SERVER))
    refusal = refusal_of(lambda: load_identity(certificate, None, None))
    assert refusal.message == f"--cert={tmp_path}/c.pem: holds no private key"
    key = write(tmp_path / "k.pem", cert_pem(ROOT))
    refusal = refusal_of(lambda: load_identity(certificate, key, None))
    assert refusal.message == (
        f"--key={tmp_path}/k.pem: holds no private key, only CERTIFICATE, and --cert={tmp_path}/c.pem none either"
    )


@pytest.mark.parametrize("kind", ["secp256k1", "p521", "rsa1024"])
def test_a_key_of_a_kind_that_is_not_taken_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    odd = device(key=kind)  # type: ignore[arg-type]
    files = write(tmp_path / "c.pem", cert_pem(odd)), write(tmp_path / "k.pem", key_pem(odd))
    refusal = refusal_of(lambda: load_identity(*files, None))
    name = {
        "secp256k1": "EC on the curve secp256k1",
        "p521": "EC on the curve secp521r1",
        "rsa1024": "RSA of 1024 bits",
    }
    assert refusal.message == f"--key={tmp_path}/k.pem: the private key is {name[kind]}"
    assert refusal.hint == "take one of: EC P-256 or P-384, RSA of 2048 to 8192 bits, Ed25519"


def test_a_key_on_a_curve_that_is_not_known_is_refused(tmp_path: Path) -> None:
    certificate = write(tmp_path / "c.pem", cert_pem(SERVER))
    key = write(tmp_path / "k.pem", openssl("ecparam", "-genkey", "-noout", "-name", "sect163k1"))
    refusal = refusal_of(lambda: load_identity(certificate, key, None))
    assert refusal.message.endswith(": the private key is of a kind, or encrypted in a way, that is not known")


@pytest.mark.parametrize("algorithm", ["ED448", "X25519"])
def test_a_key_that_no_suite_can_use_is_refused_by_name(tmp_path: Path, algorithm: str) -> None:
    certificate = write(tmp_path / "c.pem", cert_pem(SERVER))
    key = write(tmp_path / "k.pem", openssl("genpkey", "-algorithm", algorithm))
    refusal = refusal_of(lambda: load_identity(certificate, key, None))
    assert refusal.message.lower() == f"--key={tmp_path}/k.pem: the private key is {algorithm}".lower()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "the private key is damaged"),
        (b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "the private key is damaged"),
        (
            key_pem(SERVER, KEY_PASSWORD).replace(b"\n", b"\nAAAA", 1),
            "the private key is damaged",
        ),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nMAA=\n-----END OPENSSH PRIVATE KEY-----\n",
            "the private key is in OpenSSH's own format",
        ),
        (key_pem(SERVER)[:100], "is damaged: the PRIVATE KEY that begins in line 1 does not end"),
    ],
    ids=["no key", "no Base64", "another encryption", "OpenSSH", "cut off"],
)
def test_a_key_that_is_damaged_is_refused(tmp_path: Path, key: bytes, reason: str) -> None:
    files = write(tmp_path / "c.pem", cert_pem(SERVER)), write(tmp_path / "k.pem", key)
    refusal = refusal_of(lambda: load_identity(*files, KEY_PASSWORD.encode()))
    assert refusal.message == f"--key={tmp_path}/k.pem: {reason}"


def test_a_key_of_another_certificate_is_refused_with_both_files(tmp_path: Path) -> None:
    files = write(tmp_path / "c.pem", cert_pem(SERVER)), write(tmp_path / "k.pem", key_pem(MIDDLE))
    assert refusal_of(lambda: load_identity(*files, None)).message == (
        f"--key={tmp_path}/k.pem: the key does not fit the certificate in --cert={tmp_path}/c.pem"
    )


def test_the_largest_file_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    pem = cert_pem(SERVER) + key_pem(SERVER)
    largest = write(tmp_path / "c.pem", pem + b"\n" * (MAX_FILE_BYTES - len(pem)))
    assert load_identity(largest, None, None)
    larger = write(tmp_path / "c.pem", largest.read_bytes() + b"\n")
    assert refusal_of(lambda: load_identity(larger, None, None)).message.endswith(": is too large")


def test_neither_key_nor_password_is_in_a_repr(tmp_path: Path) -> None:
    both = write(tmp_path / "c.pem", cert_pem(SERVER) + key_pem(SERVER))
    assert "PRIVATE" not in repr(load_identity(both, None, KEY_PASSWORD.encode()))
    assert KEY_PASSWORD not in repr(load_identity(both, None, KEY_PASSWORD.encode()))
