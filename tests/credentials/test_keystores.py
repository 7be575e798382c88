"""Keystores of the real keytool, of openssl and of `cryptography`: what is found in them, and each way to fail."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from gateway.credentials.files import read_file
from gateway.credentials.identity import LoadedIdentity
from gateway.credentials.keystores import (
    KeyAccess,
    Kind,
    TrustedCertificates,
    kind_of,
    load_key,
    read_trusted,
    refuse_jceks,
)
from gateway.credentials.writing import jks_store
from tests.credentials.stores import (
    ALIAS,
    KEY_PASSWORD,
    OTHER_PASSWORD,
    STORE_PASSWORD,
    Stores,
    cert_pem,
    key_pem,
    keytool,
    openssl,
    p12,
    refusal_of,
    sealed_jks,
    write,
)
from tests.dtls.certificates import authority, device, server

ROOT = authority("Root")
MIDDLE = authority("Middle", issuer=ROOT)
SERVER = server(issuer=MIDDLE)
STRANGER = device("stranger")

JKS_AND_PKCS12 = ["server.jks", "coapserver.jks"]
"""The same alias in a keystore of either kind."""


def load(
    path: Path, alias: str = ALIAS, store_password: str = STORE_PASSWORD, key_password: str = KEY_PASSWORD
) -> LoadedIdentity:
    return load_key(read_file(path, "STORE"), "STORE", KeyAccess(alias, store_password, key_password))


def trusted(path: Path, password: str = STORE_PASSWORD) -> TrustedCertificates:
    return read_trusted(read_file(path, "TRUST"), "TRUST", password, "TRUST_PASSWORD")


def names(loaded: LoadedIdentity) -> list[str]:
    return [x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in loaded.identity.chain]


# -- keys ----------------------------------------------------------------------------------------


def test_the_kind_is_told_by_the_content_and_not_by_the_name(stores: Stores) -> None:
    assert kind_of(stores["server.jks"].read_bytes()) is Kind.JKS
    assert kind_of(stores["coapserver.jks"].read_bytes()) is Kind.PKCS12
    for other in (stores["server.jceks"].read_bytes(), cert_pem(SERVER), SERVER.der, b"", b"0", b"text"):
        assert kind_of(other) is None


@pytest.mark.parametrize("name", JKS_AND_PKCS12)
@pytest.mark.parametrize("alias", [ALIAS, "ServerAlias", "SERVERALIAS"])
def test_a_key_is_found_by_its_alias_in_any_case(stores: Stores, name: str, alias: str) -> None:
    loaded = load(stores[name], alias)
    assert isinstance(loaded.identity.key, ec.EllipticCurvePrivateKey)
    assert names(loaded) == ["CN=ServerAlias"]
    assert loaded.certificate.public_key() == loaded.identity.key.public_key()
    assert loaded.key_file.path == stores[name]


@pytest.mark.parametrize(("name", "alias"), [("server.jks", "rsa"), ("rsa.p12", ALIAS)])
def test_an_rsa_key_is_read(stores: Stores, name: str, alias: str) -> None:
    assert isinstance(load(stores[name], alias).identity.key, rsa.RSAPrivateKey)


@pytest.mark.parametrize("name", ["chain.jks", "chain.p12"])
def test_a_chain_of_keytool_comes_leaf_first(stores: Stores, name: str) -> None:
    assert names(load(stores[name])) == ["CN=serveralias", "CN=middle"]


def test_a_key_of_a_jks_file_that_has_the_stores_password_needs_no_other(stores: Stores) -> None:
    needless = "COAP_DTLS_KEY_PASSWORD is not needed, and ignored: the key's password is the keystore's"
    assert load(stores["server.jks"], "rsa").notes == (needless,)
    assert load(stores["server.jks"], "rsa", key_password=STORE_PASSWORD).notes == ()
    assert load(stores["server.jks"]).notes == ()


def test_a_key_password_is_ignored_with_a_note_where_the_file_is_pkcs12(stores: Stores) -> None:
    needless = "COAP_DTLS_KEY_PASSWORD is not needed, and ignored: in PKCS#12 a key's password is the keystore's"
    assert load(stores["rsa.p12"]).notes == (needless,)
    assert load(stores["rsa.p12"], key_password=STORE_PASSWORD).notes == ()


def test_certificates_in_any_order_become_a_chain_and_others_are_left_out(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "s.p12", p12(SERVER, STRANGER, ROOT, MIDDLE)), key_password=STORE_PASSWORD)
    assert loaded.identity.chain == (SERVER.der, MIDDLE.der, ROOT.der)
    assert loaded.notes == (
        "STORE, alias serveralias: the chain was not in order, leaf first, and is now",
        "STORE, alias serveralias: not of the chain, and so not sent: 1 more",
    )


def test_a_file_of_openssl_is_read_and_a_key_without_a_name_is_called_as_java_calls_it(tmp_path: Path) -> None:
    def export(*arguments: str) -> Path:
        command = ("pkcs12", "-export", "-passout", f"pass:{STORE_PASSWORD}", *arguments)
        return write(tmp_path / "s.p12", openssl(*command, stdin=key_pem(SERVER) + cert_pem(SERVER, MIDDLE)))

    assert load(export("-name", ALIAS)).identity.chain == (SERVER.der, MIDDLE.der)
    unnamed = export()
    assert load(unnamed, "1").identity.chain == (SERVER.der, MIDDLE.der)
    assert "there are: '1'" in refusal_of(lambda: load(unnamed)).hint


def test_a_file_encrypted_as_java_8_did_is_read(tmp_path: Path) -> None:
    command = ("pkcs12", "-export", "-legacy", "-name", ALIAS, "-passout", f"pass:{STORE_PASSWORD}")
    path = write(tmp_path / "s.p12", openssl(*command, stdin=key_pem(SERVER) + cert_pem(SERVER)))
    assert load(path).identity.chain == (SERVER.der,)


def test_a_password_with_letters_of_any_alphabet_opens_the_file(tmp_path: Path) -> None:
    assert load(write(tmp_path / "s.p12", p12(SERVER, password="Schlüssel-ключ")), store_password="Schlüssel-ключ")


# -- each way to fail ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*JKS_AND_PKCS12, "chain.p12"])
@pytest.mark.parametrize("wrong", [OTHER_PASSWORD, "", "\udcff", "x" * 5000])
def test_a_wrong_store_password_is_refused_by_the_name_of_its_variable(stores: Stores, name: str, wrong: str) -> None:
    refusal = refusal_of(lambda: load(stores[name], store_password=wrong))
    assert refusal.message == "STORE: can't be opened: COAP_DTLS_KEY_STORE_PASSWORD is wrong, or the file is damaged"
    assert refusal.hint == "set COAP_DTLS_KEY_STORE_PASSWORD"


@pytest.mark.parametrize("wrong", [OTHER_PASSWORD, "", "\udcff"])
def test_a_wrong_key_password_is_refused_by_the_name_of_its_variable(stores: Stores, wrong: str) -> None:
    refusal = refusal_of(lambda: load(stores["server.jks"], key_password=wrong))
    assert refusal.message == ("STORE, alias serveralias: the key can't be decrypted: COAP_DTLS_KEY_PASSWORD is wrong")


def test_an_alias_that_is_not_there_lists_those_that_are(stores: Stores) -> None:
    refusal = refusal_of(lambda: load(stores["server.jks"], "other"))
    assert refusal.message == "STORE: there is no alias 'other'"
    there = "'rsa', 'serveralias'; certificates without key: 'root'"
    assert refusal.hint == f"set COAP_DTLS_KEY_ALIAS to the alias of a key; there are: {there}"
    refusal = refusal_of(lambda: load(stores["coapserver.jks"], "other"))
    assert "there are: 'serveralias'; certificates without key: 'second'" in refusal.hint


@pytest.mark.parametrize(
    ("name", "alias"), [("server.jks", "root"), ("coapserver.jks", "Second"), ("trust.p12", "root")]
)
def test_an_alias_without_a_key_that_can_be_read_is_told_apart(stores: Stores, name: str, alias: str) -> None:
    refusal = refusal_of(lambda: load(stores[name], alias))
    assert refusal.message == f"STORE: no key is found under the alias {alias!r}, but a certificate"
    assert "there are: " in refusal.hint


def test_a_second_key_of_a_pkcs12_file_can_be_read_once_the_cure_was_taken(stores: Stores, tmp_path: Path) -> None:
    assert (
        "keytool -importkeystore -srcalias second" in refusal_of(lambda: load(stores["coapserver.jks"], "second")).hint
    )
    passwords = ("-srcstorepass", STORE_PASSWORD, "-deststorepass", STORE_PASSWORD)
    files = ("-srckeystore", str(stores["coapserver.jks"]), "-destkeystore", "own.p12")
    keytool(tmp_path, "-importkeystore", "-srcalias", "second", *files, *passwords)
    assert names(load(tmp_path / "own.p12", "second")) == ["CN=second"]


def test_a_jceks_file_is_refused_by_name_and_the_command_in_the_hint_cures_it(stores: Stores, tmp_path: Path) -> None:
    path = write(tmp_path / "s.jks", stores["server.jceks"].read_bytes())
    refusal = refusal_of(lambda: load(path))
    assert refusal.message == "STORE: is a JCEKS keystore, which is not read here"
    command = refusal.hint.removeprefix("convert it: ").split()
    command += ["-srcstoretype", "JCEKS", "-srcstorepass", STORE_PASSWORD, "-deststorepass", STORE_PASSWORD]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert names(load(tmp_path / "s.jks.p12")) == ["CN=serveralias"]


@pytest.mark.parametrize(
    ("content", "message", "cure"),
    [
        (cert_pem(SERVER) + key_pem(SERVER), "STORE: is no keystore, but PEM", "COAP_DTLS_CREDENTIALS_TYPE=PEM"),
        (SERVER.der, "STORE: is no keystore, but a certificate in DER", "JKS and PKCS#12"),
        (b"text", "STORE: is no keystore", "JKS and PKCS#12"),
        (b"", "STORE: is no keystore", "JKS and PKCS#12"),
    ],
)
def test_what_is_no_keystore_is_refused_with_what_it_is(
    tmp_path: Path, content: bytes, message: str, cure: str
) -> None:
    refusal = refusal_of(lambda: load(write(tmp_path / "s.jks", content)))
    assert refusal.message == message
    assert cure in refusal.hint


@pytest.mark.parametrize("name", JKS_AND_PKCS12)
@pytest.mark.parametrize("left", [4, 11, 100, -30, -1])
def test_a_file_that_is_cut_short_is_damaged(stores: Stores, tmp_path: Path, name: str, left: int) -> None:
    refusal = refusal_of(lambda: load(write(tmp_path / name, stores[name].read_bytes()[:left])))
    assert "is damaged" in refusal.message or (name, left) == ("coapserver.jks", 4)


def test_a_key_that_its_certificate_does_not_fit_is_refused(tmp_path: Path) -> None:
    chain = [STRANGER.certificate, ROOT.certificate]
    passwords = {"store_password": STORE_PASSWORD, "key_password": KEY_PASSWORD}
    path = write(tmp_path / "s.jks", jks_store(ALIAS, SERVER.key, chain, **passwords))
    assert refusal_of(lambda: load(path)).message == (
        "STORE, alias serveralias: the key does not fit any of the 2 certificates"
    )
    path = write(tmp_path / "s.jks", jks_store(ALIAS, SERVER.key, [], **passwords))
    assert refusal_of(lambda: load(path)).message == "STORE, alias serveralias: the key has no certificate"


def test_a_key_of_a_pkcs12_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    encryption = BestAvailableEncryption(STORE_PASSWORD.encode())
    data = serialize_key_and_certificates(None, SERVER.key, None, None, encryption)
    refusal = refusal_of(lambda: load(write(tmp_path / "s.p12", data), "1"))
    assert refusal.message == "STORE, alias 1: the key has no certificate"


@pytest.mark.parametrize(
    ("sound", "damaged", "message"),
    [
        (
            bytes.fromhex("060a2b060104012a02110101"),
            bytes.fromhex("060a2b060104012a02110102"),
            "STORE, alias serveralias: the key is damaged, or encrypted in a way that is not known",
        ),
        (
            bytes.fromhex("060a2b060104012a02110101"),
            bytes.fromhex("050a2b060104012a02110101"),
            "STORE, alias serveralias: the key is damaged, or encrypted in a way that is not known",
        ),
        (SERVER.der[:8], bytes(8), "STORE, alias serveralias: the certificate is damaged"),
        (b"X.509", b"\xff.509", "STORE: is damaged"),
    ],
    ids=["another algorithm", "no sequence", "no certificate", "no text"],
)
def test_a_jks_entry_that_is_damaged_though_the_digest_is_right_is_refused(
    tmp_path: Path, sound: bytes, damaged: bytes, message: str
) -> None:
    passwords = {"store_password": STORE_PASSWORD, "key_password": KEY_PASSWORD}
    content = jks_store(ALIAS, SERVER.key, [SERVER.certificate], **passwords)[:-20]
    assert sound in content
    path = write(tmp_path / "s.jks", sealed_jks(content.replace(sound, damaged)))
    assert refusal_of(lambda: load(path)).message == message


@pytest.mark.parametrize("kind", ["secp256k1", "rsa1024"])
def test_a_key_of_a_kind_that_is_not_taken_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    odd = device(key=kind)  # type: ignore[arg-type]
    refusal = refusal_of(lambda: load(write(tmp_path / "s.p12", p12(odd))))
    assert refusal.message.startswith("STORE, alias serveralias: the private key is ")
    assert refusal.hint.startswith("take one of: ")


def test_a_key_on_a_curve_that_is_not_known_is_refused(tmp_path: Path) -> None:
    key = openssl("ecparam", "-genkey", "-noout", "-name", "sect163k1")
    (tmp_path / "k.pem").write_bytes(key)
    certificate = openssl("req", "-x509", "-subj", "/CN=odd", "-key", str(tmp_path / "k.pem"))
    command = ("pkcs12", "-export", "-name", ALIAS, "-passout", f"pass:{STORE_PASSWORD}")
    path = write(tmp_path / "s.p12", openssl(*command, stdin=key + certificate))
    refusal = refusal_of(lambda: load(path))
    assert refusal.message == "STORE: holds a key of a kind or curve that is not known"


@pytest.mark.parametrize("name", ["server.jks", "trust.jks"])
def test_without_pyjks_a_jks_file_is_refused_with_two_cures(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("jks", "jks.util", "jks.sun_crypto"):
        monkeypatch.setitem(sys.modules, module, None)
    for call in (lambda: load(stores[name]), lambda: trusted(stores[name])):
        refusal = refusal_of(call)
        assert "pyjks, which is not installed" in refusal.message
        assert refusal.hint.startswith(
            "pip install 'pyjks>=20,<21' (it takes a C compiler), or convert it: keytool -importkeystore"
        )
        assert refusal.hint.endswith(f"-destkeystore {stores[name]}.p12 -deststoretype PKCS12")
    assert load(stores["coapserver.jks"])


def test_no_secret_is_in_a_repr(stores: Stores) -> None:
    access = KeyAccess(ALIAS, STORE_PASSWORD, KEY_PASSWORD)
    text = repr(access) + repr(load(stores["server.jks"])) + repr(read_file(stores["server.jks"], "x"))
    assert STORE_PASSWORD not in text
    assert KEY_PASSWORD not in text
    assert "PrivateKey" not in text


# -- trust stores --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trust.jks", "trust.p12"])
def test_trusted_certificates_are_read_from_either_kind(stores: Stores, name: str) -> None:
    found = trusted(stores[name])
    expected = {x509.load_pem_x509_certificate(stores[file].read_bytes()) for file in ("root.pem", "second.pem")}
    assert (set(found.certificates), found.findings) == (expected, ())


def test_certificates_of_keys_are_not_trusted_and_that_is_said(stores: Stores, tmp_path: Path) -> None:
    found = trusted(stores["server.jks"])
    assert [one.subject.rfc4514_string() for one in found.certificates] == ["CN=root"]
    assert found.findings == ("TRUST: certificates of keys are not trusted: 'serveralias', 'rsa'",)
    found = trusted(write(tmp_path / "s.p12", p12(SERVER, ROOT)))
    assert found.certificates == (ROOT.certificate,)
    assert found.findings == ("TRUST: the certificate of the key 'serveralias' is not trusted, all others in it are",)


def test_a_trust_store_that_trusts_nothing_is_refused(stores: Stores, tmp_path: Path) -> None:
    refusal = refusal_of(lambda: trusted(stores["keys-only.jks"]))
    assert refusal.message == "TRUST: holds no trusted certificate, only keys: 'serveralias'"
    assert refusal.hint.startswith("keytool -importcert")
    assert refusal_of(lambda: trusted(write(tmp_path / "s.p12", p12(STRANGER)))).message.startswith("TRUST: holds no ")


@pytest.mark.parametrize("name", ["trust.jks", "trust.p12"])
def test_a_wrong_password_of_a_trust_store_is_refused_by_its_name(stores: Stores, name: str) -> None:
    refusal = refusal_of(lambda: trusted(stores[name], OTHER_PASSWORD))
    assert refusal.message == "TRUST: can't be opened: TRUST_PASSWORD is wrong, or the file is damaged"


def test_only_jceks_is_refused_as_jceks(stores: Stores) -> None:
    refuse_jceks(read_file(stores["server.jks"], "x"), "x")
    assert refusal_of(lambda: refuse_jceks(read_file(stores["server.jceks"], "x"), "x"))
