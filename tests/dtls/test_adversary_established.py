"""What an association stands: late and replayed records, strangers, spoofed addresses, peers that reboot."""

import pytest

from gateway.dtls.codes import DTLS_1_0, AlertDescription, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AssociationClosed
from gateway.dtls.greeting import LATE_S
from gateway.dtls.record import record_header

from .adversary_client import HostileClient, closed, established, still_works
from .pair import Network, Pair
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, server_config

ELSEWHERE = b"elsewhere"


# -- records that are not the peer's, or not new --------------------------------------------------------


def test_a_record_is_taken_once() -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"once", epoch=1)
    for address in (client.address, client.address, ELSEWHERE):
        client.deliver(datagram, address=address)
    assert client.delivered == [b"once"]


@pytest.mark.parametrize("at", range(13), ids=lambda at: f"header byte {at}")
def test_a_record_whose_header_was_changed_is_dropped(at: int) -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"data", epoch=1)
    for bit in range(8):
        client.deliver(datagram[:at] + bytes((datagram[at] ^ 1 << bit,)) + datagram[at + 1 :])
    assert client.delivered == []
    assert still_works(client)


def test_a_protected_record_of_another_version_is_dropped() -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"data", epoch=1)
    client.deliver(datagram[:1] + DTLS_1_0.to_bytes(2, "big") + datagram[3:])
    assert client.delivered == []


def test_many_records_in_one_datagram_are_not_all_looked_at() -> None:
    client = established()
    dropped = sum(client.endpoint.dropped.values())
    client.deliver((record_header(ContentType.APPLICATION_DATA, 1, 9, 30) + bytes(30)) * 1000)
    assert sum(client.endpoint.dropped.values()) - dropped <= 32


# -- the end of the handshake, again --------------------------------------------------------------------


def repeated_flight(client: HostileClient) -> int:
    """Say the last flight again; gives how many datagrams that brought."""
    before = len(client.datagrams)
    client.repeat()
    return len(client.datagrams) - before


def test_a_repeated_flight_gets_the_last_one_again_within_bounds() -> None:
    client = established()
    answers = [repeated_flight(client) for _ in range(10)]
    assert answers == [1] * 5 + [0] * 5
    assert still_works(client)
    assert len(client.endpoint.associations()) == 1
    assert not client.endpoint._attempts


def test_a_replayed_flight_gets_nothing() -> None:
    client = HostileClient(server_config(), PSK_CCM_8).greet()
    client.sent.clear()
    client.answer()
    before = len(client.datagrams)
    for datagram in [*client.sent]:
        client.deliver(datagram)
    assert len(client.datagrams) == before
    assert still_works(client)


def test_a_flight_that_comes_again_after_data_gets_nothing() -> None:
    client = established()
    client.send_data(b"so I have your Finished")
    client._flight = client._flight[:-1]
    assert repeated_flight(client) == 0


@pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
def test_two_that_repeat_their_flights_come_to_an_end(resumed: bool) -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config(session_ids=10), Network())
    pair.establish()
    pair.exchange()
    resumption = pair.resumption if resumed else None
    pair.network = Network(duplication=1.0)
    before = len(pair.sent)
    pair.connect(resumption)
    # So long on the way that each side repeats its flight before it hears of the other's.
    pair.network = Network(duplication=1.0, delay_s=1.2)
    pair.run()
    assert pair.completed
    assert len(pair.sent) - before < 30
    pair.exchange()


# -- alerts, renegotiation, plaintext -------------------------------------------------------------------


def test_close_notify_is_answered_and_ends_the_association() -> None:
    client = established()
    client.alert(AlertDescription.CLOSE_NOTIFY, AlertLevel.WARNING, epoch=1)
    assert client.warnings == [AlertDescription.CLOSE_NOTIFY]
    assert [event.reason for event in closed(client)] == ["closed by the peer"]
    assert not client.endpoint.associations()


def test_a_fatal_alert_ends_the_association_and_is_not_answered() -> None:
    client = established()
    before = len(client.datagrams)
    client.alert(AlertDescription.INTERNAL_ERROR, epoch=1)
    assert len(client.datagrams) == before
    assert not client.endpoint.associations()


def test_a_warning_ends_nothing() -> None:
    client = established()
    client.alert(AlertDescription.USER_CANCELED, AlertLevel.WARNING, epoch=1)
    client.put(ContentType.ALERT, b"\2", epoch=1)
    assert still_works(client)


@pytest.mark.parametrize("body", [b"", b"hello", bytes(300)], ids=lambda body: f"{len(body)} bytes")
def test_renegotiation_is_refused(body: bytes) -> None:
    client = established()
    client.say(HandshakeType.CLIENT_HELLO, body, epoch=1)
    assert client.warnings == [AlertDescription.NO_RENEGOTIATION]
    assert still_works(client)


def test_nothing_in_the_clear_moves_an_association() -> None:
    client = established()
    before = len(client.datagrams)
    for description in (0, 10, 40, 100):
        client.alert(description)
    client.change_cipher_spec()
    client.send_data(b"plain", epoch=0)
    for message_type in (0, 2, 11, 14, 16, 20):
        client.say(message_type, bytes(20))
    assert len(client.datagrams) == before
    assert still_works(client)


# -- the owner ------------------------------------------------------------------------------------------


def test_a_principal_that_is_trusted_no_more_loses_its_associations() -> None:
    pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED)).establish()
    other = established(pair.server, address=b"other")
    ended = pair.server.end_where(
        lambda one: one.principal is not None and one.principal.kind == "x509", "trusted no more"
    )
    assert ended == 1
    pair.run()
    assert not pair.client.associations()  # it was told
    assert [one.address for one in pair.server.associations()] == [b"other"]
    assert still_works(other)
    reasons = [event.reason for event in pair.server_events if isinstance(event, AssociationClosed)]
    assert reasons == ["trusted no more"]


def test_a_device_whose_random_numbers_repeat_gets_in_again_after_a_while() -> None:
    server = Endpoint(server_config())
    before = established(server)
    after = HostileClient(server, PSK_CCM_8)
    assert after.hello.random == before.hello.random
    after.greet()
    assert after.latest(HandshakeType.SERVER_HELLO) is None  # it might be a late copy
    after.now_s += LATE_S
    after.greet().answer()
    assert still_works(after)
    assert len(server.associations()) == 1
