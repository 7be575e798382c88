"""Issuing: certificates as the gateway's trust policy, RFC 5280 and RFC 7925 §4.4 want them, and revocation lists.

Nothing here touches a file or a clock. Every certificate says what it may be used for, is valid from an hour before
it was made (devices' clocks lag), and has key identifiers, so that a renewed authority is told from its predecessor.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway.credentials.choices import KeyType
from gateway.dtls.keyexchange import PrivateKey, PublicKey
from gateway.dtls.trust_certificates import facts_of
from gateway.errors import ConfigurationError, UsageError

COMMON_NAME_CHARACTERS_MAX = 64
"""Longest common name, in characters (RFC 5280 appendix A.1: ub-common-name)."""

RSA_BITS = 3072
"""Size of new RSA keys: NIST SP 800-57 ends 2048 bits with the year 2030."""

HOST_NAME_CHARACTERS_MAX = 253
"""Longest host name, in characters (RFC 1035 §2.3.4, as text)."""

_LAG = timedelta(hours=1)
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_MAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can issue: its certificate, the key of it, and the CAs between it and its root."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    intermediates: tuple[x509.Certificate, ...] = ()
    """What a peer must send behind its own certificate: this CA and those above it, without the root, which the other
    side has anyway (RFC 5246 §7.4.2). Empty where this CA is a root."""


def new_key(kind: KeyType) -> PrivateKey:
    """A new private key."""
    if kind is KeyType.RSA:
        return rsa.generate_private_key(65537, RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1() if kind is KeyType.P256 else ec.SECP384R1())


def kind_of(key: object) -> KeyType | None:
    """The kind of a public or private key; None for one that is not made here."""
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return KeyType.RSA
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}.get(key.curve.name)
    return None


def issue_authority(name: str, key: PrivateKey, *, days: int, now_s: float) -> x509.Certificate:
    """A root CA's certificate for devices and servers alike, which may have no CAs below it.

    `now_s`: seconds since 1970. Raises UsageError for a name that can't be a CN.
    """
    check_common_name(name)
    subject = _common_name(name)
    builder = (
        _builder(subject, subject, key.public_key(), *_validity(days, now_s))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )
    return builder.sign(key, _hash(key))


def renew_authority(authority: Authority, *, days: int, now_s: float) -> x509.Certificate:
    """A root CA's certificate anew, for the same key and name: what it has issued stays valid.

    Raises ConfigurationError for a CA that another one has issued: that one must renew it.
    """
    old = authority.certificate
    if old.issuer != old.subject:
        raise ConfigurationError(
            f"the authority {common_name(old)!r} is no root: {old.issuer.rfc4514_string()!r} has issued it",
            hint="have it renewed by that one, and replace ca.pem",
        )
    builder = _builder(old.subject, old.subject, authority.key.public_key(), *_validity(days, now_s))
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(authority.key, _hash(authority.key))


def issue_server(
    names: Sequence[str], key: PublicKey, authority: Authority, *, days: int, now_s: float
) -> x509.Certificate:
    """A server's certificate for host names and IP addresses, the first of which is its CN as well.

    It ends with its authority's where that is sooner. Raises UsageError for what is neither host name nor address,
    ConfigurationError for an authority that can't issue.
    """
    alternatives = [host_name(name) for name in names]
    first = next((name for name in names if len(name) <= COMMON_NAME_CHARACTERS_MAX), "gateway")
    return _issue_leaf(first, alternatives, ExtendedKeyUsageOID.SERVER_AUTH, key, authority, days=days, now_s=now_s)


def issue_client(
    name: str, alternatives: Sequence[str], key: PublicKey, authority: Authority, *, days: int, now_s: float
) -> x509.Certificate:
    """A device's certificate, whose CN is the device's name.

    `alternatives`: host names, IP addresses, URIs and e-mail addresses. Raises as `issue_server`, and UsageError for a
    name that can't be a CN.
    """
    check_common_name(name)
    sans = [alternative_name(text) for text in alternatives]
    return _issue_leaf(name, sans, ExtendedKeyUsageOID.CLIENT_AUTH, key, authority, days=days, now_s=now_s)


def issue_crl(
    authority: Authority,
    revoked: Iterable[x509.RevokedCertificate],
    *,
    number: int,
    days: int,
    now_s: float,
) -> x509.CertificateRevocationList:
    """The authority's revocation list (RFC 5280 §5). `number` must be above that of the list before it."""
    # A peer whose clock lags would take a list of this very second for one of the future.
    this_update, next_update = _validity(days, now_s)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key_identifier(authority), critical=False)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(one)
    return builder.sign(authority.key, _hash(authority.key))


def revocation_of(serial_number: int, now_s: float) -> x509.RevokedCertificate:
    """The entry of a revocation list that revokes the certificate with this serial number."""
    moment = datetime.fromtimestamp(int(now_s), UTC)
    return x509.RevokedCertificateBuilder(serial_number, moment).build()


def check_common_name(name: str) -> None:
    """Refuse what can't be a CN, or would be refused as one in a handshake; raises UsageError."""
    if not name or name != name.strip() or not name.isprintable() or len(name) > COMMON_NAME_CHARACTERS_MAX:
        raise UsageError(
            f"name {name!r} can't be in a certificate",
            hint=f"a name is 1 to {COMMON_NAME_CHARACTERS_MAX} printable characters, with no space at either end",
            field="name",
        )


def host_name(text: str) -> x509.GeneralName:
    """A host name, whose first label may be `*`, or an IP address; raises UsageError for anything else."""
    address = _address(text)
    if address is not None:
        return address
    # A last label of digits alone would be read as an IPv4 address (RFC 3696 §2).
    if len(text) > HOST_NAME_CHARACTERS_MAX or not _HOST.fullmatch(text) or text.rpartition(".")[2].isdigit():
        raise UsageError(
            f"{text!r} is neither a host name nor an IP address",
            hint="write it like gateway.example.com, *.example.com, 192.0.2.7 or 2001:db8::7; "
            "a name of other letters in its xn--… form",
        )
    return x509.DNSName(text)


def alternative_name(text: str) -> x509.GeneralName:
    """A subject alternative name: an IP address, a URI such as urn:dev:mac:…, an e-mail address or a host name.

    Raises UsageError for anything else.
    """
    address = _address(text)
    if address is not None:
        return address
    if _URI.fullmatch(text):
        return x509.UniformResourceIdentifier(text)
    if _MAIL.fullmatch(text):
        return x509.RFC822Name(text)
    return host_name(text)


def alternative_names(certificate: x509.Certificate) -> list[str]:
    """A certificate's alternative names as the text that they are made of; other kinds of names are left out."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name)
    return [str(name.value) for name in names if isinstance(name, kinds)]


def common_name(certificate: x509.Certificate) -> str:
    """A certificate's CN, the most specific one; empty where it has none."""
    values = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return str(values[-1]) if values else ""


def _address(text: str) -> x509.IPAddress | None:
    try:
        # The zone of an IPv6 address is of this host alone, and no certificate can hold it.
        return None if "%" in text else x509.IPAddress(ip_address(text))
    except ValueError:
        return None


def _issue_leaf(
    name: str,
    alternatives: Sequence[x509.GeneralName],
    purpose: ObjectIdentifier,
    key: PublicKey,
    authority: Authority,
    *,
    days: int,
    now_s: float,
) -> x509.Certificate:
    not_before, not_after = _validity(days, now_s)
    end = authority.certificate.not_valid_after_utc
    if end.timestamp() <= now_s:
        raise ConfigurationError(
            f"the authority {common_name(authority.certificate)!r} has expired ({end:%Y-%m-%d})",
            hint="gateway certs authority --renew",
        )
    builder = (
        _builder(_common_name(name), authority.certificate.subject, key, not_before, min(not_after, end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_authority_key_identifier(authority), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(authority.key, _hash(authority.key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())  # 159 random bits: positive, and at most 20 bytes
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _validity(days: int, now_s: float) -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(int(now_s), UTC)
    return now - _LAG, now + timedelta(days=days)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(authority: Authority) -> x509.AuthorityKeyIdentifier:
    try:
        own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    return hashes.SHA384() if kind_of(key) is KeyType.P384 else hashes.SHA256()


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority has signed a certificate, by name and signature."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def may_issue(certificate: x509.Certificate) -> bool:
    """Whether a certificate is a CA's, and its key usage, if it has one, lets it sign others (RFC 5280 §4.2.1.3)."""
    facts = facts_of(certificate)
    return facts.is_ca and (facts.key_usage is None or facts.key_usage.key_cert_sign)
