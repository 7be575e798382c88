"""Clients that break the rules of a handshake: none gets in, and each gets the alert that it must get.

Until its Finished is right all that a client says may be someone else's forgery. So what fails before is answered only
when it fails again in the client's repetition of its flight, and what could have been lost on the way is waited for
without a word (docs: "A handshake survives forged plaintext").
"""

from dataclasses import replace

import pytest

from gateway.dtls.codes import AlertDescription, ContentType, HandshakeType
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.messages import Certificate, ClientKeyExchange
from gateway.dtls.suites import SUITES, CipherSuite

from .adversary import A_LONG_TIME_S, ignored, refused, refused_when_repeated
from .adversary_client import HostileClient, anonymous, certified
from .peers import PSK_CCM_8, device_certificate, server_config

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
