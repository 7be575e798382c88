"""Agreeing on a premaster secret, and signing (RFC 8422, RFC 4279 §2, RFC 5489 §2)."""

import hmac
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription, NamedGroup, SignatureScheme
from gateway.dtls.messages import Signature
from gateway.model import Principal

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

GROUPS = (NamedGroup.X25519, NamedGroup.SECP256R1, NamedGroup.SECP384R1)
SCHEMES = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.ECDSA_SECP384R1_SHA384,
    SignatureScheme.ED25519,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PSS_RSAE_SHA384,
    SignatureScheme.RSA_PKCS1_SHA256,
    SignatureScheme.RSA_PKCS1_SHA384,
)

_CURVES: dict[int, ec.EllipticCurve] = {
    NamedGroup.SECP256R1: ec.SECP256R1(),
    NamedGroup.SECP384R1: ec.SECP384R1(),
}
_HASHES: dict[int, hashes.HashAlgorithm] = {
    SignatureScheme.RSA_PKCS1_SHA256: hashes.SHA256(),
    SignatureScheme.RSA_PKCS1_SHA384: hashes.SHA384(),
    SignatureScheme.RSA_PSS_RSAE_SHA256: hashes.SHA256(),
    SignatureScheme.RSA_PSS_RSAE_SHA384: hashes.SHA384(),
    SignatureScheme.ECDSA_SECP256R1_SHA256: hashes.SHA256(),
    SignatureScheme.ECDSA_SECP384R1_SHA384: hashes.SHA384(),
}
_PSS = (SignatureScheme.RSA_PSS_RSAE_SHA256, SignatureScheme.RSA_PSS_RSAE_SHA384)
_PKCS1 = (SignatureScheme.RSA_PKCS1_SHA256, SignatureScheme.RSA_PKCS1_SHA384)
_ECDSA = (SignatureScheme.ECDSA_SECP256R1_SHA256, SignatureScheme.ECDSA_SECP384R1_SHA384)

_UNCOMPRESSED = b"\4"
"""How a point of the one form that may be used begins (RFC 8422 §5.4.1)."""

MIN_RSA_BITS = 2048


class EphemeralKey(Protocol):
    """Our half of an ECDHE exchange."""

    @property
    def point(self) -> bytes:
        """The public half, as it goes over the wire."""

    def exchange(self, point: bytes) -> bytes:
        """The shared secret with the peer's half. Raises AlertError (illegal_parameter) for a half that is none."""


class _CurveKey:
    def __init__(self, curve: ec.EllipticCurve) -> None:
        self._curve = curve
        self._private = ec.generate_private_key(curve)
        self.point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def exchange(self, point: bytes) -> bytes:
        if point[:1] != _UNCOMPRESSED:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the peer's point is not uncompressed")
        try:
            # Refuses what is not on the curve, and the point at infinity.
            public = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, point)
        except ValueError:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the peer's point is not on the curve") from None
        return self._private.exchange(ec.ECDH(), public)


class _X25519Key:
    def __init__(self) -> None:
        self._private = x25519.X25519PrivateKey.generate()
        self.point = self._private.public_key().public_bytes_raw()

    def exchange(self, point: bytes) -> bytes:
        try:
            # Refuses a shared secret of zeros (RFC 7748 §6.1).
            return self._private.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the peer's X25519 key is none") from None


def ephemeral_key(group: int) -> EphemeralKey:
    """A new key in a group, one of `GROUPS`."""
    if group == NamedGroup.X25519:
        return _X25519Key()
    return _CurveKey(_CURVES[group])


def psk_premaster(psk: bytes, shared_secret: bytes | None = None) -> bytes:
    """The premaster secret of a PSK suite: zeros in place of a shared secret where there is none."""
    other = bytes(len(psk)) if shared_secret is None else shared_secret
    return len(other).to_bytes(2, "big") + other + len(psk).to_bytes(2, "big") + psk


def psk_digest(key: bytes) -> str:
    """By which it can be told whether an identity still has the key that it had, without keeping the key."""
    return hmac.digest(key, b"gateway pre-shared key", "sha256")[:16].hex()


def psk_principal(identity: bytes, key: bytes) -> Principal:
    """Who a client is that has this key."""
    return Principal("psk", psk_name(identity), credential=psk_digest(key))


def psk_name(identity: bytes) -> str:
    """A PSK identity as text: UTF-8 as it is (RFC 4279 §5.1), other bytes escaped, and no two identities alike."""
    return identity.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def schemes_of(key: PrivateKey | PublicKey) -> tuple[SignatureScheme, ...]:
    """How a key can sign here, best first; nothing for a key that is too weak or of an unknown kind."""
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return (SignatureScheme.ED25519,)
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return (*_PSS, *_PKCS1) if key.key_size >= MIN_RSA_BITS else ()
    # RFC 5246 binds no curve to a hash, and peers do sign with SHA-256 on P-384 and the other way round.
    if isinstance(key.curve, ec.SECP256R1):
        return _ECDSA
    if isinstance(key.curve, ec.SECP384R1):
        return tuple(reversed(_ECDSA))
    return ()


def common_scheme(key: PrivateKey, offered: Sequence[int]) -> SignatureScheme | None:
    """The best way for `key` to sign that the peer offered."""
    return next((scheme for scheme in schemes_of(key) if scheme in offered), None)


def sign(key: PrivateKey, scheme: SignatureScheme, data: bytes) -> Signature:
    """Sign with one of `schemes_of(key)`."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Signature(scheme, key.sign(data))
    if isinstance(key, rsa.RSAPrivateKey):
        return Signature(scheme, key.sign(data, _rsa_padding(scheme), _HASHES[scheme]))
    return Signature(scheme, key.sign(data, ec.ECDSA(_HASHES[scheme])))


def verify(key: PublicKey, signature: Signature, data: bytes) -> None:
    """Raises AlertError: illegal_parameter for a scheme that does not fit the key, decrypt_error for a wrong value."""
    scheme = signature.scheme
    if scheme not in schemes_of(key):
        raise AlertError(AlertDescription.ILLEGAL_PARAMETER, f"signature scheme {scheme:#06x} does not fit the key")
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature.value, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, data, _rsa_padding(scheme), _HASHES[scheme])
        else:
            key.verify(signature.value, data, ec.ECDSA(_HASHES[scheme]))
    except InvalidSignature:
        raise AlertError(AlertDescription.DECRYPT_ERROR, "the signature is wrong") from None


def _rsa_padding(scheme: int) -> padding.AsymmetricPadding:
    if scheme in _PSS:
        return padding.PSS(padding.MGF1(_HASHES[scheme]), padding.PSS.DIGEST_LENGTH)
    return padding.PKCS1v15()
