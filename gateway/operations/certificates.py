"""Certificates: the server's and the trusted ones looked at, a device's issued, found again and revoked."""

import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from gateway.credentials.choices import CRL_DAYS, FOLDER, KeyType, Purpose
from gateway.credentials.files import unwarned
from gateway.credentials.folder import CertificateFolder
from gateway.credentials.register import Entry, authority_fingerprint, plain_hex, read_serial
from gateway.credentials.server import load_server_credentials
from gateway.credentials.trust_files import load_trust_files
from gateway.credentials.writing import certificates_pem, key_pem, locked_folder, pkcs12_store
from gateway.errors import ConfigurationError
from gateway.operations.catalogue import follow_files
from gateway.settings import Settings
from gateway.storage.credential_store import Trusted

_STORE: Final = "COAP_DTLS_TRUST_STORE"
_CRL: Final = "COAP_DTLS_CRL"
_RELOAD: Final = "TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_ENABLED"


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


class IssuedCertificate(NamedTuple):
    """A certificate that is on record."""

    entry: Entry
    revoked_ms: int | None
    """Since when it is revoked, in milliseconds since 1970; None where it is not."""
    is_foreign: bool
    """Whether it is of another authority than the one that is in the folder now, which can't revoke it."""


class IssuedCertificates(NamedTuple):
    """Those that are on record, the newest first."""

    certificates: list[IssuedCertificate]
    findings: tuple[str, ...]
    """What the operator should know."""


class Revocation(NamedTuple):
    """What became of a certificate that was to be revoked."""

    certificate: IssuedCertificate
    already: bool
    """Whether it was revoked before."""
    hint: str
    """What has to be done for that to be in force; empty where nothing has."""


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
    return certificates_pem([CertificateFolder(folder, time.time()).authority_certificate()])


def issued_certificates(
    folder: Path = FOLDER, *, search: str = "", purpose: Purpose | None = None
) -> IssuedCertificates:
    """What is on record, and what of it is revoked.

    `search` is a part of a name, of the serial number or of the fingerprint, upper and lower case alike; a serial
    number may be as `read_serial` takes it. Raises ConfigurationError where record or revocation list can't be read,
    NotFoundError where there is no authority.
    """
    there = CertificateFolder(folder, time.time())
    ours = authority_fingerprint(there.authority_certificate())
    entries, findings = there.register.read()
    revoked = there.revoked()
    is_meant = _looked_for(search)
    found = [
        _issued(entry, ours, revoked)
        for entry in reversed(list(entries.values()))
        if purpose in (None, entry.purpose) and is_meant(entry)
    ]
    return IssuedCertificates(found, findings)


def revoke_client(settings: Settings, serial: str, folder: Path = FOLDER) -> Revocation:
    """Revoke a device's certificate by its serial number; a running gateway has followed then, where it is to.

    Raises UsageError for what is no serial number, or that of another authority's certificate; NotFoundError for a
    certificate that is not on record or is no device's, ConfigurationError where the authority can't revoke.
    """
    serial = read_serial(serial)
    there = _folder_of_authority(settings, folder)
    with locked_folder(folder):
        entry = there.on_record(serial, Purpose.CLIENT)
        is_new = there.revoke_entry(entry, CRL_DAYS)
        since_ms = there.revoked().get(int(serial, 16))
    hint = what_enforces(settings, folder)
    if not hint:
        late: list[str] = []
        follow_files(settings.gateway_data_dir, late.append)
        hint = "".join(f"it is followed when the gateway can: {why}" for why in late)
    return Revocation(IssuedCertificate(entry, since_ms, is_foreign=False), not is_new, hint)


def what_enforces(settings: Settings, folder: Path = FOLDER) -> str:
    """What has to be done for the gateway to go by the folder's revocation list; empty where it does."""
    file, named = CertificateFolder(folder, time.time()).crl_file, settings.coap_dtls_crl
    ours = map(os.path.realpath, (file, folder))
    if named is None or os.path.realpath(named) not in ours:
        also = "" if named is None else ", or to a folder with all lists in it"
        return f"set {_CRL}={file}{also}, and restart the gateway: it does not look at this list"
    if not settings.tb_transport_ssl_certificate_reload_enabled:
        return f"have the gateway reload (SIGHUP): by {_RELOAD}=false it does not follow its files"
    return ""


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
    """A new certificate of a device with its key. It is on record; nothing else of it is kept here.

    In PEM the key, encrypted where there is a password, then the certificate and the CAs above it, without the root. A
    PKCS#12 file has the root as well, and needs a password. Raises UsageError for a name that can't be in a
    certificate, NotFoundError where the folder has no authority, ConfigurationError where that can't issue.
    """
    there = _folder_of_authority(settings, folder)
    with locked_folder(folder):
        made = there.hand_out(name, alternatives, days=days, key_type=key_type)
    if container is Container.PKCS12:
        return pkcs12_store(name, made.key, (*made.chain, made.authority), password)
    return key_pem(made.key, password.encode() or None) + certificates_pem(made.chain)


def _folder_of_authority(settings: Settings, folder: Path) -> CertificateFolder:
    """The folder for its authority to work in. One that has none is not made: raises NotFoundError."""
    there = CertificateFolder(folder, time.time(), settings.coap_dtls_pem_key_password.get_secret_value())
    there.authority_certificate()
    return there


def _issued(entry: Entry, ours: str, revoked: dict[int, int]) -> IssuedCertificate:
    # A list says nothing of another authority's certificates, even if it has a number of theirs.
    is_foreign = entry.authority_sha256 != ours
    return IssuedCertificate(entry, None if is_foreign else revoked.get(int(entry.serial, 16)), is_foreign)


def _looked_for(search: str) -> Callable[[Entry], bool]:
    folded = search.casefold()
    digits, number = folded.replace(":", ""), plain_hex(search)

    def is_meant(entry: Entry) -> bool:
        if any(folded in name.casefold() for name in (entry.name, *entry.names)):
            return True
        if digits and any(digits in one for one in (entry.serial, entry.fingerprint_sha256)):
            return True
        return bool(number) and entry.serial.startswith(number)  # with 0x or zeros before it, it is from the beginning

    return is_meant


def _certificate(der: bytes) -> x509.Certificate:
    with unwarned():
        return x509.load_der_x509_certificate(der)
