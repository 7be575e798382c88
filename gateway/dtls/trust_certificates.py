"""Certificates as the trust policy sees them: decoded once, with all that its rules ask for (RFC 5280 §4).

What a peer sent is refused here only where it can't be read. Whether it will do is for trust_paths to say.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.keyexchange import PublicKey, schemes_of

MAX_CHAIN = 8
"""Certificates in a peer's chain. Devices send one to three."""

MAX_CERTIFICATE_BYTES = 8192
"""DER of one certificate. A hundred alternative names beside an RSA key of 4096 bits take 5 KB."""

MAX_CHAIN_BYTES = 16384
"""DER of a whole chain: reading a hostile one must not hold the packet loop."""

MAX_RSA_BITS = 8192
"""RSA keys above cost more to verify with than any device would make us."""

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What `cryptography` raises for a certificate or key that is not well-formed; InvalidVersion comes at loading."""

_HASHES = ("sha256", "sha384", "sha512")
_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
"""How a certificate may be signed. PSS names its hash apart; MD5, SHA-1 and SHA-224 are out."""

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)
"""The extensions that are acted on, and so may be critical. Any other critical one ends it (RFC 5280 §4.2)."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, each part checked to be readable."""

    certificate: x509.Certificate
    serial: int
    subject: x509.Name
    issuer: x509.Name
    not_before_s: float
    """Seconds since 1970, as `not_after_s`. Both ends belong to the validity (RFC 5280 §4.1.2.5)."""
    not_after_s: float
    key: PublicKey | None
    """None: of a kind, curve or size that is not taken."""
    strongly_signed: bool
    is_ca: bool
    path_length: int | None
    key_usage: x509.KeyUsage | None
    purposes: frozenset[x509.ObjectIdentifier] | None
    """The extended key usage; None: not restricted."""
    alternative_names: x509.SubjectAlternativeName | None
    key_id: bytes | None
    issuer_key_id: bytes | None
    name_constraints: bool
    not_understood: tuple[str, ...]
    """OIDs of critical extensions that nothing here acts on."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its DER: 64 lower-case hex digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def decode(der: bytes) -> CertificateFacts:
    """Read a peer's certificate. Raises AlertError (bad_certificate) for bytes that are none."""
    with _readable(der):
        facts = facts_of(_load(der))
    if facts.serial <= 0:
        raise AlertError(AlertDescription.BAD_CERTIFICATE, "the serial number is not positive (RFC 5280 §4.1.2.2)")
    return facts


def decode_chain(chain: Sequence[bytes]) -> list[CertificateFacts]:
    """Read a peer's chain, leaf first. Raises AlertError (bad_certificate; certificate_unknown beyond the bounds)."""
    if not chain:
        raise AlertError(AlertDescription.BAD_CERTIFICATE, "no certificate")
    if len(chain) > MAX_CHAIN or sum(map(len, chain)) > MAX_CHAIN_BYTES:
        reason = f"a chain of {len(chain)} certificates and {sum(map(len, chain))} bytes is too long"
        raise AlertError(AlertDescription.CERTIFICATE_UNKNOWN, reason)
    return [decode(der) for der in chain]


def leaf_key(der: bytes) -> PublicKey:
    """A certificate's key. Raises AlertError (bad_certificate; unsupported_certificate for a kind not taken)."""
    with _readable(der):
        return _taken(_usable_key(_load(der)))


def raw_key(der: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo (RFC 7250 §3). Raises AlertError as `leaf_key`."""
    with _readable(der):
        try:
            return _taken(_usable(load_der_public_key(der)))
        except UnsupportedAlgorithm:
            return _taken(None)


@contextmanager
def _unwarned() -> Iterator[None]:
    # `cryptography` warns of serial numbers below one and of long names, on stderr: nothing that a peer should cause.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=re.escape(__name__))
        yield


@_unwarned()
def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """What a certificate says. Raises one of `UNREADABLE`: `cryptography` looks at most fields only when asked."""
    found = {extension.oid: extension.value for extension in certificate.extensions}
    constraints = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = found.get(ExtensionOID.KEY_USAGE)
    purposes = found.get(ExtensionOID.EXTENDED_KEY_USAGE)
    names = found.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    own_id = found.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    issuer_id = found.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    is_ca = isinstance(constraints, x509.BasicConstraints) and constraints.ca
    return CertificateFacts(
        certificate=certificate,
        serial=certificate.serial_number,
        subject=certificate.subject,
        issuer=certificate.issuer,
        not_before_s=certificate.not_valid_before_utc.timestamp(),
        not_after_s=certificate.not_valid_after_utc.timestamp(),
        key=_usable_key(certificate),
        strongly_signed=_strongly_signed(certificate),
        is_ca=is_ca,
        path_length=constraints.path_length if isinstance(constraints, x509.BasicConstraints) else None,
        key_usage=usage if isinstance(usage, x509.KeyUsage) else None,
        purposes=frozenset(purposes) if isinstance(purposes, x509.ExtendedKeyUsage) else None,
        alternative_names=names if isinstance(names, x509.SubjectAlternativeName) else None,
        key_id=own_id.digest if isinstance(own_id, x509.SubjectKeyIdentifier) else None,
        issuer_key_id=issuer_id.key_identifier if isinstance(issuer_id, x509.AuthorityKeyIdentifier) else None,
        name_constraints=ExtensionOID.NAME_CONSTRAINTS in found,
        not_understood=tuple(
            extension.oid.dotted_string
            for extension in certificate.extensions
            if extension.critical and extension.oid not in _UNDERSTOOD
        ),
    )


@contextmanager
def _readable(der: bytes) -> Iterator[None]:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise AlertError(AlertDescription.BAD_CERTIFICATE, f"{len(der)} bytes are too many")
    try:
        yield
    except (*UNREADABLE, x509.InvalidVersion) as error:
        raise AlertError(AlertDescription.BAD_CERTIFICATE, f"undecodable: {error!r:.200}") from None


@_unwarned()
def _load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _usable(key: object) -> PublicKey | None:
    """The key, where it is of a kind, curve and size that can sign a handshake and is worth trusting."""
    if not isinstance(key, PublicKey) or not schemes_of(key):
        return None
    return None if isinstance(key, rsa.RSAPublicKey) and key.key_size > MAX_RSA_BITS else key


def _taken(key: PublicKey | None) -> PublicKey:
    if key is None:
        raise AlertError(AlertDescription.UNSUPPORTED_CERTIFICATE, "the key's kind, curve or size is not taken")
    return key


def _usable_key(certificate: x509.Certificate) -> PublicKey | None:
    try:
        return _usable(certificate.public_key())
    except UnsupportedAlgorithm:
        return None


def _strongly_signed(certificate: x509.Certificate) -> bool:
    oid = certificate.signature_algorithm_oid
    if oid == SignatureAlgorithmOID.RSASSA_PSS:
        algorithm = certificate.signature_hash_algorithm
        return algorithm is not None and algorithm.name in _HASHES
    return oid in _SIGNATURES
