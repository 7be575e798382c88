"""ClientHellos that ask for what must not be, and cookies, tickets and sessions that are not the sender's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.dtls.codes import DTLS_1_0, AlertDescription, ContentType, ExtensionType, HandshakeType, NamedGroup
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.messages import ClientHello, encode_extensions
from gateway.dtls.record import record_header
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TICKET_LIFETIME_S, TicketKeys
from gateway.dtls.wire import numbers, vector

from .adversary import refused
from .adversary_client import HostileClient
from .certificates import NOW_S
from .peers import CCM_8, PSK, PSK_CCM_8, device_certificate, server_config

ECDSA_GCM = BY_NAME["ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
KEYS = TicketKeys(bytes(32))


# -- what a hello asks for ------------------------------------------------------------------------------

EMS, RENEGOTIATION = ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO
GROUPS, FORMATS, SIGNATURES = (
    ExtensionType.SUPPORTED_GROUPS,
    ExtensionType.EC_POINT_FORMATS,
    ExtensionType.SIGNATURE_ALGORITHMS,
)
REFUSED_FIELDS = {
    "DTLS 1.0": ({"version": DTLS_1_0}, AlertDescription.PROTOCOL_VERSION),
    "TLS 1.2": ({"version": 0x0303}, AlertDescription.PROTOCOL_VERSION),
    "version 0": ({"version": 0}, AlertDescription.PROTOCOL_VERSION),
    "compression alone": ({"compression_methods": b"\1"}, AlertDescription.ILLEGAL_PARAMETER),
    "no suite that we know": ({"cipher_suites": (0x1301, 0xC024)}, AlertDescription.HANDSHAKE_FAILURE),
    "the null suite": ({"cipher_suites": (0x0000,)}, AlertDescription.HANDSHAKE_FAILURE),
    "PSK with CBC and SHA": ({"cipher_suites": (0x008C,)}, AlertDescription.HANDSHAKE_FAILURE),
}
REFUSED_EXTENSIONS = {
    "without extended master secret": ({EMS: None}, AlertDescription.HANDSHAKE_FAILURE),
    "extended master secret with content": ({EMS: b"\0"}, AlertDescription.DECODE_ERROR),
    "renegotiation": ({RENEGOTIATION: vector(1, bytes(12))}, AlertDescription.HANDSHAKE_FAILURE),
    "renegotiation info that is none": ({RENEGOTIATION: b""}, AlertDescription.HANDSHAKE_FAILURE),
    "compressed points alone": ({FORMATS: b"\2\1\2"}, AlertDescription.ILLEGAL_PARAMETER),
    "no point formats": ({FORMATS: b"\0"}, AlertDescription.ILLEGAL_PARAMETER),
    "point formats cut": ({FORMATS: b"\2\0"}, AlertDescription.DECODE_ERROR),
    "no groups": ({GROUPS: b"\0\0"}, AlertDescription.DECODE_ERROR),
    "half a group": ({GROUPS: b"\0\1\0"}, AlertDescription.DECODE_ERROR),
    "no group that we know": ({GROUPS: numbers(2, 2, (25, 256))}, AlertDescription.HANDSHAKE_FAILURE),
    "no schemes": ({SIGNATURES: b"\0\0"}, AlertDescription.DECODE_ERROR),
    "SHA-1 alone": ({SIGNATURES: numbers(2, 2, (0x0201, 0x0203))}, AlertDescription.HANDSHAKE_FAILURE),
    "signature schemes left out, which means SHA-1": ({SIGNATURES: None}, AlertDescription.HANDSHAKE_FAILURE),
    "an unknown fragment length": ({ExtensionType.MAX_FRAGMENT_LENGTH: b"\5"}, AlertDescription.ILLEGAL_PARAMETER),
    "no fragment length": ({ExtensionType.MAX_FRAGMENT_LENGTH: b""}, AlertDescription.ILLEGAL_PARAMETER),
    "a connection ID cut": ({ExtensionType.CONNECTION_ID: b"\4abc"}, AlertDescription.DECODE_ERROR),
    "a connection ID, something behind": ({ExtensionType.CONNECTION_ID: b"\1ab"}, AlertDescription.DECODE_ERROR),
    "a connection ID without its length": ({ExtensionType.CONNECTION_ID: b""}, AlertDescription.DECODE_ERROR),
    "raw public keys alone": (
        {ExtensionType.SERVER_CERTIFICATE_TYPE: b"\1\2"},
        AlertDescription.UNSUPPORTED_CERTIFICATE,
    ),
    "no certificate type": ({ExtensionType.SERVER_CERTIFICATE_TYPE: b"\0"}, AlertDescription.UNSUPPORTED_CERTIFICATE),
}


@pytest.mark.parametrize(("fields", "alert"), REFUSED_FIELDS.values(), ids=REFUSED_FIELDS)
def test_a_hello_that_is_refused(fields: dict[str, Any], alert: AlertDescription) -> None:
    client = HostileClient(server_config()).change_hello(**fields).greet()
    refused(client, alert)
    assert client.endpoint.next_timeout() is None


@pytest.mark.parametrize(("extensions", "alert"), REFUSED_EXTENSIONS.values(), ids=REFUSED_EXTENSIONS)
def test_an_extension_that_is_refused(extensions: dict[int, bytes | None], alert: AlertDescription) -> None:
    client = HostileClient(server_config()).change_hello(extensions).greet()
    refused(client, alert)
    assert client.endpoint.next_timeout() is None


def test_the_server_does_not_sign_with_a_curve_that_the_client_can_not_verify() -> None:
    server = server_config(identities=server_config().identities[:1])
    client = HostileClient(server).change_hello({GROUPS: numbers(2, 2, (NamedGroup.X25519, NamedGroup.SECP384R1))})
    refused(client.greet(), AlertDescription.HANDSHAKE_FAILURE)


def test_pre_shared_keys_are_refused_where_they_are_off() -> None:
    client = HostileClient(server_config(psk_enabled=False), PSK_CCM_8).greet()
    refused(client, AlertDescription.HANDSHAKE_FAILURE)


def test_a_hello_is_answered_with_nothing_that_it_did_not_ask_for() -> None:
    server = server_config(tickets=KEYS, raw_public_keys=True)
    client = HostileClient(server).change_hello({RENEGOTIATION: None, FORMATS: None}).greet()
    assert set(client.server_hello.extensions) == {EMS}


def test_the_signalling_suite_stands_for_an_empty_renegotiation_info() -> None:
    client = HostileClient(server_config()).change_hello({RENEGOTIATION: None}, cipher_suites=(0x00FF, CCM_8.number))
    assert client.greet().server_hello.extensions[RENEGOTIATION] == b"\0"


def twice(hello: ClientHello) -> bytes:
    plain = replace(hello, extensions={}).encode()
    block = encode_extensions(hello.extensions)[2:]
    return plain + vector(2, block + EMS.to_bytes(2, "big") + vector(2, b""))


@pytest.mark.parametrize(
    "spoil",
    [
        twice,
        lambda hello: hello.encode()[:-1],
        lambda hello: hello.encode() + b"\0",
        lambda hello: replace(hello, cipher_suites=()).encode(),
        lambda hello: replace(hello, compression_methods=b"").encode(),
        lambda hello: replace(hello, session_id=bytes(33)).encode(),
        lambda hello: b"",
    ],
    ids=["an extension twice", "cut", "something behind", "no suites", "no compression", "a long session ID", "empty"],
)
def test_a_malformed_hello_is_dropped_without_a_word(spoil: Callable[[ClientHello], bytes]) -> None:
    """Before the cookie holds there is nobody to tell."""
    client = HostileClient(server_config())
    client.greet(body=spoil(replace(client.hello, cookie=client.ask_for_cookie())))
    assert client.endpoint.dropped["no hello"] == 1
    assert not client.alerts
    assert not client.failures
    assert client.latest(HandshakeType.SERVER_HELLO) is None


# -- numbers that would run out -------------------------------------------------------------------------


@pytest.mark.parametrize("sequence", [0x8000, 0xFFFF])
def test_a_hello_after_which_message_numbers_would_run_out_is_dropped(sequence: int) -> None:
    client = HostileClient(server_config())
    client.hello = replace(client.hello, cookie=client.ask_for_cookie())
    client.say(HandshakeType.CLIENT_HELLO, client.hello.encode(), sequence=sequence)
    assert client.latest(HandshakeType.SERVER_HELLO) is None


@pytest.mark.parametrize("number", [1 << 47, (1 << 48) - 1])
def test_a_hello_after_which_record_numbers_would_run_out_is_dropped(number: int) -> None:
    client = HostileClient(server_config())
    client.hello = replace(client.hello, cookie=client.ask_for_cookie())
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 1, client.hello.encode())
    client.put(ContentType.HANDSHAKE, message.encode(), number=number)
    assert client.latest(HandshakeType.SERVER_HELLO) is None


# -- cookies --------------------------------------------------------------------------------------------


def test_there_is_no_state_and_no_larger_answer_before_a_valid_cookie() -> None:
    client = HostileClient(server_config())
    smallest = ClientHello(bytes(32), b"", b"", (PSK_CCM_8.number,), b"\0", {}).encode()
    for cookie in (b"", bytes(16), bytes(255)):
        before = len(client.datagrams)
        body = replace(ClientHello.parse(smallest), cookie=cookie).encode()
        client.say(HandshakeType.CLIENT_HELLO, body, sequence=0)
        (answer,) = client.datagrams[before:]
        assert len(answer) < len(record_header(22, 0, 0, 0)) + 12 + len(body)
    endpoint = client.endpoint
    assert endpoint.next_timeout() is None
    assert not endpoint._attempts
    assert not endpoint._admission._begun
    assert not endpoint._attempts.timers
    assert not endpoint._attempts.cids


def test_a_datagram_of_many_hellos_is_answered_once() -> None:
    client = HostileClient(server_config())
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, client.hello.encode()).encode()
    client.deliver(b"".join(client.record(ContentType.HANDSHAKE, message) for _ in range(20)))
    assert len(client.datagrams) == 1


def no_handshake(client: HostileClient) -> None:
    """That it was asked for a cookie, again, and no more."""
    assert client.latest(HandshakeType.SERVER_HELLO) is None
    assert client.heard[-1].type == HandshakeType.HELLO_VERIFY_REQUEST
    assert not client.endpoint._attempts


def test_the_cookie_of_another_address_is_none() -> None:
    server = Endpoint(server_config())
    cookie = HostileClient(server, address=b"other").ask_for_cookie()
    client = HostileClient(server)
    assert cookie != client.ask_for_cookie()
    client.hello = replace(client.hello, cookie=cookie)
    no_handshake(client.greet_again())


CHANGES = {
    "random": {"random": bytes(32)},
    "session ID": {"session_id": b"x"},
    "suites": {"cipher_suites": (CCM_8.number, PSK_CCM_8.number)},
    "version": {"version": DTLS_1_0},
    "compression": {"compression_methods": b"\1\0"},
    "extensions": {"extensions": {}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_hello_that_changed_behind_its_cookie_gets_another_one(change: dict[str, Any]) -> None:
    client = HostileClient(server_config())
    client.hello = replace(client.hello, cookie=client.ask_for_cookie(), **change)
    no_handshake(client.greet_again())


@pytest.mark.parametrize("cookie", [bytes(16), b"x", bytes(17), bytes(255)], ids=lambda cookie: f"{len(cookie)} bytes")
def test_an_invented_cookie_is_none(cookie: bytes) -> None:
    client = HostileClient(server_config())
    client.ask_for_cookie()
    client.hello = replace(client.hello, cookie=cookie)
    no_handshake(client.greet_again())


def test_a_cookie_does_not_last() -> None:
    client = HostileClient(server_config())
    client.hello = replace(client.hello, cookie=client.ask_for_cookie())
    client.now_s += 121.0
    no_handshake(client.greet_again())


def test_a_captured_hello_begins_no_second_handshake_after_the_first() -> None:
    client = HostileClient(server_config()).greet().answer()
    heard = len(client.heard)
    client.greet_again()
    assert len(client.heard) == heard
    assert not client.endpoint._attempts


# -- resumption -----------------------------------------------------------------------------------------


def with_ticket(server: Endpoint, **changes: Any) -> HostileClient:
    """A client that made a full handshake and has a ticket."""
    client = HostileClient(server, **changes)
    client.change_hello({ExtensionType.SESSION_TICKET: b""}).greet().answer()
    assert client.established
    return client


def again(server: Endpoint, **changes: Any) -> HostileClient:
    return HostileClient(server, address=b"elsewhere", now_s=1.0, **changes).change_hello(random=bytes(32))


def is_full_handshake(client: HostileClient) -> bool:
    return client.latest(HandshakeType.SERVER_HELLO_DONE) is not None


def test_a_ticket_resumes_a_session() -> None:
    server = Endpoint(server_config(tickets=KEYS))
    first = with_ticket(server)
    client = again(server).resume(first, ticket=first.ticket).go_on()
    assert not is_full_handshake(client)
    client.change_cipher_spec()
    client.finish()
    assert [one.resumed for one in server.associations()] == [False, True]


def test_a_ticket_whose_session_one_does_not_know_is_of_no_use() -> None:
    server = Endpoint(server_config(tickets=KEYS))
    first = with_ticket(server)
    ticket, first.master = first.ticket, bytes(48)
    client = again(server).resume(first, ticket=ticket).go_on()
    client.change_cipher_spec()
    client.finish()
    client.repeat()
    client.wait(600.0)
    assert len(server.associations()) == 1
    assert [failure.alert for failure in client.failures] == [AlertDescription.DECRYPT_ERROR]


@pytest.mark.parametrize("session_ids", [0, 10], ids=["ticket", "session ID"])
def test_resumption_with_extended_master_secret_stripped_is_a_handshake_failure(session_ids: int) -> None:
    config = server_config(
        tickets=None if session_ids else KEYS, session_ids=session_ids, require_extended_master_secret=False
    )
    server = Endpoint(config)
    first = with_ticket(server)
    client = again(server).change_hello({EMS: None}).resume(first, ticket=b"" if session_ids else first.ticket)
    assert client.alerts == [AlertDescription.HANDSHAKE_FAILURE]
    assert len(server.associations()) == 1


def test_a_session_without_extended_master_secret_is_not_resumed_with_it() -> None:
    server = Endpoint(server_config(tickets=KEYS, require_extended_master_secret=False))
    first = HostileClient(server).change_hello({EMS: None, ExtensionType.SESSION_TICKET: b""}).greet().answer()
    assert not first.extended
    client = again(server).resume(first, ticket=first.ticket)
    assert client.extended
    assert is_full_handshake(client)


def test_a_session_without_extended_master_secret_is_not_resumed_where_it_is_required_meanwhile() -> None:
    lax = Endpoint(server_config(tickets=KEYS, require_extended_master_secret=False))
    first = HostileClient(lax).change_hello({EMS: None, ExtensionType.SESSION_TICKET: b""}).greet().answer()
    client = again(Endpoint(server_config(tickets=KEYS))).change_hello({EMS: None}).resume(first, ticket=first.ticket)
    refused(client, AlertDescription.HANDSHAKE_FAILURE)


def spoiled(ticket: bytes) -> list[bytes]:
    flipped = [ticket[:at] + bytes((ticket[at] ^ 1,)) + ticket[at + 1 :] for at in (0, 3, 4, 16, len(ticket) - 1)]
    return [*flipped, ticket[:-1], ticket + b"\0", b"x", bytes(200)]


def test_a_ticket_of_another_server_or_one_that_was_changed_leads_to_a_full_handshake() -> None:
    other = with_ticket(Endpoint(server_config(tickets=TicketKeys(bytes(31) + b"\1"))))
    server = Endpoint(server_config(tickets=KEYS, handshakes_per_second=100))
    first = with_ticket(server)
    for ticket in (other.ticket, *spoiled(first.ticket)):
        assert is_full_handshake(again(server).resume(first, ticket=ticket))


def test_a_ticket_does_not_last() -> None:
    server = Endpoint(server_config(tickets=KEYS))
    first = with_ticket(server)
    client = again(server)
    client.now_s = TICKET_LIFETIME_S + 1.0
    assert is_full_handshake(client.resume(first, ticket=first.ticket))


def test_a_ticket_is_of_no_use_for_another_suite_than_the_sessions() -> None:
    server = Endpoint(server_config(tickets=KEYS))
    first = with_ticket(server)
    client = again(server, suite=ECDSA_GCM)
    first.suite = ECDSA_GCM
    assert is_full_handshake(client.resume(first, ticket=first.ticket))


def test_a_session_of_a_principal_that_is_trusted_no_more_is_not_resumed() -> None:
    trusted = {"device-1"}
    config = server_config(
        tickets=KEYS, client_auth=ClientAuth.NEEDED, still_trusted=lambda principal: principal.name in trusted
    )
    server = Endpoint(config)
    first = with_ticket(server, certificate=device_certificate())
    assert not is_full_handshake(again(server).resume(first, ticket=first.ticket))
    trusted.clear()
    client = again(server).change_hello(random=bytes(31) + b"\1")
    assert is_full_handshake(client.resume(first, ticket=first.ticket))


def test_an_anonymous_session_is_not_resumed_where_a_certificate_is_needed_meanwhile() -> None:
    first = with_ticket(Endpoint(server_config(tickets=KEYS)))
    server = Endpoint(server_config(tickets=KEYS, client_auth=ClientAuth.NEEDED))
    assert is_full_handshake(again(server).resume(first, ticket=first.ticket))


def test_a_session_with_a_pre_shared_key_is_not_resumed_where_those_are_off_meanwhile() -> None:
    first = with_ticket(Endpoint(server_config(tickets=KEYS)), suite=PSK_CCM_8)
    assert first.delivered == []
    server = Endpoint(server_config(tickets=KEYS, psk_enabled=False))
    client = again(server, suite=PSK_CCM_8).resume(first, ticket=first.ticket)
    refused(client, AlertDescription.HANDSHAKE_FAILURE)


def test_the_secrets_of_a_handshake_are_in_no_text() -> None:
    """Neither in a repr nor in a reason nor in an exception (security rule 6)."""
    server = Endpoint(server_config(tickets=KEYS, client_auth=ClientAuth.NEEDED))
    client = with_ticket(server, suite=PSK_CCM_8)
    wrong = HostileClient(server, PSK_CCM_8, address=b"other").greet()
    wrong.exchange_keys(key=b"quite another one")
    wrong.change_cipher_spec()
    wrong.finish()
    wrong.repeat()
    (association,) = server.associations()
    config = server._config
    session = KEYS.open(client.ticket, NOW_S)
    things = (association, association.read, association.writer, config, server, *config.identities, PSK, KEYS, session)
    texts = [repr(one) for one in (*things, *client.events, *wrong.events)]
    secrets = [PSK.key, b"quite another one", client.master, wrong.master, association.read.key, association.read.iv]
    for text in texts:
        for secret in secrets:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text
