"""The server's certificate from every kind of file, with every kind of key, as libcoap's clients verify it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.credentials.choices import KeyType
from tests.credentials.stores import (
    ALIAS,
    KEY_PASSWORD,
    OTHER_PASSWORD,
    STORE_PASSWORD,
    cert_pem,
    key_pem,
    keytool,
    write,
)
from tests.dtls.certificates import Issued, KeyKind, Options, authority, server

from .harness import Gateway, eventually
from .secure import CLIENTS, NAMED, coaps_client, devices, like, started, validity, write_certificate

KEYS: tuple[KeyKind, ...] = ("p256", "p384", "rsa2048")
INFERRED = "COAP_DTLS_CREDENTIALS_TYPE is not set, but variables of a keystore are: the keystore is used"

every_key = pytest.mark.parametrize("key", KEYS)


class Servers(NamedTuple):
    """Servers' certificates with a key of each kind, issued by a CA below a root."""

    root: Path
    middle: Issued
    issued: dict[KeyKind, Issued]

    def chain(self, key: KeyKind) -> bytes:
        """What the server sends, in PEM."""
        return cert_pem(self.issued[key], self.middle)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A gateway with DTLS alone and no certificate, which is never started: the others are made like it."""
    gateway = Gateway(tmp_path_factory.mktemp("prepared"), {"COAP_SECURITY_MODE": "DTLS"})
    gateway.add_integration("named", NAMED, "--security-mode", "DTLS", "--routing-key", "named")
    return gateway


@pytest.fixture(scope="module")
def another_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA that has issued nothing."""
    return write_certificate(tmp_path_factory.mktemp("another") / "ca.pem", authority("Another CA", **validity()))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """Made once."""
    root = authority("Root CA", **validity())
    middle = authority("Middle CA", issuer=root, **validity())
    folder = tmp_path_factory.mktemp("servers")
    made = {key: server("localhost", issuer=middle, **(validity() | Options(key=key))) for key in KEYS}
    return Servers(write_certificate(folder / "root.pem", root), middle, made)


def check(gateway: Gateway, ca: Path, another_ca: Path) -> None:
    """Have both clients come: they believe the server by its CA, and by no other."""
    url = f"coaps://127.0.0.1:{gateway.dtls_port}/i/named"
    with started(gateway):
        for client in CLIENTS:
            refused = coaps_client(client, url, "-R", str(another_ca), payload=b"refused")
            assert "cannot send CoAP pdu" in refused
            assert coaps_client(client, url, "-R", str(ca), payload=client.encode()) == ""
        eventually(lambda: len(devices(gateway)) == len(CLIENTS), "both have written")
        assert devices(gateway) == dict.fromkeys(CLIENTS)


# -- PEM -------------------------------------------------------------------------------------------


@every_key
def test_certificate_and_key_in_a_pem_file_each(
    prepared: Gateway, servers: Servers, another_ca: Path, tmp_path: Path, key: KeyKind
) -> None:
    gateway = like(prepared, tmp_path)
    write(tmp_path / "coapserver.pem", servers.chain(key))
    write(tmp_path / "coapserver_key.pem", key_pem(servers.issued[key]))
    check(gateway, servers.root, another_ca)


@pytest.mark.parametrize(
    ("key", "password", "settings"),
    [("p256", KEY_PASSWORD, {}), ("rsa2048", OTHER_PASSWORD, {"COAP_DTLS_PEM_KEY_PASSWORD": OTHER_PASSWORD})],
    ids=["default password", "another password"],
)
def test_certificate_and_encrypted_key_in_one_pem_file(
    prepared: Gateway,
    servers: Servers,
    another_ca: Path,
    tmp_path: Path,
    key: KeyKind,
    password: str,
    settings: dict[str, str],
) -> None:
    gateway = like(prepared, tmp_path, COAP_DTLS_PEM_CERT="all.pem", **settings)
    write(tmp_path / "all.pem", servers.chain(key) + key_pem(servers.issued[key], password))
    check(gateway, servers.root, another_ca)


# -- keystores of keytool --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keytools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what the real keytool made: `root.pem`, and keystores such as `p256.jks` and `p256.p12`."""
    folder = tmp_path_factory.mktemp("keytool")
    store = ("-keystore", "all.p12", "-storepass", STORE_PASSWORD)
    kinds = {"p256": "EC -groupname secp256r1", "p384": "EC -groupname secp384r1", "rsa2048": "RSA -keysize 2048"}

    def pair(alias: str, name: str, kind: str, *more: str) -> None:
        keytool(folder, "-genkeypair", *store, "-alias", alias, "-dname", f"CN={name}", "-keyalg", *kind.split(), *more)

    pair("root", "Root CA", kinds["p256"], "-ext", "bc:critical=ca:true")
    (folder / "root.pem").write_bytes(keytool(folder, "-exportcert", "-rfc", *store, "-alias", "root"))
    for key, kind in kinds.items():
        pair(key, "localhost", kind, "-signer", "root", "-ext", "san=dns:localhost,ip:127.0.0.1")
        source = ("-srckeystore", "all.p12", "-srcstorepass", STORE_PASSWORD, "-srcalias", key)
        for suffix, more in {"jks": ("JKS", "-destkeypass", KEY_PASSWORD), "p12": ("PKCS12",)}.items():
            target = ("-destkeystore", f"{key}.{suffix}", "-deststorepass", STORE_PASSWORD, "-destalias", ALIAS)
            keytool(folder, "-importkeystore", *source, *target, "-deststoretype", *more)
    return folder


@pytest.mark.parametrize(("suffix", "kind"), [("jks", "JKS"), ("p12", "PKCS12")])
@every_key
def test_keystores_of_keytool(
    prepared: Gateway, keytools: Path, another_ca: Path, tmp_path: Path, key: KeyKind, suffix: str, kind: str
) -> None:
    settings = {
        "COAP_DTLS_CREDENTIALS_TYPE": "KEYSTORE",
        "COAP_DTLS_KEY_STORE_TYPE": kind,
        "COAP_DTLS_KEY_STORE": str(keytools / f"{key}.{suffix}"),
    }
    gateway = like(prepared, tmp_path, **settings)
    check(gateway, keytools / "root.pem", another_ca)
    assert f"the server's certificate: {keytools / key}.{suffix}, alias {ALIAS}" in gateway.log
    assert INFERRED not in gateway.log


# -- what `gateway certs` makes --------------------------------------------------------------------

FILES = {
    "PEM": {},
    "JKS": {"COAP_DTLS_CREDENTIALS_TYPE": "KEYSTORE"},
    "PKCS12": {
        "COAP_DTLS_CREDENTIALS_TYPE": "KEYSTORE",
        "COAP_DTLS_KEY_STORE": "coapserver.p12",
        "COAP_DTLS_KEY_STORE_TYPE": "PKCS12",
    },
}
"""How to choose among them. Names, alias and passwords are the defaults: ThingsBoard's."""


@pytest.fixture(scope="module")
def made(prepared: Gateway, tmp_path_factory: pytest.TempPathFactory) -> dict[KeyType, Gateway]:
    """Gateways for which `gateway certs server` has made everything, with each kind of key."""
    gateways = {kind: like(prepared, tmp_path_factory.mktemp(kind)) for kind in KeyType}
    for kind, gateway in gateways.items():
        gateway.command("certs", "server", "--folder", ".", "--key-type", kind)
    return gateways


@pytest.mark.parametrize(
    ("kind", "file"),
    [*((KeyType.P256, file) for file in FILES), (KeyType.P384, "JKS"), (KeyType.RSA, "JKS"), (KeyType.RSA, "PKCS12")],
)
def test_files_of_gateway_certs_serve_with_default_settings(
    made: dict[KeyType, Gateway], another_ca: Path, tmp_path: Path, kind: KeyType, file: str
) -> None:
    check(like(made[kind], tmp_path, **FILES[file]), tmp_path / "ca.pem", another_ca)


def test_a_keystore_is_used_where_only_its_variables_are_set(
    made: dict[KeyType, Gateway], another_ca: Path, tmp_path: Path
) -> None:
    gateway = like(made[KeyType.P256], tmp_path, COAP_DTLS_KEY_STORE="coapserver.jks")
    check(gateway, tmp_path / "ca.pem", another_ca)
    assert gateway.log.count(INFERRED) == 1
    assert f"the server's certificate: coapserver.jks, alias {ALIAS}" in gateway.log


def test_pem_files_are_used_where_that_is_said_whatever_is_set_of_a_keystore(
    made: dict[KeyType, Gateway], another_ca: Path, tmp_path: Path
) -> None:
    settings = {"COAP_DTLS_CREDENTIALS_TYPE": "PEM", "COAP_DTLS_KEY_STORE": "missing.jks"}
    gateway = like(made[KeyType.P256], tmp_path, **settings)
    check(gateway, tmp_path / "ca.pem", another_ca)
    assert INFERRED not in gateway.log
    assert "the server's certificate: coapserver.pem" in gateway.log
