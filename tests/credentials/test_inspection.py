"""Looking into files: whatever is in them is shown, or refused with a reason."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.files import CredentialFile
from gateway.credentials.inspection import (
    FoundKey,
    Item,
    extension_texts,
    key_text,
    public_key_of,
    read_items,
    spki_fingerprint,
)
from gateway.errors import ConfigurationError
from tests.credentials.stores import KEY_PASSWORD, STORE_PASSWORD, Stores, cert_pem, key_pem, openssl, p12
from tests.dtls.certificates import Issued, authority, device, server

CA = authority()
SENSOR = device(issuer=CA)
PASSWORDS = (STORE_PASSWORD, KEY_PASSWORD)


def look(data: bytes | Path, *passwords: str) -> list[Item]:
    path = data if isinstance(data, Path) else Path("file")
    content = data.read_bytes() if isinstance(data, Path) else data
    return read_items(CredentialFile(path, content, 0o600), passwords)


def only_key(items: list[Item]) -> FoundKey:
    (key,) = [item.content for item in items if isinstance(item.content, FoundKey)]
    return key


def fits(key: FoundKey, issued: Issued) -> bool:
    return key.public == issued.key.public_key()


def test_all_that_is_in_a_pem_file_is_shown() -> None:
    items = look(cert_pem(SENSOR, CA) + key_pem(SENSOR) + openssl("pkey", "-pubout", stdin=key_pem(CA)))
    assert [item.content for item in items[:2]] == [SENSOR.certificate, CA.certificate]
    private, public = (item.content for item in items[2:])
    assert isinstance(private, FoundKey) and isinstance(public, FoundKey)
    assert private.private and fits(private, SENSOR)
    assert not public.private and fits(public, CA)
    assert {item.where for item in items} == {"file"}


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened_with_any_of_the_passwords_or_shown_as_locked(form: PrivateFormat) -> None:
    data = key_pem(SENSOR, "right", form)
    for passwords in ((), ("wrong",)):
        locked = only_key(look(data, *passwords))
        assert (locked.public, locked.private, locked.encrypted) == (None, True, True)
    opened = only_key(look(data, "wrong", "right"))
    assert fits(opened, SENSOR) and opened.encrypted


def test_der_is_told_apart_by_what_it_is(tmp_path: Path) -> None:
    key = SENSOR.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = SENSOR.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert [item.content for item in look(SENSOR.der)] == [SENSOR.certificate]
    assert only_key(look(key)).private
    assert not only_key(look(public)).private
    encrypted = openssl("pkcs8", "-topk8", "-outform", "DER", "-passout", "pass:right", stdin=key_pem(SENSOR))
    assert fits(only_key(look(encrypted, "wrong", "right")), SENSOR)


def test_keystores_show_every_alias_with_its_chain_and_its_key(stores: Stores) -> None:
    def shape(name: str) -> set[tuple[str | None, bool]]:
        return {(item.alias, isinstance(item.content, FoundKey)) for item in look(stores[name], *PASSWORDS)}

    assert shape("server.jks") == {
        ("serveralias", False), ("serveralias", True), ("rsa", False), ("rsa", True), ("root", False)
    }  # fmt: skip
    keys = [item.content for item in look(stores["server.jks"], *PASSWORDS) if isinstance(item.content, FoundKey)]
    assert all(key.public is not None and key.encrypted for key in keys)
    chain = [
        item.content for item in look(stores["chain.jks"], *PASSWORDS) if isinstance(item.content, x509.Certificate)
    ]
    assert [one.subject.rfc4514_string() for one in chain if one.subject][:3] == [
        "CN=serveralias",
        "CN=middle",
        "CN=root",
    ]
    assert ("serveralias", True) in shape("coapserver.jks")  # PKCS#12 by another name
    assert shape("trust.p12") == {("root", False), ("second", False)}


def test_a_key_in_a_jks_that_no_password_opens_is_shown_as_locked(stores: Stores) -> None:
    keys = {item.alias: item.content for item in look(stores["server.jks"], STORE_PASSWORD)}
    locked = keys["serveralias"]
    assert isinstance(locked, FoundKey) and locked.public is None


@pytest.mark.parametrize("name", ["server.jks", "coapserver.jks", "trust.p12"])
@pytest.mark.parametrize("passwords", [(), ("wrong",)])
def test_a_keystore_that_no_password_opens_names_the_option(
    stores: Stores, name: str, passwords: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError, match="can't be opened") as error:
        look(stores[name], *passwords)
    assert "--password" in error.value.hint


def test_jceks_is_refused_by_name(stores: Stores) -> None:
    with pytest.raises(ConfigurationError, match="JCEKS"):
        look(stores["server.jceks"], *PASSWORDS)


def test_a_pkcs12_file_without_names_has_no_alias() -> None:
    items = look(p12(SENSOR, CA, name=None), STORE_PASSWORD)
    assert [(item.where, item.alias) for item in items] == [("file", None)] * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds nothing that is known"),
        (b"\x30\x03\x02\x01\x05", "holds nothing that is known|can't be opened"),
        (b"hello", "holds nothing that is known"),
        (SENSOR.der[:-1], "holds nothing that is known"),
        (cert_pem(SENSOR)[:-10], "a PEM block does not end"),
        (b"-----BEGIN ", "a PEM block does not end"),
        (b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", "holds only EC PARAMETERS"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a PRIVATE KEY is damaged"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "a PUBLIC KEY is damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 is damaged"),
        (b"\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x09", "."),
    ],
)
def test_what_can_not_be_shown_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        look(data, *PASSWORDS)


def test_many_blocks_that_do_not_end_take_no_time() -> None:
    with pytest.raises(ConfigurationError, match="does not end"):
        look(b"-----BEGIN CERTIFICATE-----\n" * 35_000)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda junk: b"-----BEGIN " + junk + b"-----END "))
def test_any_bytes_are_shown_or_refused(data: bytes) -> None:
    try:
        look(data, "password")
    except ConfigurationError as error:
        assert error.message


@given(st.data())
def test_a_changed_byte_is_shown_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([SENSOR.der, p12(SENSOR), cert_pem(SENSOR), key_pem(SENSOR)]))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        for item in look(changed, STORE_PASSWORD):
            public_key_of(item.content)
            if isinstance(item.content, x509.Certificate):
                extension_texts(item.content)
    except ConfigurationError as error:
        assert error.message


def test_keys_of_all_kinds_are_named() -> None:
    named = {
        key_text(ec.generate_private_key(ec.SECP521R1()).public_key()),
        key_text(rsa.generate_private_key(65537, 1024).public_key()),
        key_text(ed448.Ed448PrivateKey.generate().public_key()),
        key_text(x25519.X25519PrivateKey.generate().public_key()),
        key_text(dsa.generate_private_key(1024).public_key()),
    }
    assert named == {"EC secp521r1", "RSA 1024", "Ed448", "X25519", "DSA 1024"}


def test_the_fingerprint_of_a_public_key_is_that_of_openssl(tmp_path: Path) -> None:
    public = openssl("pkey", "-pubout", "-outform", "DER", stdin=key_pem(SENSOR))
    digest = subprocess.run(["sha256sum"], input=public, capture_output=True, check=True).stdout.split()[0].decode()
    assert spki_fingerprint(SENSOR.key.public_key()) == digest


def test_extensions_are_told_in_rfc_5280s_words() -> None:
    assert extension_texts(CA.certificate) == {
        "names": [],
        "ca": True,
        "path_length": None,
        "key_usage": ["keyCertSign", "cRLSign"],
        "extended_key_usage": [],
        "critical_and_not_understood": [],
    }
    told = extension_texts(server("gateway.example", issuer=CA).certificate)
    assert (told["names"], told["key_usage"]) == (["gateway.example"], ["digitalSignature"])
    assert told["extended_key_usage"] == ["serverAuth"]
