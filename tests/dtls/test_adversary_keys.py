"""Clients with points, keys, certificates and signatures that are none, or not theirs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.dtls.codes import AlertDescription, ContentType, HandshakeType, NamedGroup
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.keyexchange import ephemeral_key
from gateway.dtls.suites import BY_NAME, CipherSuite
from gateway.dtls.wire import vector

from .adversary import A_LONG_TIME_S, refused, refused_when_repeated
from .adversary_client import NEEDED, HostileClient, anonymous, certified
from .certificates import DAY_S, NOW_S, device, new_key
from .peers import CCM_8, PSK, PSK_CCM_8, ca, device_certificate, server_config

ECDHE_PSK = BY_NAME["ECDHE_PSK_WITH_AES_128_GCM_SHA256"]

# -- key exchange ---------------------------------------------------------------------------------------

X25519_ZEROS = bytes(32)
X25519_ORDER_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
OFF_THE_CURVE = b"\4" + bytes(31) + b"\1" + bytes(31) + b"\1"
BAD_POINTS = {
    "X25519 zeros": (NamedGroup.X25519, X25519_ZEROS),
    "X25519 of order 8": (NamedGroup.X25519, X25519_ORDER_8),
    "X25519 too short": (NamedGroup.X25519, bytes(range(31))),
    "X25519 too long": (NamedGroup.X25519, bytes(range(33))),
    "off the curve": (NamedGroup.SECP256R1, OFF_THE_CURVE),
    "at infinity": (NamedGroup.SECP256R1, b"\0"),
    "a coordinate of 2^256 - 1": (NamedGroup.SECP256R1, b"\4" + b"\xff" * 64),
    "too short": (NamedGroup.SECP256R1, b"\4" + bytes(63)),
    "compressed": (
        NamedGroup.SECP256R1,
        bytes.fromhex("03" + "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    ),
    "hybrid": (
        NamedGroup.SECP256R1,
        bytes.fromhex(
            "076b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ),
    ),
    "of another group": (NamedGroup.SECP256R1, ephemeral_key(NamedGroup.SECP384R1).point),
    "off P-384": (NamedGroup.SECP384R1, b"\4" + bytes(95) + b"\1"),
}


@pytest.mark.parametrize("suite", [CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
@pytest.mark.parametrize(("group", "point"), BAD_POINTS.values(), ids=BAD_POINTS)
def test_a_point_that_is_none_is_an_illegal_parameter(suite: CipherSuite, group: NamedGroup, point: bytes) -> None:
    # The server's certificate is on P-256, which the client must accept beside the group.
    client = HostileClient(server_config(groups=(group,)), suite)
    client.greet()
    assert client.group == group
    client.exchange_keys(point=point)
    client.change_cipher_spec()
    client.finish()
    refused_when_repeated(client, AlertDescription.ILLEGAL_PARAMETER)


MALFORMED_KEY_EXCHANGES = {
    "empty": (CCM_8, b""),
    "without a point": (CCM_8, b"\0"),
    "cut": (CCM_8, b"\x20" + bytes(31)),
    "something behind": (CCM_8, vector(1, bytes(range(1, 33))) + b"\0"),
    "PSK, empty": (PSK_CCM_8, b""),
    "PSK, cut": (PSK_CCM_8, b"\0\x20" + bytes(31)),
    "PSK, something behind": (PSK_CCM_8, vector(2, PSK.identity) + b"\0"),
    "ECDHE_PSK without a point": (ECDHE_PSK, vector(2, PSK.identity)),
}


@pytest.mark.parametrize(("suite", "body"), MALFORMED_KEY_EXCHANGES.values(), ids=MALFORMED_KEY_EXCHANGES)
def test_a_malformed_client_key_exchange_is_a_decode_error(suite: CipherSuite, body: bytes) -> None:
    client = anonymous(suite)
    client.say(HandshakeType.CLIENT_KEY_EXCHANGE, body)
    client.change_cipher_spec()
    refused_when_repeated(client, AlertDescription.DECODE_ERROR)


@pytest.mark.parametrize("suite", [PSK_CCM_8, ECDHE_PSK], ids=lambda suite: suite.name)
def test_a_wrong_pre_shared_key_and_an_unknown_identity_look_the_same(suite: CipherSuite) -> None:
    seen = []
    for identity, key in ((PSK.identity, b"not the secret"), (b"device-9", PSK.key), (b"", PSK.key), (b"\xff", b"")):
        client = anonymous(suite)
        client.exchange_keys(identity=identity, key=key)
        client.change_cipher_spec()
        client.finish()
        refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)
        reason = client.failures[0].reason
        seen.append(([len(datagram) for datagram in client.datagrams], client.now_s, reason))
    assert all(one == seen[0] for one in seen)


# -- client certificates --------------------------------------------------------------------------------


def present(chain: tuple[bytes, ...], server: Config = NEEDED) -> HostileClient:
    """A client with a certificate that it has the key of the usual one for."""
    client = certified(server)
    client.certify(chain)
    client.exchange_keys()
    client.verify()
    client.change_cipher_spec()
    client.finish()
    return client


def test_an_empty_certificate_in_mode_needed_is_a_handshake_failure() -> None:
    client = certified()
    client.certify(())
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.HANDSHAKE_FAILURE)


GARBAGE = {
    "no DER": (b"garbage",),
    "cut": (device_certificate().der[:-1],),
    "something behind": (device_certificate().der + b"\0",),
    "garbage behind it": (device_certificate().der, b"garbage"),
    "zeros": (bytes(500),),
}


@pytest.mark.parametrize("chain", GARBAGE.values(), ids=GARBAGE)
def test_a_chain_of_garbage_is_a_bad_certificate(chain: tuple[bytes, ...]) -> None:
    refused(present(chain), AlertDescription.BAD_CERTIFICATE)


def test_a_certificate_of_nobody_knows_whom_is_of_an_unknown_ca() -> None:
    client = HostileClient(NEEDED, certificate=device("stranger")).greet().answer()
    refused(client, AlertDescription.UNKNOWN_CA)


def test_an_untrusted_certificate_is_refused_where_none_was_needed_too() -> None:
    server = server_config(client_auth=ClientAuth.WANTED)
    client = HostileClient(server, certificate=device("stranger")).greet().answer()
    refused(client, AlertDescription.UNKNOWN_CA)


def test_a_certificate_is_refused_where_nobody_is_trusted() -> None:
    client = HostileClient(replace(NEEDED, trust=None), certificate=device_certificate()).greet().answer()
    refused(client, AlertDescription.UNKNOWN_CA)


def test_an_expired_certificate_is_refused() -> None:
    expired = device("late", issuer=ca(), not_after_s=NOW_S - DAY_S / 2)
    refused(HostileClient(NEEDED, certificate=expired).greet().answer(), AlertDescription.CERTIFICATE_EXPIRED)


def test_a_certificate_of_which_the_client_has_not_the_key_is_a_decrypt_error() -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.verify(key=new_key("p256"))
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.DECRYPT_ERROR)


def test_certificate_verify_over_another_transcript_is_a_decrypt_error() -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.verify(signed=bytes(client.transcript[:-1]))
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.DECRYPT_ERROR)


def test_certificate_verify_of_another_handshake_is_a_decrypt_error() -> None:
    other = certified()
    other.certify()
    other.exchange_keys()
    client = certified()
    client.certify()
    client.exchange_keys()
    client.verify(signed=bytes(other.transcript))
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.DECRYPT_ERROR)


SHA1_ECDSA, SHA1_RSA, ANONYMOUS, P521 = 0x0203, 0x0201, 0x0400, 0x0603


@pytest.mark.parametrize("scheme", [SHA1_ECDSA, SHA1_RSA, ANONYMOUS, P521, 0, 0x0807, 0x0401], ids=hex)
def test_a_signature_scheme_that_was_not_offered_or_does_not_fit_the_key_is_an_illegal_parameter(scheme: int) -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.verify(scheme=scheme)
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.ILLEGAL_PARAMETER)


def test_a_signature_that_is_no_signature_is_a_decrypt_error() -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.say(HandshakeType.CERTIFICATE_VERIFY, b"\x04\x03" + vector(2, b"no DER"))
    client.change_cipher_spec()
    client.finish()
    refused(client, AlertDescription.DECRYPT_ERROR)


def malformed(message_type: HandshakeType, body: bytes) -> Callable[[HostileClient], None]:
    def say(client: HostileClient) -> None:
        if message_type is HandshakeType.CERTIFICATE_VERIFY:
            client.certify()
            client.exchange_keys()
        client.say(message_type, body)

    return say


MALFORMED = {
    "Certificate, empty": malformed(HandshakeType.CERTIFICATE, b""),
    "Certificate, cut": malformed(HandshakeType.CERTIFICATE, b"\0\0\4\0\0\2x"),
    "Certificate with an empty entry": malformed(HandshakeType.CERTIFICATE, b"\0\0\3\0\0\0"),
    "Certificate, something behind": malformed(HandshakeType.CERTIFICATE, b"\0\0\0\0"),
    "CertificateVerify, empty": malformed(HandshakeType.CERTIFICATE_VERIFY, b""),
    "CertificateVerify, cut": malformed(HandshakeType.CERTIFICATE_VERIFY, b"\4\3\0\2x"),
    "CertificateVerify, something behind": malformed(HandshakeType.CERTIFICATE_VERIFY, b"\4\3\0\1xx"),
}


@pytest.mark.parametrize("say", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_a_decode_error(say: Callable[[HostileClient], None]) -> None:
    client = certified()
    say(client)
    refused_when_repeated(client, AlertDescription.DECODE_ERROR)


def test_a_message_that_is_larger_than_any_may_be_is_not_taken_and_told_at_last() -> None:
    client = certified(replace(NEEDED, max_message_bytes=2000))
    message = HandshakeMessage(HandshakeType.CERTIFICATE, 2, bytes(2001))
    client.put(ContentType.HANDSHAKE, message.fragment(0, 500))
    assert not client.alerts
    client.repeat()
    client.wait(A_LONG_TIME_S)
    assert "2001 bytes is too long" in refused(client, AlertDescription.ILLEGAL_PARAMETER).reason
