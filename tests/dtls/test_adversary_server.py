"""Servers that break the rules: our client believes none of them, and tells each with the alert that it must get."""

from typing import Any

import pytest

from gateway.dtls.codes import (
    DTLS_1_0,
    AlertDescription,
    CertificateType,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.messages import HelloVerifyRequest
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.wire import vector

from .adversary import ignored, refused_when_repeated
from .adversary_server import HostileServer, met
from .certificates import Issued, new_key, server
from .peers import (
    CCM_8,
    PSK_CCM_8,
    ca,
    client_config,
    device_certificate,
    server_certificate,
)
from .test_adversary_keys import BAD_POINTS, ECDHE_PSK

ECDSA_GCM = BY_NAME["ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
EMS = ExtensionType.EXTENDED_MASTER_SECRET


@pytest.mark.parametrize("with_cookie", [True, False], ids=["with a cookie", "without a cookie"])
@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_server_that_keeps_to_the_rules_is_believed(suite: CipherSuite, with_cookie: bool) -> None:
    certificate = server_certificate("rsa2048" if "RSA" in suite.name else "p256")
    peer = HostileServer(client_config(suite), suite, certificate=certificate).meet(with_cookie=with_cookie)
    peer.present().agree()
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established
    peer.send_data(b"hello")
    assert peer.delivered == [b"hello"]


# -- HelloVerifyRequest ---------------------------------------------------------------------------------


def test_a_forged_cookie_does_not_stand_in_the_way_of_the_true_one() -> None:
    peer = HostileServer().meet()
    forged = HandshakeMessage(HandshakeType.HELLO_VERIFY_REQUEST, 0, HelloVerifyRequest(b"forged").encode())
    true = HandshakeMessage(HandshakeType.HELLO_VERIFY_REQUEST, 0, HelloVerifyRequest(b"cookie").encode())
    for message in (forged, true, true):
        peer.put(ContentType.HANDSHAKE, message.encode())
    peer.begin_flight()
    peer.present().agree()
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established


def test_cookies_without_end_are_answered_within_bounds() -> None:
    peer = HostileServer().meet()
    before = len(peer.datagrams)
    for number in range(1000):
        request = HelloVerifyRequest(b"%d" % number).encode()
        peer.say(HandshakeType.HELLO_VERIFY_REQUEST, request, sequence=0, counts=False)
    assert len(peer.datagrams) - before < 100


def test_an_empty_cookie_is_an_illegal_parameter() -> None:
    peer = HostileServer()
    peer.endpoint.connect(peer.address, 0.0)
    peer.listen()
    peer.say(HandshakeType.HELLO_VERIFY_REQUEST, HelloVerifyRequest(b"").encode())
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


# -- ServerHello ----------------------------------------------------------------------------------------

REFUSED_FIELDS = {
    "DTLS 1.0": ({"version": DTLS_1_0}, AlertDescription.PROTOCOL_VERSION),
    "DTLS 1.3": ({"version": 0xFEFC}, AlertDescription.PROTOCOL_VERSION),
    "compression": ({"compression_method": 1}, AlertDescription.ILLEGAL_PARAMETER),
    "a suite that was not offered": ({"cipher_suite": ECDSA_GCM.number}, AlertDescription.ILLEGAL_PARAMETER),
    "a suite that nobody knows": ({"cipher_suite": 0x0000}, AlertDescription.ILLEGAL_PARAMETER),
}
REFUSED_EXTENSIONS = {
    "no extended master secret": ({EMS: None}, AlertDescription.HANDSHAKE_FAILURE),
    "renegotiation": ({ExtensionType.RENEGOTIATION_INFO: vector(1, bytes(24))}, AlertDescription.HANDSHAKE_FAILURE),
    "an extension that was not offered": ({99: b""}, AlertDescription.UNSUPPORTED_EXTENSION),
    "a fragment length that was not offered": (
        {ExtensionType.MAX_FRAGMENT_LENGTH: b"\1"},
        AlertDescription.UNSUPPORTED_EXTENSION,
    ),
    "raw public keys that were not offered": (
        {ExtensionType.SERVER_CERTIFICATE_TYPE: bytes((CertificateType.RAW_PUBLIC_KEY,))},
        AlertDescription.UNSUPPORTED_EXTENSION,
    ),
    "a connection ID cut": ({ExtensionType.CONNECTION_ID: b"\4abc"}, AlertDescription.DECODE_ERROR),
}


@pytest.mark.parametrize(("fields", "alert"), REFUSED_FIELDS.values(), ids=REFUSED_FIELDS)
def test_a_server_hello_that_is_refused(fields: dict[str, Any], alert: AlertDescription) -> None:
    peer = met()
    peer.greet(**fields)
    refused_when_repeated(peer, alert)


@pytest.mark.parametrize(("extensions", "alert"), REFUSED_EXTENSIONS.values(), ids=REFUSED_EXTENSIONS)
def test_an_extension_that_is_refused(extensions: dict[int, bytes | None], alert: AlertDescription) -> None:
    peer = met()
    peer.greet(extensions)
    refused_when_repeated(peer, alert)


def test_another_fragment_length_than_the_one_asked_for_is_an_illegal_parameter() -> None:
    peer = met(max_fragment_length=512)
    peer.greet({ExtensionType.MAX_FRAGMENT_LENGTH: b"\4"})
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


@pytest.mark.parametrize("value", [b"", b"\1", b"\3", b"\2\2"], ids=repr)
def test_a_certificate_type_that_was_not_offered_is_an_illegal_parameter(value: bytes) -> None:
    peer = met(raw_public_keys=True)
    peer.greet({ExtensionType.SERVER_CERTIFICATE_TYPE: value})
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


# -- order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_type", [0, 1, 12, 13, 14, 15, 16, 20, 99])
@pytest.mark.parametrize("after_hello", [False, True], ids=["instead of ServerHello", "instead of Certificate"])
def test_a_message_out_of_order_is_unexpected(message_type: int, after_hello: bool) -> None:
    peer = met()
    if after_hello:
        peer.greet()
    peer.say(message_type, b"")
    if message_type == HandshakeType.HELLO_REQUEST:
        ignored(peer)
    else:
        refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


def test_a_hello_request_amid_a_handshake_is_ignored() -> None:
    peer = met().present()
    peer.say(HandshakeType.HELLO_REQUEST, b"", sequence=0, counts=False)
    peer.agree()
    peer.change_cipher_spec()
    peer.finish()
    assert peer.established


@pytest.mark.parametrize("suite", [CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
def test_a_server_without_server_key_exchange_is_refused(suite: CipherSuite) -> None:
    peer = met(suite)
    peer.greet()
    if suite is CCM_8:
        peer.certify()
    peer.done()
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("suite", [PSK_CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
def test_a_server_with_a_pre_shared_key_has_no_certificate(suite: CipherSuite) -> None:
    peer = met(suite)
    peer.greet()
    peer.certify()
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("suite", [PSK_CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
def test_a_server_with_a_pre_shared_key_asks_for_no_certificate(suite: CipherSuite) -> None:
    peer = met(suite)
    peer.greet()
    if suite is ECDHE_PSK:
        peer.offer_key()
    peer.ask_for_certificate()
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


def test_a_certificate_request_that_comes_twice_is_unexpected() -> None:
    peer = met()
    peer.greet()
    peer.certify()
    peer.offer_key()
    peer.ask_for_certificate()
    peer.ask_for_certificate()
    refused_when_repeated(peer, AlertDescription.UNEXPECTED_MESSAGE)


def test_server_hello_done_with_content_is_a_decode_error() -> None:
    peer = met(PSK_CCM_8)
    peer.greet()
    peer.done(b"x")
    refused_when_repeated(peer, AlertDescription.DECODE_ERROR)


# -- certificate and key --------------------------------------------------------------------------------


def test_a_server_without_a_certificate_is_refused() -> None:
    peer = met()
    peer.greet()
    peer.certify(())
    refused_when_repeated(peer, AlertDescription.HANDSHAKE_FAILURE)


def test_a_server_with_a_certificate_of_garbage_is_refused() -> None:
    peer = met()
    peer.greet()
    peer.certify((b"garbage",))
    refused_when_repeated(peer, AlertDescription.BAD_CERTIFICATE)


@pytest.mark.parametrize(
    ("certificate", "name", "alert"),
    [
        (server("gateway.example"), None, AlertDescription.UNKNOWN_CA),
        (server("gateway.example", issuer=ca()), "other.example", AlertDescription.CERTIFICATE_UNKNOWN),
        (device_certificate(), None, AlertDescription.UNSUPPORTED_CERTIFICATE),
    ],
    ids=["of an unknown CA", "of another name", "of a device"],
)
def test_a_certificate_that_is_refused(certificate: Issued, name: str | None, alert: AlertDescription) -> None:
    peer = HostileServer(client_config(CCM_8, server_name=name), certificate=certificate).meet()
    peer.greet()
    peer.certify()
    refused_when_repeated(peer, alert)


def offered(**how: Any) -> HostileServer:
    peer = met()
    peer.greet()
    peer.certify()
    peer.offer_key(**how)
    return peer


def test_a_key_that_is_not_signed_by_the_certificates_key_is_a_decrypt_error() -> None:
    refused_when_repeated(offered(key=new_key("p256")), AlertDescription.DECRYPT_ERROR)


def test_a_key_that_was_signed_for_another_handshake_is_a_decrypt_error() -> None:
    refused_when_repeated(offered(signed=bytes(64) + b"\3\0\x17\x41"), AlertDescription.DECRYPT_ERROR)


@pytest.mark.parametrize("scheme", [0x0203, 0x0201, 0x0603, 0, 0x0807, 0x0401], ids=hex)
def test_a_signature_scheme_that_was_not_offered_or_does_not_fit_is_an_illegal_parameter(scheme: int) -> None:
    refused_when_repeated(offered(scheme=scheme), AlertDescription.ILLEGAL_PARAMETER)


@pytest.mark.parametrize("group", [25, 22, 30, 0], ids=["P-521", "secp256k1", "X448", "none"])
def test_a_group_that_was_not_offered_is_an_illegal_parameter(group: int) -> None:
    refused_when_repeated(offered(group=group), AlertDescription.ILLEGAL_PARAMETER)


def test_a_group_that_is_known_but_was_not_offered_is_an_illegal_parameter() -> None:
    peer = met(groups=(NamedGroup.SECP256R1,))
    peer.greet()
    peer.certify()
    peer.offer_key(group=NamedGroup.X25519)
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


@pytest.mark.parametrize("suite", [CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
@pytest.mark.parametrize(("group", "point"), BAD_POINTS.values(), ids=BAD_POINTS)
def test_a_point_that_is_none_is_an_illegal_parameter(suite: CipherSuite, group: NamedGroup, point: bytes) -> None:
    peer = met(suite)
    peer.greet()
    if suite is CCM_8:
        peer.certify()
    peer.offer_key(group=group, point=point)
    refused_when_repeated(peer, AlertDescription.ILLEGAL_PARAMETER)


@pytest.mark.parametrize(
    "body",
    [b"", b"\1\0\x17\1\4", b"\3\0\x17\0", b"\3\0\x17\x41" + bytes(65)],
    ids=["empty", "explicit", "cut", "unsigned"],
)
def test_a_malformed_server_key_exchange_is_a_decode_error(body: bytes) -> None:
    peer = met()
    peer.greet()
    peer.certify()
    peer.say(HandshakeType.SERVER_KEY_EXCHANGE, body)
    refused_when_repeated(peer, AlertDescription.DECODE_ERROR)
