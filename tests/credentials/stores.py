"""Keystores made by the real keytool, and what tests of credentials share."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from gateway.errors import ConfigurationError
from gateway.settings import Settings
from tests.dtls.certificates import Issued

STORE_PASSWORD = "server_ks_password"
KEY_PASSWORD = "server_key_password"
"""ThingsBoard's defaults."""
OTHER_PASSWORD = "another_password"
ALIAS = "serveralias"

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Stores:
    """A folder of what keytool made.

    `ca.p12` has the keys of a root and of a CA below it; `root.pem` is the root's certificate.
    `server.jks` is JKS: the key `serveralias` (EC, a password of its own, self-signed), the key `rsa` (the store's
    password) and the trusted certificate `root`. `chain.jks` is JKS: `serveralias` issued by the CA below the root.
    `coapserver.jks` is PKCS#12: `serveralias` (EC), then `second` (EC P-384). `chain.p12` is `chain.jks`, converted.
    `rsa.p12` is PKCS#12 with `serveralias` (RSA). `server.jceks` is JCEKS. `trust.jks` and `trust.p12` trust `root` and
    `second`; `keys-only.jks` has a key alone.
    """

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def keytool(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run keytool in a folder; its standard output. In English and without waiting for anybody."""
    command = ["keytool", "-J-Duser.language=en", "-J-XX:TieredStopAtLevel=1", "-J-Xshare:auto", *arguments]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run openssl; its standard output."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_stores(folder: Path) -> Stores:
    """What `Stores` says."""

    def pair(store: str, alias: str, *more: str, kind: tuple[str, ...] = ("EC", "-groupname", "secp256r1")) -> None:
        name = ("-dname", f"CN={alias}", "-alias", alias, "-validity", "365", "-storepass", STORE_PASSWORD)
        keytool(folder, "-genkeypair", "-keystore", store, "-keyalg", *kind, *name, *more)

    def trust(store: str, alias: str, file: str, *more: str) -> None:
        given = ("-alias", alias, "-file", file, "-storepass", STORE_PASSWORD)
        keytool(folder, "-importcert", "-noprompt", "-keystore", store, *given, *more)

    def convert(source: str, target: str, *more: str) -> None:
        passwords = ("-srcstorepass", STORE_PASSWORD, "-deststorepass", STORE_PASSWORD)
        keytool(folder, "-importkeystore", "-srckeystore", source, "-destkeystore", target, *passwords, *more)

    jks, rsa, ca = ("-storetype", "JKS"), ("RSA", "-keysize", "2048"), ("-ext", "bc:critical=ca:true")
    pair("ca.p12", "root", *ca)
    pair("ca.p12", "middle", *ca, "-signer", "root")
    export = ("-exportcert", "-rfc", "-storepass", STORE_PASSWORD)
    (folder / "root.pem").write_bytes(keytool(folder, *export, "-keystore", "ca.p12", "-alias", "root"))

    pair("server.jks", "ServerAlias", *jks, "-keypass", KEY_PASSWORD)
    pair("server.jks", "rsa", *jks, kind=rsa)
    trust("server.jks", "root", "root.pem", *jks)

    pair("chain.jks", ALIAS, *jks)
    alias = ("-alias", ALIAS, "-storepass", STORE_PASSWORD)
    request = keytool(folder, "-certreq", "-keystore", "chain.jks", *alias)
    sign = ("-gencert", "-rfc", "-keystore", "ca.p12", "-alias", "middle", "-storepass", STORE_PASSWORD)
    (folder / "reply.pem").write_bytes(keytool(folder, *sign, stdin=request))
    trust("chain.jks", "root", "root.pem", *jks)
    trust("chain.jks", ALIAS, "reply.pem", *jks)
    convert("chain.jks", "chain.p12", "-deststoretype", "PKCS12", "-srcalias", ALIAS)

    pair("coapserver.jks", "ServerAlias")
    pair("coapserver.jks", "second", kind=("EC", "-groupname", "secp384r1"))
    pair("rsa.p12", ALIAS, "-storetype", "PKCS12", kind=rsa)
    pair("server.jceks", ALIAS, "-storetype", "JCEKS")
    pair("keys-only.jks", ALIAS, *jks)
    second = keytool(folder, *export, "-keystore", "coapserver.jks", "-alias", "second")
    (folder / "second.pem").write_bytes(second)
    trust("trust.jks", "root", "root.pem", *jks)
    trust("trust.jks", "second", "second.pem", *jks)
    convert("trust.jks", "trust.p12", "-deststoretype", "PKCS12")
    return Stores(folder)


def settings_of(**values: Any) -> Settings:
    """Settings with these values, and the defaults for all others, whatever the environment says."""
    return Settings(_env_file=None, **values)


def refusal_of(call: Callable[[], object]) -> ConfigurationError:
    """The error that a call ends with. No password of the tests, no key and no PEM is in it."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    text = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    for secret in (STORE_PASSWORD, KEY_PASSWORD, OTHER_PASSWORD, "MII", "MHc", "MC4"):
        assert secret not in text
    assert caught.value.hint
    return caught.value


@contextmanager
def unprivileged() -> Iterator[None]:
    """A user who may not read what is closed to others: root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def cert_pem(*issued: Issued) -> bytes:
    """Certificates in PEM."""
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in issued)


def key_pem(issued: Issued, password: str = "", form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A private key in PEM."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return issued.key.private_bytes(Encoding.PEM, form, encryption)


def p12(issued: Issued | None, *others: Issued, name: str | None = ALIAS, password: str = STORE_PASSWORD) -> bytes:
    """A PKCS#12 file: a key with its certificate under a name, and other certificates in the order given."""
    key = issued.key if issued else None
    certificate = issued.certificate if issued else None
    rest: list[x509.Certificate] = [one.certificate for one in others]
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1000).build(password.encode())
    encoded = name.encode() if name is not None else None
    return pkcs12.serialize_key_and_certificates(encoded, key, certificate, rest, encryption)


def sealed_jks(content: bytes) -> bytes:
    """A JKS file with the digest that it ends with: whoever knows the password can write anything."""
    return content + hashlib.sha1(STORE_PASSWORD.encode("utf-16be") + b"Mighty Aphrodite" + content).digest()


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with a mode; its path."""
    path.write_bytes(content)
    path.chmod(mode)
    return path
