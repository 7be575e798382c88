"""Whom the operator's files trust: COAP_DTLS_TRUST_STORE and COAP_DTLS_CRL.

A file that is named must be right. Of a folder, a broken certificate is left out and told of: it lets in fewer. A
broken revocation list is an error there too: without it, those would be let in whom it revokes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from gateway.credentials.files import read_file, refuse
from gateway.credentials.keystores import kind_of, read_trusted, refuse_jceks
from gateway.credentials.pem import CRL_MARK, PEM_MARK, read_certificates, read_crls
from gateway.errors import ConfigurationError
from gateway.settings import Settings

MAX_FOLDER_FILES = 1000
"""Most files of a folder that are read. The folder of all public CAs has 150."""

MAX_CRL_BYTES = 16 << 20
"""Largest file of revocation lists: some 400,000 revoked certificates."""

CERTIFICATE_SUFFIXES = (".pem", ".crt", ".cer")
CRL_SUFFIXES = (".pem", ".crl")

_STORE, _STORE_PASSWORD, _CRL = "COAP_DTLS_TRUST_STORE", "COAP_DTLS_TRUST_STORE_PASSWORD", "COAP_DTLS_CRL"


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """What the files of the trust store and the revocation lists hold."""

    anchors: tuple[x509.Certificate, ...] = ()
    """CAs, and certificates of single devices."""
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    files: tuple[Path, ...] = ()
    """Files and folders that are to be watched for changes."""
    findings: tuple[str, ...] = ()
    """What the operator should know."""


def load_trust_files(settings: Settings) -> TrustFiles:
    """Read what COAP_DTLS_TRUST_STORE and COAP_DTLS_CRL name; nothing where they are not set.

    Raises ConfigurationError.
    """
    store, lists = settings.coap_dtls_trust_store, settings.coap_dtls_crl
    findings: list[str] = []
    anchors: list[x509.Certificate] = []
    crls: list[x509.CertificateRevocationList] = []
    if store is not None and os.path.isdir(store):
        anchors = _certificates_in(store, findings)
    elif store is not None:
        anchors = _trusted(store, settings.coap_dtls_trust_store_password.get_secret_value(), findings)
    if lists is not None and os.path.isdir(lists):
        crls = _crls_in(lists, findings)
    elif lists is not None:
        cure = f"set {_CRL} to a PEM or DER file, or a folder of them; `gateway certs revoke` makes certs/ca.crl"
        crls = _read_crls(lists, cure)
    files = tuple(path for path in (store, lists) if path is not None)
    return TrustFiles(tuple(dict.fromkeys(anchors)), tuple(crls), files, tuple(findings))


def _trusted(path: Path, password: str, findings: list[str]) -> list[x509.Certificate]:
    where = f"{_STORE}={path}"
    cure = f"set {_STORE} to a PEM file, a folder of them, a JKS or a PKCS#12 file"
    file = read_file(path, where, cure_if_missing=cure)
    refuse_jceks(file, where)
    if kind_of(file.data) is None:
        return read_certificates(file.data, where)
    trusted = read_trusted(file, where, password, _STORE_PASSWORD)
    findings += trusted.findings
    return list(trusted.certificates)


def _certificates_in(folder: Path, findings: list[str]) -> list[x509.Certificate]:
    certificates: list[x509.Certificate] = []
    for path in _files_in(folder, CERTIFICATE_SUFFIXES, _STORE, findings):
        where = f"{_STORE}={path}"
        try:
            certificates += read_certificates(read_file(path, where).data, where)
        except ConfigurationError as error:
            findings.append(f"{error.message}; this file is left out")
    return certificates


def _crls_in(folder: Path, findings: list[str]) -> list[x509.CertificateRevocationList]:
    paths = _files_in(folder, CRL_SUFFIXES, _CRL, findings)
    crls = [crl for path in paths for crl in _read_crls(path, "", in_folder=True)]
    if paths and not crls:
        findings.append(f"{_CRL}={folder}: the folder holds no revocation list")
    return crls


def _read_crls(path: Path, cure: str, *, in_folder: bool = False) -> list[x509.CertificateRevocationList]:
    where = f"{_CRL}={path}"
    data = read_file(path, where, limit_bytes=MAX_CRL_BYTES, cure_if_missing=cure).data
    if in_folder and path.suffix.lower() == ".pem" and PEM_MARK in data and CRL_MARK not in data:
        return []  # certificates beside their lists
    return read_crls(data, where)


def _files_in(folder: Path, suffixes: tuple[str, ...], name: str, findings: list[str]) -> list[Path]:
    """The files of a folder that are to be read, by name. Raises ConfigurationError."""
    where = f"{name}={folder}"
    try:
        found = sorted(entry for entry in os.listdir(folder) if entry.lower().endswith(suffixes))
    except OSError as error:
        refuse(error, where)
    if len(found) > MAX_FOLDER_FILES:
        raise ConfigurationError(
            f"{where}: holds {len(found)} files", hint=f"at most {MAX_FOLDER_FILES} are read; put several in one file"
        )
    if not found:
        findings.append(f"{where}: the folder holds no file named {', '.join(f'*{suffix}' for suffix in suffixes)}")
    return [folder / entry for entry in found]
