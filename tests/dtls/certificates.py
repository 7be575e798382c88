"""Certificates for tests: authorities, devices, servers and revocation lists, as sound or as odd as a test wants them.

ca = authority()
sensor = device("sensor-1", issuer=ca)
chain = sensor.chain()              # DER; sensor.chain(intermediate) to send more
TrustPolicy([ca.certificate]).client_principal(chain, NOW_S)
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias, TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.dtls.keyexchange import PrivateKey

NOW_S = 1_750_000_000.0
"""The tests' time: certificates are valid from a day before to a year after, unless told otherwise."""
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S

KeyKind: TypeAlias = Literal["p256", "p384", "p521", "secp256k1", "ed25519", "rsa1024", "rsa2048", "rsa3072"]
_CURVES: dict[str, ec.EllipticCurve] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Options(TypedDict, total=False):
    """How a certificate differs from the usual one."""

    key: KeyKind | PrivateKey
    """P-256 by default."""
    subject: x509.Name
    """Instead of one that has the name as its CN alone."""
    ca: bool | None
    """basicConstraints; None: without."""
    path_length: int | None
    key_usage: Collection[str] | None
    """Names such as `digital_signature`; None: without."""
    purposes: Collection[x509.ObjectIdentifier] | None
    """The extended key usage; None: without."""
    sans: Collection[x509.GeneralName] | None
    key_ids: bool
    """Whether it has a subject key identifier, and an authority key identifier below an issuer."""
    not_before_s: float
    not_after_s: float
    serial: int
    extensions: Sequence[tuple[x509.ExtensionType, bool]]
    """Further ones, with whether they are critical."""
    pss: bool
    """Signed with RSA-PSS (by an RSA issuer)."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate, as it goes over the wire."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 in lower-case hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def public_key_info(self) -> bytes:
        """The raw public key (RFC 7250)."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def chain(self, *others: "Issued") -> tuple[bytes, ...]:
        """This certificate and then others, as a Certificate message has them."""
        return (self.der, *(other.der for other in others))


def new_key(kind: KeyKind = "p256") -> PrivateKey:
    """A new private key."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key(_CURVES[kind])


def common_name(name: str) -> x509.Name:
    """A subject that has a CN alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority(name: str = "Test CA", *, issuer: Issued | None = None, **options: Unpack[Options]) -> Issued:
    """A CA: a root, or an intermediate where it has an issuer."""
    return issue(name, issuer, Options(ca=True, key_usage=("key_cert_sign", "crl_sign")) | options)


def device(name: str = "device-1", *, issuer: Issued | None = None, **options: Unpack[Options]) -> Issued:
    """A client's certificate that says all that RFC 7925 wants of one; signed by itself where it has no issuer."""
    usual = Options(key_usage=("digital_signature",), purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    return issue(name, issuer, usual | options)


def server(name: str = "gateway.example", *, issuer: Issued | None = None, **options: Unpack[Options]) -> Issued:
    """A server's certificate for a host name; signed by itself where it has no issuer."""
    usual = Options(
        key_usage=("digital_signature",), purposes=(ExtendedKeyUsageOID.SERVER_AUTH,), sans=(x509.DNSName(name),)
    )
    return issue(name, issuer, usual | options)


def bare(name: str = "device-1", *, issuer: Issued | None = None, **options: Unpack[Options]) -> Issued:
    """A certificate that says nothing but whose it is."""
    return issue(name, issuer, Options(key_ids=False) | options)


def issue(name: str, issuer: Issued | None, options: Options) -> Issued:
    """A certificate with these options and no others."""
    wanted = options.get("key", "p256")
    key = new_key(wanted) if isinstance(wanted, str) else wanted
    subject = options.get("subject", common_name(name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(options.get("serial", x509.random_serial_number()))
        .not_valid_before(_moment(options.get("not_before_s", NOW_S - DAY_S)))
        .not_valid_after(_moment(options.get("not_after_s", NOW_S + YEAR_S)))
    )
    for extension, critical in _extensions(key, issuer, options):
        builder = builder.add_extension(extension, critical)
    signer = key if issuer is None else issuer.key
    rsa_padding = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if options.get("pss") else None
    return Issued(builder.sign(signer, _hash(signer), rsa_padding=rsa_padding), key)


def crl(
    issuer: Issued,
    revoked: Collection[Issued] = (),
    *,
    next_update_s: float = NOW_S + DAY_S,
    name: x509.Name | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.CertificateRevocationList:
    """A revocation list, signed with the issuer's key, in the issuer's name or another."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or issuer.certificate.subject)
        .last_update(_moment(next_update_s - 2 * DAY_S))
        .next_update(_moment(next_update_s))
    )
    for one in revoked:
        serial = one.certificate.serial_number
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_moment(NOW_S - DAY_S)).build()
        )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, _hash(issuer.key))


def _extensions(key: PrivateKey, issuer: Issued | None, options: Options) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = list(options.get("extensions", ()))
    ca, usages = options.get("ca"), options.get("key_usage")
    purposes, sans = options.get("purposes"), options.get("sans")
    if ca is not None:
        found.append((x509.BasicConstraints(ca, options.get("path_length")), True))
    if usages is not None:
        found.append((x509.KeyUsage(**{usage: usage in usages for usage in _USAGES}), True))
    if purposes is not None:
        found.append((x509.ExtendedKeyUsage(purposes), False))
    if sans is not None:
        found.append((x509.SubjectAlternativeName(sans), False))
    if options.get("key_ids", True):
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if issuer is not None:
            public = issuer.key.public_key()
            found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False))
    return found


def _moment(time_s: float) -> datetime:
    return datetime.fromtimestamp(int(time_s), UTC)


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    return hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256 else hashes.SHA256()


# -- what `cryptography` does not make -----------------------------------------------------------

_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")


def version_1(issued: Issued, issuer: Issued) -> bytes:
    """The same certificate without version and extensions, as `openssl x509 -req` makes it; the issuer has P-256."""
    parts = [part for part in _elements(issued.certificate.tbs_certificate_bytes) if part[0] not in (0xA0, 0xA3)]
    return _signed(parts, issuer, _ECDSA_SHA256, hashes.SHA256())


def signed_with_sha1(issued: Issued, issuer: Issued) -> bytes:
    """The same certificate, signed as was usual until 2015; the issuer has P-256."""
    parts = _elements(issued.certificate.tbs_certificate_bytes)
    return _signed([*parts[:2], _ECDSA_SHA1, *parts[3:]], issuer, _ECDSA_SHA1, hashes.SHA1())


def with_serial(issued: Issued, issuer: Issued, serial: int) -> bytes:
    """The same certificate with a serial number that may be zero or negative; the issuer has P-256."""
    parts = _elements(issued.certificate.tbs_certificate_bytes)
    number = serial.to_bytes(1 + serial.bit_length() // 8, "big", signed=True)
    return _signed([parts[0], _der(0x02, number), *parts[2:]], issuer, _ECDSA_SHA256, hashes.SHA256())


def _signed(parts: Sequence[bytes], issuer: Issued, algorithm: bytes, digest: hashes.HashAlgorithm) -> bytes:
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    tbs = _der(0x30, *parts)
    return _der(0x30, tbs, algorithm, _der(0x03, b"\0", issuer.key.sign(tbs, ec.ECDSA(digest))))


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _elements(sequence: bytes) -> list[bytes]:
    """The elements of a DER sequence, each with its header."""
    at, end = _span(sequence, 0)
    found = []
    while at < end:
        _, after = _span(sequence, at)
        found.append(sequence[at:after])
        at = after
    return found


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at a place begins and ends."""
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start], "big")
    return start, start + length
