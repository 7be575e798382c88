"""A private key and its certificates, made one: the kind of key checked, the chain put in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from gateway.credentials.files import CredentialFile, unwarned
from gateway.dtls.config import Identity
from gateway.dtls.keyexchange import PrivateKey, schemes_of
from gateway.dtls.trust_certificates import MAX_CHAIN, MAX_RSA_BITS, UNREADABLE, facts_of
from gateway.errors import ConfigurationError

ALLOWED_KEYS = f"EC P-256 or P-384, RSA of 2048 to {MAX_RSA_BITS} bits, Ed25519"


@dataclass(frozen=True, slots=True)
class LoadedIdentity:
    """An identity as it was found in files."""

    identity: Identity = field(repr=False)
    certificate: x509.Certificate
    """The leaf."""
    key_file: CredentialFile
    """The file that the key was in."""
    notes: tuple[str, ...] = ()
    """What was ignored or put right."""


def identity_of(
    key: object,
    certificates: Sequence[x509.Certificate],
    key_file: CredentialFile,
    *,
    key_where: str,
    certificate_where: str,
) -> LoadedIdentity:
    """The identity that a key and the certificates beside it make, whatever their order.

    The leaf is the certificate of the key; the others follow as each is issued by the next. Raises ConfigurationError
    for a key of a kind that is not taken, and where none of the certificates is the key's, or a CA's alone.
    """
    private = _taken(key, key_where)
    with unwarned():
        leaf = next((one for one in certificates if _has_key(one, private)), None)
        if leaf is None:
            which = "the certificate" if len(certificates) == 1 else f"any of the {len(certificates)} certificates"
            place = "" if key_where == certificate_where else f" in {certificate_where}"
            raise ConfigurationError(
                f"{key_where}: the key does not fit {which}{place}",
                hint="name the certificate that was issued for this key, or the key that it was issued for",
            )
        try:
            facts_of(leaf)
        except UNREADABLE:
            raise ConfigurationError(
                f"{certificate_where}: the certificate is not well-formed", hint="have it issued again"
            ) from None
        issued = next((one for one in certificates if one != leaf and _issued(leaf, one)), None)
        if issued is not None:
            raise ConfigurationError(
                f"{key_where}: the key is the CA's that issued the certificate, not the certificate's own",
                hint="name the key that the certificate was issued for; that of a CA belongs on no server",
            )
        chain = _chain(leaf, certificates)
    notes = []
    if chain != list(certificates[: len(chain)]):
        notes.append(f"{certificate_where}: the chain was not in order, leaf first, and is now")
    left_out = len(set(certificates)) - len(chain)
    if left_out:
        notes.append(f"{certificate_where}: not of the chain, and so not sent: {left_out} more")
    identity = Identity(tuple(one.public_bytes(Encoding.DER) for one in chain), private)
    return LoadedIdentity(identity, leaf, key_file, tuple(notes))


def read_pkcs8(der: bytes, where: str) -> object:
    """A private key, as keystores hold it (RFC 5958), of whatever kind. Raises ConfigurationError for other bytes."""
    try:
        return load_der_private_key(der, None)
    except UnsupportedAlgorithm:
        refuse_key("of a kind or curve that is not known", where)
    except (ValueError, TypeError):
        raise ConfigurationError(f"{where}: the private key is damaged", hint="restore the file from a copy") from None


def refuse_key(what: str, where: str) -> NoReturn:
    """Raise the ConfigurationError for a key that can't serve here."""
    raise ConfigurationError(f"{where}: the private key is {what}", hint=f"take one of: {ALLOWED_KEYS}")


def _taken(key: object, where: str) -> PrivateKey:
    if isinstance(key, PrivateKey):
        too_large = isinstance(key, rsa.RSAPrivateKey) and key.key_size > MAX_RSA_BITS
        if schemes_of(key) and not too_large:
            return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        refuse_key(f"EC on the curve {key.curve.name}", where)
    if isinstance(key, rsa.RSAPrivateKey):
        refuse_key(f"RSA of {key.key_size} bits", where)
    refuse_key(type(key).__name__.removesuffix("PrivateKey"), where)


def _has_key(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except UNREADABLE:
        return False


def _chain(leaf: x509.Certificate, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, its issuer, the issuer's issuer and so on, as far as they are there."""
    chain = [leaf]
    left = [one for one in dict.fromkeys(certificates) if one != leaf]
    while len(chain) < MAX_CHAIN:
        issuer = next((one for one in left if _issued(one, chain[-1])), None)
        if issuer is None:
            break
        chain.append(issuer)
        left.remove(issuer)
    return chain


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)  # compares the names before it verifies the signature
        facts_of(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True
