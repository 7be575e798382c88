"""What is in a file: certificates, revocation lists, keys and keystores, of whatever kind and however old.

This is for looking, so it takes what a handshake would refuse. It raises ConfigurationError alone, whatever is in
the file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.credentials.files import CredentialFile, unwarned
from gateway.credentials.issuing import alternative_names
from gateway.credentials.jks_files import read_jks
from gateway.credentials.keystores import Kind, kind_of, refuse_jceks
from gateway.credentials.pem import PEM_MARK, read_certificates, read_crls
from gateway.dtls.trust_certificates import UNREADABLE, CertificateFacts, facts_of
from gateway.errors import ConfigurationError
from gateway.model import JsonValue

PASSWORD_OPTION = "--password"

_UNREADABLE = (*UNREADABLE, x509.InvalidVersion)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key, or that there is one which no password opened."""

    public: PublicKeyTypes | None = field(repr=False)
    """Its public half; None: it stays encrypted."""
    private: bool
    encrypted: bool


Content: TypeAlias = x509.Certificate | x509.CertificateRevocationList | FoundKey


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a file."""

    file: Path
    alias: str | None
    """Under which it is in a keystore."""
    content: Content

    @property
    def where(self) -> str:
        """The file and the alias."""
        return _where(self.file, self.alias)


def read_items(file: CredentialFile, passwords: Sequence[str]) -> list[Item]:
    """All that is in a file, at least one thing. `passwords` are tried in turn.

    Raises ConfigurationError: nothing that is known, damaged, or a keystore that no password opens.
    """
    where = str(file.path)
    refuse_jceks(file, where)
    if PEM_MARK in file.data:
        return [Item(file.path, None, content) for content in _pem(file.data, where, passwords)]
    if kind_of(file.data) is Kind.JKS:
        return list(_jks(file, passwords))
    content = _der(file.data, passwords)
    if content is not None:
        return [Item(file.path, None, content)]
    if kind_of(file.data) is Kind.PKCS12:
        return list(_pkcs12(file, passwords))
    raise ConfigurationError(
        f"{where}: holds nothing that is known",
        hint="certificates, revocation lists and keys in PEM or DER, JKS and PKCS#12 keystores are",
    )


def key_text(key: PublicKeyTypes) -> str:
    """A key's kind and size, such as `EC secp256r1` or `RSA 3072`."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    kind = type(key).__name__.removesuffix("PublicKey").strip("_")
    return f"{kind} {key.key_size}" if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)) else kind


def spki_fingerprint(key: PublicKeyTypes) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, by which a raw public key is trusted (RFC 7250): 64 hex digits."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def extension_texts(certificate: x509.Certificate) -> dict[str, JsonValue]:
    """What a certificate's extensions say; raises ConfigurationError where they are malformed."""
    try:
        with unwarned():
            facts = facts_of(certificate)
    except UNREADABLE as error:
        raise ConfigurationError(
            f"the certificate of {certificate.subject.rfc4514_string()!r} is malformed: {error}",
            hint="have it issued again",
        ) from None
    return {
        "names": alternative_names(certificate),
        "ca": facts.is_ca,
        "path_length": facts.path_length,
        "key_usage": [] if facts.key_usage is None else _usages(facts.key_usage),
        "extended_key_usage": sorted(map(_purpose, facts.purposes or ())),
        "critical_and_not_understood": list(facts.not_understood),
    }


def certificate_facts(der: bytes) -> CertificateFacts:
    """What a certificate says; raises one of `UNREADABLE` where it can't be read."""
    with unwarned():
        return facts_of(x509.load_der_x509_certificate(der))


def public_key_of(content: Content) -> PublicKeyTypes | None:
    """The public key of a certificate or key; None where there is none that can be read."""
    if isinstance(content, FoundKey):
        return content.public
    if isinstance(content, x509.CertificateRevocationList):
        return None
    try:
        return content.public_key()
    except UNREADABLE:
        return None


def _usages(usage: x509.KeyUsage) -> list[str]:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign"]
    return [_camel(name) for name in names if getattr(usage, name)]


def _camel(name: str) -> str:
    """As RFC 5280 writes it: digitalSignature, cRLSign."""
    first, *others = name.replace("crl", "cRL").split("_")
    return first + "".join(other.capitalize() for other in others)


def _purpose(oid: x509.ObjectIdentifier) -> str:
    names = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
    return names.get(oid, oid.dotted_string)


def _pem(data: bytes, where: str, passwords: Sequence[str]) -> Iterator[Content]:
    blocks = list(_blocks(data, where))
    labels = {label for label, _ in blocks}
    if not labels.isdisjoint(("CERTIFICATE", "X509 CERTIFICATE")):
        yield from read_certificates(data, where)
    if "X509 CRL" in labels:
        yield from read_crls(data, where)
    keys = [(label, text) for label, text in blocks if label.endswith(("PRIVATE KEY", "PUBLIC KEY"))]
    for label, text in keys:
        yield _pem_key(label, text, where, passwords)
    if not keys and labels.isdisjoint(("CERTIFICATE", "X509 CERTIFICATE", "X509 CRL")):
        raise ConfigurationError(
            f"{where}: holds only {', '.join(sorted(labels)[:5])}",
            hint="certificates, revocation lists and keys can be shown",
        )


def _blocks(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Labels of PEM blocks, and each block as a file of its own."""
    begin = data.find(PEM_MARK)
    while begin >= 0:
        label, dashes, _ = data[begin + len(PEM_MARK) : begin + len(PEM_MARK) + 50].partition(b"-----")
        mark = b"-----END " + label + b"-----"
        end = data.find(mark, begin) if dashes else -1
        if end < 0:
            raise ConfigurationError(f"{where}: is damaged: a PEM block does not end", hint="export or copy it again")
        yield label.decode("ascii", "replace"), data[begin : end + len(mark)] + b"\n"
        begin = data.find(PEM_MARK, end)


def _pem_key(label: str, text: bytes, where: str, passwords: Sequence[str]) -> FoundKey:
    try:
        if label.endswith("PUBLIC KEY"):
            return FoundKey(load_pem_public_key(text), private=False, encrypted=False)
        encrypted = b"ENCRYPTED" in text
        for password in passwords if encrypted else (None,):
            try:
                key = load_pem_private_key(text, None if password is None else _bytes(password))
            except ValueError:
                if not encrypted:
                    raise
            else:
                return FoundKey(key.public_key(), private=True, encrypted=encrypted)
    except (*_UNREADABLE, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{where}: a {label} is damaged, or of a kind that is not known", hint="restore the file from a copy"
        ) from None
    return FoundKey(None, private=True, encrypted=True)


def _der(data: bytes, passwords: Sequence[str]) -> Content | None:
    """A certificate, a revocation list or a key; None for anything else."""
    with unwarned():
        for load in (x509.load_der_x509_certificate, x509.load_der_x509_crl):
            try:
                return load(data)
            except _UNREADABLE:
                continue
        try:
            return FoundKey(load_der_public_key(data), private=False, encrypted=False)
        except _UNREADABLE:
            pass
        for password in (None, *passwords):
            try:
                key = load_der_private_key(data, None if password is None else _bytes(password))
            except _UNREADABLE:
                continue
            return FoundKey(key.public_key(), private=True, encrypted=password is not None)
    return None


def _jks(file: CredentialFile, passwords: Sequence[str]) -> Iterator[Item]:
    where = str(file.path)
    refusal: ConfigurationError | None = None
    for password in passwords:
        try:
            store = read_jks(file, where, password, PASSWORD_OPTION, "convert it to PKCS#12 with keytool")
        except ConfigurationError as error:
            refusal = refusal or error
            continue
        for alias, entry in store.keys.items():
            at = _where(file.path, alias)
            yield from (Item(file.path, alias, _certificate(der, at)) for der in entry.chain)
            key = _jks_key((entry.decrypt(one, at) for one in (password, *passwords)), at)
            yield Item(file.path, alias, key)
        for alias, der in store.trusted.items():
            yield Item(file.path, alias, _certificate(der, _where(file.path, alias)))
        return
    raise refusal or _locked(where)


def _jks_key(decrypted: Iterator[bytes | None], where: str) -> FoundKey:
    for der in decrypted:
        if der is not None:
            try:
                return FoundKey(load_der_private_key(der, None).public_key(), private=True, encrypted=True)
            except _UNREADABLE:
                raise ConfigurationError(f"{where}: the key is damaged", hint="restore the file from a copy") from None
    return FoundKey(None, private=True, encrypted=True)


def _pkcs12(file: CredentialFile, passwords: Sequence[str]) -> Iterator[Item]:
    where = str(file.path)
    for password in (None, *passwords):
        try:
            with unwarned():
                store = load_pkcs12(file.data, None if password is None else _bytes(password))
        except _UNREADABLE:
            continue
        entries = [entry for entry in (store.cert, *store.additional_certs) if entry is not None]
        for entry in entries:
            yield Item(file.path, _name(entry.friendly_name), entry.certificate)
        if store.key is not None:
            alias = _name(store.cert.friendly_name) if store.cert is not None else None
            yield Item(file.path, alias, FoundKey(store.key.public_key(), private=True, encrypted=True))
        return
    raise _locked(where)


def _certificate(der: bytes, where: str) -> x509.Certificate:
    return read_certificates(der, where)[0]


def _where(file: Path, alias: str | None) -> str:
    return str(file) if alias is None else f"{file} (alias {alias})"


def _name(friendly: bytes | None) -> str | None:
    return friendly.decode("utf-8", "replace") if friendly else None


def _locked(where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: can't be opened: the password is wrong, or the file is damaged",
        hint=f"give it with {PASSWORD_OPTION}",
    )


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogateescape")
