"""What a client tells of a handshake: stages, alerts, and the certificates that were presented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription, ContentType, HandshakeType
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.messages import ServerHello
from gateway.dtls.record import record_header
from gateway.dtls.suites import BY_NAME
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.witness import RecordingTrust, Stage, Witness

from .certificates import NOW_S, authority, server

SUITE = BY_NAME["PSK_WITH_AES_128_CCM_8"]


def record(content: bytes, *, content_type: int = ContentType.HANDSHAKE, epoch: int = 0) -> bytes:
    return record_header(content_type, epoch, 0, len(content)) + content


def message(kind: HandshakeType, body: bytes = b"") -> bytes:
    return HandshakeMessage(kind, 0, body).encode()


def test_it_tells_how_far_a_handshake_came() -> None:
    witness = Witness()
    assert not witness.stage
    witness.see(record(message(HandshakeType.HELLO_VERIFY_REQUEST)))
    assert (witness.stage, witness.suite) == (Stage.COOKIE, None)
    hello = message(HandshakeType.SERVER_HELLO, ServerHello(bytes(32), b"", SUITE.number, {}).encode())
    witness.see(record(hello))
    assert (witness.stage, witness.suite, witness.asks_for_certificate) == (Stage.HELLO, SUITE, False)
    rest = record(message(HandshakeType.CERTIFICATE_REQUEST)) + record(message(HandshakeType.SERVER_HELLO_DONE))
    witness.see(rest)
    assert (witness.stage, witness.asks_for_certificate) == (Stage.HELLO_DONE, True)
    witness.see(record(message(HandshakeType.HELLO_VERIFY_REQUEST)))
    assert (witness.stage, witness.suite) == (Stage.HELLO_DONE, SUITE)


def test_it_hears_alerts_that_end_a_handshake() -> None:
    for level, number, heard in ((2, 40, 40), (1, 0, 0), (1, 100, None), (2, 200, 200)):
        witness = Witness()
        witness.see(record(bytes((level, number)), content_type=ContentType.ALERT))
        assert witness.alert == heard


def test_what_is_protected_is_not_looked_at() -> None:
    witness = Witness()
    witness.see(record(b"\2\x28", content_type=ContentType.ALERT, epoch=1))
    assert witness.alert is None


@given(st.lists(st.binary(max_size=200).map(record) | st.binary(max_size=300), max_size=4))
def test_it_looks_at_anything(datagrams: list[bytes]) -> None:
    witness = Witness()
    for datagram in datagrams:
        witness.see(datagram)


def test_it_keeps_what_was_presented_and_what_is_said_of_it() -> None:
    ca, other = authority(), authority("Another")
    chain = server(issuer=ca).chain()
    trust = RecordingTrust(TrustPolicy([ca.certificate]))
    assert trust.server_principal(chain, NOW_S, server_name="gateway.example").name == "gateway.example"
    assert (trust.chain, trust.refusal) == (chain, None)
    strict = RecordingTrust(TrustPolicy([other.certificate]))
    with pytest.raises(AlertError):
        strict.server_principal(chain, NOW_S, server_name=None)
    assert strict.chain == chain
    assert strict.refusal is not None
    assert strict.refusal.description is AlertDescription.UNKNOWN_CA


def test_without_a_judge_each_server_is_taken_but_no_client_and_no_raw_key() -> None:
    stranger = server(issuer=authority())
    trust = RecordingTrust(None)
    principal = trust.server_principal(stranger.chain(), NOW_S, server_name="another.example")
    assert principal.name == principal.fingerprint == stranger.fingerprint
    with pytest.raises(AlertError):
        trust.client_principal(stranger.chain(), NOW_S)
    with pytest.raises(AlertError):
        trust.raw_key_principal(stranger.public_key_info)
    with pytest.raises(AlertError):
        trust.server_principal((b"junk",), NOW_S, server_name=None)
