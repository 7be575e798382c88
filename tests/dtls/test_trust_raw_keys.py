"""Raw public keys (RFC 7250): trusted by their fingerprint alone."""

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust import TrustPolicy
from gateway.model import Principal
from tests.dtls.certificates import KeyKind, device, new_key

RAW_KEY = bytes.fromhex("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
"""The first public key of RFC 8032 §7.1."""
RAW_KEY_PRINT = hashlib.sha256(RAW_KEY).hexdigest()


def test_a_raw_public_key_is_trusted_by_its_fingerprint() -> None:
    policy = TrustPolicy(raw_keys=[RAW_KEY_PRINT.upper()])
    assert policy.raw_key_principal(RAW_KEY) == Principal("rpk", RAW_KEY_PRINT, fingerprint=RAW_KEY_PRINT)
    with pytest.raises(AlertError) as caught:
        policy.raw_key_principal(device(key="ed25519").public_key_info)
    assert caught.value.description is AlertDescription.UNKNOWN_CA


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
def test_a_raw_public_key_is_read_whether_trusted_or_not(kind: KeyKind) -> None:
    holder = device(key=kind)
    assert TrustPolicy.raw_public_key(holder.public_key_info) == holder.key.public_key()
    assert TrustPolicy.public_key(holder.chain()) == holder.key.public_key()


def test_a_fingerprint_of_a_raw_key_must_be_one() -> None:
    with pytest.raises(ValueError, match="no SHA-256 fingerprint"):
        TrustPolicy(raw_keys=["ab:cd"])


def test_the_pin_of_a_certificate_does_not_admit_its_raw_key() -> None:
    sensor = device()
    policy = TrustPolicy([sensor.certificate], pinned=[sensor.fingerprint])
    with pytest.raises(AlertError, match="unknown_ca"):
        policy.raw_key_principal(sensor.public_key_info)


@pytest.mark.parametrize(
    ("key", "alert"),
    [
        (b"", AlertDescription.BAD_CERTIFICATE),
        (b"\x30\x00", AlertDescription.BAD_CERTIFICATE),
        (RAW_KEY + bytes(9000), AlertDescription.BAD_CERTIFICATE),
        ("rsa1024", AlertDescription.UNSUPPORTED_CERTIFICATE),
        ("p521", AlertDescription.UNSUPPORTED_CERTIFICATE),
        # X448, and an algorithm that nobody knows.
        (bytes.fromhex("3042300506032b656f033900") + b"\x05" * 56, AlertDescription.UNSUPPORTED_CERTIFICATE),
        (bytes.fromhex("300a30050603290102030100"), AlertDescription.UNSUPPORTED_CERTIFICATE),
    ],
)
def test_a_raw_key_that_is_none_or_of_a_kind_not_taken_is_refused(
    key: bytes | KeyKind, alert: AlertDescription
) -> None:
    if isinstance(key, str):
        key = new_key(key).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(AlertError) as caught:
        TrustPolicy().raw_key_principal(key)
    assert caught.value.description is alert
