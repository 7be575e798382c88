"""Clients that break the rules of a handshake: none gets in, and each gets the alert that it must get.

Until its Finished is right all that a client says may be someone else's forgery. So what fails before is answered only
when it fails again in the client's repetition of its flight, and what could have been lost on the way is waited for
without a word (docs: "A handshake survives forged plaintext").
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.dtls.codes import AlertDescription, ContentType, HandshakeType, NamedGroup
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import HandshakeFailed
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.keyexchange import ephemeral_key
from gateway.dtls.messages import Certificate, ClientKeyExchange
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.wire import vector

from .adversary import Adversary
from .adversary_client import HostileClient
from .certificates import DAY_S, NOW_S, device, new_key
from .peers import CCM_8, PSK, PSK_CCM_8, ca, device_certificate, server_config

ECDHE_PSK = BY_NAME["ECDHE_PSK_WITH_AES_128_GCM_SHA256"]
NEEDED = server_config(client_auth=ClientAuth.NEEDED)
A_LONG_TIME_S = 600.0


def anonymous(suite: CipherSuite = CCM_8, server: Config | None = None) -> HostileClient:
    return HostileClient(server or server_config(), suite).greet()


def certified(server: Config | None = None) -> HostileClient:
    return HostileClient(server or NEEDED, certificate=device_certificate()).greet()


def refused(peer: Adversary, alert: AlertDescription) -> HandshakeFailed:
    """That a peer was sent this alert, and no other, and is not in."""
    assert not peer.established
    assert peer.alerts == [alert]
    (failure,) = peer.failures
    assert failure.alert is alert
    return failure


def refused_when_repeated(peer: Adversary, alert: AlertDescription) -> HandshakeFailed:
    """That this alert comes, but not before the peer said the same again."""
    assert not peer.alerts
    assert not peer.failures
    peer.repeat()
    return refused(peer, alert)


def ignored(peer: Adversary) -> None:
    """That nothing comes of it, and nobody is told before the handshake is given up."""
    assert not peer.alerts
    assert not peer.failures
    peer.wait(A_LONG_TIME_S)
    assert not peer.established
    assert not peer.alerts
    assert [failure.alert for failure in peer.failures] == [None]


# -- that the adversary would get in if it kept to the rules --------------------------------------------


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_client_that_keeps_to_the_rules_gets_in(suite: CipherSuite) -> None:
    client = HostileClient(server_config(client_auth=ClientAuth.WANTED), suite, certificate=device_certificate())
    client.greet().answer().send_data(b"hello")
    assert client.established
    assert client.delivered == [b"hello"]


# -- the order of messages (security rule 3) ------------------------------------------------------------


def test_finished_without_change_cipher_spec_is_waited_upon() -> None:
    client = anonymous()
    client.exchange_keys()
    client.finish()
    ignored(client)


def test_finished_in_the_clear_is_unexpected() -> None:
    client = anonymous()
    client.exchange_keys()
    client.finish(epoch=0)
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


def test_finished_in_the_clear_is_not_taken_after_change_cipher_spec_either() -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish(epoch=0)
    ignored(client)


def test_finished_said_in_the_clear_ahead_of_its_turn_does_not_count_later() -> None:
    client = anonymous()
    client.exchange_keys(tell=False)
    # ClientKeyExchange is said last; it is in the transcript of Finished all the same.
    message = HandshakeMessage(HandshakeType.CLIENT_KEY_EXCHANGE, 2, ClientKeyExchange(None, bytes(65)).encode())
    client.transcript += message.encode()
    client.next_sequence = 3
    client.finish(epoch=0)
    client.change_cipher_spec()
    client.put(ContentType.HANDSHAKE, message.encode())
    client.change_cipher_spec()
    assert not client.established
    client.wait(A_LONG_TIME_S)
    assert not client.established


def test_change_cipher_spec_before_client_key_exchange_does_not_count() -> None:
    client = anonymous()
    client.change_cipher_spec()
    client.exchange_keys()
    client.finish()
    ignored(client)


def test_change_cipher_spec_before_certificate_verify_does_not_count() -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.change_cipher_spec()
    client.verify()
    client.finish()
    ignored(client)


@pytest.mark.parametrize("content", [b"", b"\0", b"\2", b"\1\1", b"\1\0"], ids=repr)
def test_change_cipher_spec_with_other_content_is_none(content: bytes) -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec(content)
    client.finish()
    ignored(client)


def test_a_certificate_without_certificate_verify_is_waited_upon() -> None:
    client = certified()
    client.certify()
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish()
    ignored(client)


def test_no_certificate_message_at_all_is_unexpected() -> None:
    client = certified()
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish()
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("auth", [ClientAuth.NONE, ClientAuth.WANTED, ClientAuth.NEEDED], ids=lambda auth: auth.name)
def test_a_certificate_that_comes_twice_is_unexpected(auth: ClientAuth) -> None:
    client = certified(server_config(client_auth=auth))
    if auth is not ClientAuth.NONE:
        client.certify()
    client.certify()
    client.exchange_keys()
    client.verify()
    client.change_cipher_spec()
    client.finish()
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


def test_certificate_verify_without_a_certificate_is_unexpected() -> None:
    client = certified(server_config(client_auth=ClientAuth.WANTED))
    client.certify(())
    client.exchange_keys()
    client.verify()
    client.repeat()
    refused(client, AlertDescription.UNEXPECTED_MESSAGE)


def test_certificate_verify_before_client_key_exchange_is_unexpected() -> None:
    client = certified()
    client.certify()
    client.verify()
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish()
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize(
    "message_type",
    [*(one for one in HandshakeType if one not in (1, 0, 16)), 99],
    ids=lambda value: value.name if isinstance(value, HandshakeType) else str(value),
)
def test_a_message_that_is_not_in_the_table_is_unexpected(message_type: int) -> None:
    client = anonymous()
    client.say(message_type, bytes(12))
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


def test_hello_request_is_a_servers_word_and_ignored() -> None:
    client = anonymous()
    client.say(HandshakeType.HELLO_REQUEST, b"", sequence=2, counts=False)
    client.answer()
    assert client.established


def test_a_second_client_hello_in_one_handshake_is_unexpected() -> None:
    client = certified()
    first = HandshakeMessage(HandshakeType.CERTIFICATE, 2, Certificate(()).encode())
    second = HandshakeMessage(HandshakeType.CLIENT_HELLO, 3, client.hello.encode())
    client.put(ContentType.HANDSHAKE, first.encode() + second.encode())
    refused_when_repeated(client, AlertDescription.UNEXPECTED_MESSAGE)


def test_another_client_hello_amid_a_handshake_gets_a_cookie_of_its_own_and_disturbs_nothing() -> None:
    client = anonymous()
    heard = len(client.datagrams)
    other = replace(client.hello, random=bytes(32))
    client.say(HandshakeType.CLIENT_HELLO, other.encode(), sequence=2, counts=False)
    assert [len(datagram) for datagram in client.datagrams[heard:]] == [44]
    client.answer()
    assert client.established


# -- the numbers of messages ----------------------------------------------------------------------------


def test_a_message_sequence_that_skips_is_waited_upon() -> None:
    client = anonymous()
    client.next_sequence += 1
    client.answer()
    ignored(client)


def test_a_message_with_the_number_of_one_that_is_over_is_ignored() -> None:
    client = anonymous()
    client.next_sequence -= 1
    client.answer()
    ignored(client)


def test_a_message_sequence_that_repeats_puts_the_later_in_the_place_of_the_earlier() -> None:
    client = certified()
    client.certify()
    client.next_sequence -= 1  # so ClientKeyExchange replaces the Certificate, which must not be missing
    client.exchange_keys()
    client.verify()
    client.change_cipher_spec()
    client.finish()
    assert not client.alerts
    client.repeat()
    assert not client.established
    client.wait(A_LONG_TIME_S)
    assert not client.established


def test_a_finished_with_the_next_number_but_one_is_ignored() -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    client.next_sequence += 1
    client.finish()
    ignored(client)


# -- keys, Finished, epochs -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [bytes(12), b"", bytes(11), bytes(13)], ids=lambda data: f"{len(data)} bytes")
def test_a_wrong_finished_is_a_decrypt_error(data: bytes) -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    client.finish(data)
    refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)


def test_a_finished_of_the_servers_making_is_a_decrypt_error() -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    client.is_client = False
    client.finish()
    refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)


def test_a_finished_over_another_transcript_is_a_decrypt_error() -> None:
    client = anonymous()
    client.exchange_keys()
    client.transcript[40] ^= 1
    client.change_cipher_spec()
    client.finish()
    refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)


def test_another_session_hash_makes_other_keys() -> None:
    client = anonymous()
    client.transcript[40] ^= 1
    client.answer()
    refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)


def test_a_mixture_of_two_handshakes_is_none() -> None:
    server = Endpoint(server_config())
    other = HostileClient(server, address=b"other").greet()
    client = HostileClient(server).greet()
    client.server_random, client.heard = other.server_random, other.heard
    client.answer()
    refused_when_repeated(client, AlertDescription.DECRYPT_ERROR)


def test_the_finished_of_another_handshake_is_none() -> None:
    server = Endpoint(server_config())
    other = HostileClient(server, PSK_CCM_8, address=b"other").greet().answer()
    client = HostileClient(server, PSK_CCM_8).greet()
    client.exchange_keys()
    client.change_cipher_spec()
    client.write = other.write
    client.finish()
    client.repeat()
    assert client.alerts == [AlertDescription.DECRYPT_ERROR]
    assert [one.address for one in server.associations()] == [b"other"]


@pytest.mark.parametrize("epoch", [2, 3, 0xFFFF])
def test_a_finished_of_another_epoch_is_ignored(epoch: int) -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    assert client.write is not None
    content = HandshakeMessage(HandshakeType.FINISHED, 3, bytes(12)).encode()
    client.deliver(client.write.seal(ContentType.HANDSHAKE, epoch, 0, content))
    ignored(client)


def test_application_data_in_the_clear_is_never_delivered() -> None:
    client = anonymous(PSK_CCM_8)
    client.send_data(b"before", epoch=0)
    client.answer()
    client.send_data(b"after", epoch=0)
    assert client.established
    assert client.delivered == []
    assert client.endpoint.dropped["out of place"] == 1


def test_application_data_before_finished_is_not_delivered() -> None:
    client = anonymous(PSK_CCM_8)
    client.exchange_keys()
    client.send_data(b"before ChangeCipherSpec")
    client.change_cipher_spec()
    client.send_data(b"before Finished")
    assert not client.established
    client.finish()
    assert client.established
    client.send_data(b"after")
    assert client.delivered == [b"after"]


def test_an_authentic_fatal_alert_before_finished_ends_the_handshake_and_is_not_answered() -> None:
    client = anonymous()
    client.exchange_keys()
    client.change_cipher_spec()
    client.alert(AlertDescription.INTERNAL_ERROR, epoch=1)
    assert not client.alerts
    assert [failure.alert for failure in client.failures] == [AlertDescription.INTERNAL_ERROR]


@pytest.mark.parametrize("description", [AlertDescription.HANDSHAKE_FAILURE, AlertDescription.CLOSE_NOTIFY, 255])
def test_an_alert_in_the_clear_ends_nothing(description: int) -> None:
    client = certified()
    client.alert(description)
    client.certify()
    client.alert(description)
    client.exchange_keys()
    client.verify()
    client.alert(description)
    client.change_cipher_spec()
    client.alert(description)
    client.finish()
    assert client.established
    client.alert(description)
    assert client.endpoint.associations()


def test_an_alert_in_the_clear_is_told_when_the_handshake_is_given_up() -> None:
    client = anonymous()
    client.alert(AlertDescription.UNKNOWN_CA)
    client.wait(A_LONG_TIME_S)
    (failure,) = client.failures
    assert failure.alert is None
    assert "alert 48, which is not authenticated" in failure.reason


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
