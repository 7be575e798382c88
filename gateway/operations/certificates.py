"""Certificates: the server's and the trusted ones looked at, a device's issued and handed out."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from gateway.credentials.choices import FOLDER, KeyType
from gateway.credentials.files import read_file, unwarned
from gateway.credentials.folder import CertificateFolder
from gateway.credentials.pem import read_certificates
from gateway.credentials.server import load_server_credentials
from gateway.credentials.trust_files import load_trust_files
from gateway.credentials.writing import certificates_pem, key_pem, pkcs12_store
from gateway.errors import ConfigurationError, NotFoundError
from gateway.settings import Settings
from gateway.storage.credential_store import Trusted

_STORE: Final = "COAP_DTLS_TRUST_STORE"


class Container(StrEnum):
    """How a certificate and its key are handed out."""

    PEM = "pem"
    PKCS12 = "pkcs12"


class ServerChain(NamedTuple):
    """The server's own certificate."""

    source: str
    """The file, and in a keystore the alias."""
    chain: tuple[x509.Certificate, ...]
    findings: tuple[str, ...]
    """What the operator should know."""


class Anchor(NamedTuple):
    """A certificate that clients are trusted by."""

    source: str
    """`COAP_DTLS_TRUST_STORE`, or the name under which it is in the catalogue."""
    certificate: x509.Certificate


class Anchors(NamedTuple):
    """All of them."""

    certificates: list[Anchor]
    findings: tuple[str, ...]
    """What the operator should know, such as that a file can't be used."""


def server_chain(settings: Settings) -> ServerChain:
    """What the server shows its clients. Raises ConfigurationError where its files can't be used."""
    credentials = load_server_credentials(settings, now_s=time.time())
    return ServerChain(credentials.source, tuple(map(_certificate, credentials.identity.chain)), credentials.findings)


def trust_anchors(settings: Settings, trusted: list[Trusted]) -> Anchors:
    """Those of the files, then those of the catalogue."""
    kept = [Anchor(one.name, _certificate(one.der)) for one in trusted if one.kind != "key"]
    try:
        files = load_trust_files(settings)
    except ConfigurationError as error:
        return Anchors(kept, (error.message,))
    return Anchors([*(Anchor(_STORE, certificate) for certificate in files.anchors), *kept], files.findings)


def authority_pem(folder: Path = FOLDER) -> bytes:
    """The authority's certificate, which devices check the server's with. Raises NotFoundError where there is none."""
    file = CertificateFolder(folder, time.time()).authority_file
    if not file.exists():
        raise NotFoundError(f"there is no authority in {folder}", hint="gateway certs authority")
    return certificates_pem(read_certificates(read_file(file, str(file)).data, str(file))[:1])


def client_container(
    settings: Settings,
    name: str,
    alternatives: list[str],
    *,
    days: int,
    key_type: KeyType,
    container: Container,
    password: str,
    folder: Path = FOLDER,
) -> bytes:
    """A new certificate of a device with its key, and nothing of them kept here.

    In PEM the key, encrypted where there is a password, then the certificate and the CAs above it, without the root. A
    PKCS#12 file has the root as well, and needs a password. Raises UsageError for a name that can't be in a
    certificate, NotFoundError where the folder has no authority, ConfigurationError where that can't issue.
    """
    key_password = settings.coap_dtls_pem_key_password.get_secret_value()
    there = CertificateFolder(folder, time.time(), key_password)
    made = there.hand_out(name, alternatives, days=days, key_type=key_type)
    if container is Container.PKCS12:
        return pkcs12_store(name, made.key, (*made.chain, made.authority), password)
    return key_pem(made.key, password.encode() or None) + certificates_pem(made.chain)


def _certificate(der: bytes) -> x509.Certificate:
    with unwarned():
        return x509.load_der_x509_certificate(der)
