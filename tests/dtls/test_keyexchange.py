"""Agreeing on secrets, and signing: which keys, groups and schemes, and what is refused."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription, NamedGroup, SignatureScheme
from gateway.dtls.keyexchange import (
    GROUPS,
    SCHEMES,
    common_scheme,
    ephemeral_key,
    psk_name,
    psk_premaster,
    schemes_of,
    sign,
    verify,
)
from gateway.dtls.messages import Signature

from .certificates import KeyKind, new_key
from .peers import device_certificate

S = SignatureScheme
RSA_SCHEMES = {S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384}
ECDSA_SCHEMES = {S.ECDSA_SECP256R1_SHA256, S.ECDSA_SECP384R1_SHA384}
EXPECTED: dict[KeyKind, set[SignatureScheme]] = {
    "p256": ECDSA_SCHEMES,
    "p384": ECDSA_SCHEMES,
    "ed25519": {S.ED25519},
    "rsa2048": RSA_SCHEMES,
}
KINDS = pytest.mark.parametrize("kind", EXPECTED)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_both_halves_of_a_group_agree(group: NamedGroup) -> None:
    ours, theirs = ephemeral_key(group), ephemeral_key(group)
    assert ours.point != theirs.point
    assert ours.exchange(theirs.point) == theirs.exchange(ours.point)


@pytest.mark.parametrize(
    ("group", "size"), [(NamedGroup.X25519, 32), (NamedGroup.SECP256R1, 65), (NamedGroup.SECP384R1, 97)]
)
def test_points_have_their_one_form(group: NamedGroup, size: int) -> None:
    point = ephemeral_key(group).point
    assert len(point) == size
    assert group is NamedGroup.X25519 or point[0] == 4


def compressed(curve: ec.EllipticCurve) -> bytes:
    public = ec.generate_private_key(curve).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


BAD_POINTS = {
    "P-256 off the curve": (NamedGroup.SECP256R1, b"\4" + bytes(63) + b"\1"),
    "P-256 at infinity": (NamedGroup.SECP256R1, b"\0"),
    "P-256 compressed": (NamedGroup.SECP256R1, compressed(ec.SECP256R1())),
    "P-256 too short": (NamedGroup.SECP256R1, b"\4" + bytes(63)),
    "P-256 of P-384": (NamedGroup.SECP256R1, ephemeral_key(NamedGroup.SECP384R1).point),
    "P-256 empty": (NamedGroup.SECP256R1, b""),
    "P-384 off the curve": (NamedGroup.SECP384R1, b"\4" + bytes(96)),
    "P-384 compressed": (NamedGroup.SECP384R1, compressed(ec.SECP384R1())),
    "X25519 too short": (NamedGroup.X25519, bytes(31)),
    "X25519 zero": (NamedGroup.X25519, bytes(32)),
    "X25519 of small order": (NamedGroup.X25519, b"\1" + bytes(31)),
}


@pytest.mark.parametrize("group, point", BAD_POINTS.values(), ids=BAD_POINTS)
def test_a_half_that_is_none_is_an_illegal_parameter(group: NamedGroup, point: bytes) -> None:
    with pytest.raises(AlertError) as caught:
        ephemeral_key(group).exchange(point)
    assert caught.value.description is AlertDescription.ILLEGAL_PARAMETER


def test_premaster_secrets_of_psk_suites() -> None:
    assert psk_premaster(b"key") == b"\0\3\0\0\0\0\3key"  # RFC 4279 §2
    assert psk_premaster(b"key", b"shared") == b"\0\6shared\0\3key"  # RFC 5489 §2


@KINDS
def test_a_key_signs_with_each_of_its_schemes(kind: KeyKind) -> None:
    key = device_certificate(kind).key
    assert set(schemes_of(key)) == set(schemes_of(key.public_key())) == EXPECTED[kind]
    for scheme in EXPECTED[kind]:
        signature = sign(key, scheme, b"data")
        assert signature.scheme == scheme
        verify(key.public_key(), signature, b"data")


@KINDS
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_wrong_signature_is_a_decrypt_error_and_a_wrong_scheme_an_illegal_parameter(
    kind: KeyKind, scheme: SignatureScheme
) -> None:
    key = device_certificate(kind).key
    fits = scheme in EXPECTED[kind]
    value = sign(key, scheme if fits else schemes_of(key)[0], b"data").value
    expected = AlertDescription.DECRYPT_ERROR if fits else AlertDescription.ILLEGAL_PARAMETER
    cases = [(value, b"other"), (value[:-1] + bytes((value[-1] ^ 1,)), b"data"), (value[:-1], b"data"), (b"", b"data")]
    for wrong, data in cases:
        with pytest.raises(AlertError) as caught:
            verify(key.public_key(), Signature(scheme, wrong), data)
        assert caught.value.description is expected


def test_pss_and_pkcs1_do_not_stand_in_for_each_other() -> None:
    key = device_certificate("rsa2048").key
    for made, said in ((S.RSA_PSS_RSAE_SHA256, S.RSA_PKCS1_SHA256), (S.RSA_PKCS1_SHA256, S.RSA_PSS_RSAE_SHA256)):
        with pytest.raises(AlertError):
            verify(key.public_key(), Signature(said, sign(key, made, b"data").value), b"data")


def test_a_pss_salt_is_as_long_as_the_hash() -> None:
    """RFC 8446 §4.2.3."""
    key = device_certificate("rsa2048").key
    assert isinstance(key, rsa.RSAPrivateKey)
    value = key.sign(b"data", padding.PSS(padding.MGF1(hashes.SHA256()), 20), hashes.SHA256())
    with pytest.raises(AlertError):
        verify(key.public_key(), Signature(S.RSA_PSS_RSAE_SHA256, value), b"data")


@pytest.mark.parametrize("kind", ["rsa1024", "p521", "secp256k1"])
def test_weak_and_unknown_keys_sign_nothing(kind: KeyKind) -> None:
    key = new_key(kind)
    assert schemes_of(key) == schemes_of(key.public_key()) == ()
    assert common_scheme(key, SCHEMES) is None


def test_the_best_scheme_that_both_have_is_chosen() -> None:
    rsa_key, p256, p384 = (device_certificate(kind).key for kind in ("rsa2048", "p256", "p384"))
    assert common_scheme(rsa_key, SCHEMES) is S.RSA_PSS_RSAE_SHA256
    assert common_scheme(rsa_key, [S.RSA_PKCS1_SHA256]) is S.RSA_PKCS1_SHA256
    assert common_scheme(p256, SCHEMES) is S.ECDSA_SECP256R1_SHA256
    assert common_scheme(p384, SCHEMES) is S.ECDSA_SECP384R1_SHA384
    assert common_scheme(p384, [S.ECDSA_SECP256R1_SHA256]) is S.ECDSA_SECP256R1_SHA256
    assert common_scheme(p256, [S.ED25519]) is None


def test_no_key_is_in_a_repr_or_an_error() -> None:
    with pytest.raises(AlertError) as caught:
        ephemeral_key(NamedGroup.SECP256R1).exchange(b"\4not a point")
    assert "not a point" not in repr(caught.value)


def test_no_two_psk_identities_have_one_name() -> None:
    identities = [b"dev", "gerät".encode(), b"\xff", b"\\xff", b"\\\\xff", b"", b"\\"]
    names = [psk_name(identity) for identity in identities]
    assert names[:2] == ["dev", "gerät"]
    assert len(set(names)) == len(identities)
