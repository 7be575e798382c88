"""Whatever bytes a peer sends for its certificates: an AlertError or a principal, nothing else, and not for long."""

from collections.abc import Callable
from time import process_time

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dtls.alerts import AlertError
from gateway.dtls.trust import TrustPolicy
from tests.dtls.certificates import NOW_S, Issued, authority, bare, crl, device, server, version_1

_CA = authority()
_MIDDLE = authority("Middle", issuer=_CA, path_length=0)
_SENSOR = device(issuer=_MIDDLE)
_POLICY = TrustPolicy([_CA.certificate], crls=[crl(_CA), crl(_MIDDLE)])
_ED25519 = device(key="ed25519")
_SEEDS = [
    _SENSOR.der,
    _MIDDLE.der,
    bare(issuer=_CA).der,
    server(issuer=_CA).der,
    device(issuer=_CA, key="ed25519").der,
    device(issuer=_CA, key="rsa2048").der,
    device(issuer=_CA, key="p384", extensions=[(x509.CRLNumber(1), False)]).der,
    version_1(device(issuer=_CA), _CA),
]


def judged(chain: list[bytes], policy: TrustPolicy = _POLICY) -> None:
    for judge in (
        lambda: policy.client_principal(chain, NOW_S),
        lambda: policy.server_principal(chain, NOW_S, server_name="gateway.example"),
        lambda: policy.public_key(chain),
    ):
        try:
            judge()
        except AlertError as refusal:
            assert refusal.reason.isprintable()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound certificate in which a few bytes were changed, left out or put in."""
    der = bytearray(draw(st.sampled_from(_SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(der) - 1))
        der[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(der)


@settings(max_examples=1500, deadline=None)
@given(mutated(), st.booleans())
def test_a_certificate_that_was_tampered_with_gives_an_alert_or_a_principal(der: bytes, first: bool) -> None:
    judged([der, _MIDDLE.der] if first else [_SENSOR.der, der])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200) | mutated(), max_size=10))
def test_any_chain_of_bytes_gives_an_alert_or_a_principal(chain: list[bytes]) -> None:
    judged(chain)


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_trust_store_takes_any_certificate_that_could_be_loaded(der: bytes) -> None:
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion, UserWarning):
        return
    policy = TrustPolicy([certificate])
    judged([der], policy)
    policy.findings(NOW_S)


@st.composite
def damaged_keys(draw: st.DrawFn) -> bytes:
    """A raw public key in which one byte is another."""
    key = bytearray(draw(st.sampled_from([_SENSOR, _ED25519])).public_key_info)
    key[draw(st.integers(0, len(key) - 1))] ^= draw(st.integers(1, 255))
    return bytes(key)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=120) | damaged_keys())
def test_any_raw_public_key_gives_an_alert_or_a_principal(key: bytes) -> None:
    with pytest.raises(AlertError):
        _POLICY.raw_key_principal(key)


def with_many_extensions(issuer: Issued) -> Issued:
    unknown = [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b""), False) for number in range(740)
    ]
    return device(issuer=issuer, extensions=unknown)


def with_many_alternative_names(issuer: Issued) -> Issued:
    return device(issuer=issuer, sans=[x509.DNSName("")] * 3800)


def with_many_names(issuer: Issued) -> Issued:
    attribute = x509.NameAttribute(NameOID.SURNAME, "x")
    return device(issuer=issuer, subject=x509.Name([attribute] * 580))


@pytest.mark.parametrize("make", [with_many_extensions, with_many_alternative_names, with_many_names])
def test_the_most_laborious_chain_does_not_hold_up_the_packet_loop(make: Callable[[Issued], Issued]) -> None:
    der = make(authority("Unknown CA")).der
    assert 7000 < len(der) <= 8192
    took_s = []
    for _ in range(5):
        before_s = process_time()
        with pytest.raises(AlertError, match="unknown_ca"):
            _POLICY.client_principal([der, der], NOW_S)
        took_s.append(process_time() - before_s)
    assert min(took_s) < 0.05
