"""An endpoint's own doings: data, closing, alerts in an association, and datagrams that are for no one."""

import pytest

from gateway.dtls.codes import AlertDescription, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import Config, PskCredential
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import (
    AssociationClosed,
    DataReceived,
    HandshakeCompleted,
    HandshakeFailed,
    HandshakeHint,
)
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.record import record_header
from gateway.dtls.suites import BY_NAME

from .pair import CLIENT, SERVER, WALL_S, Pair, events_of
from .peers import CCM_8, PSK_CCM_8, client_config, server_config

OTHER = BY_NAME["PSK_WITH_AES_128_GCM_SHA256"]


def established(**changes: object) -> Pair:
    return Pair(client_config(PSK_CCM_8), server_config(**changes)).establish()


def from_client(pair: Pair, content_type: int, content: bytes) -> None:
    """Deliver a record of the client's association, whatever it holds."""
    pair.deliver(pair.client_association.seal(content_type, content), SERVER)


def test_many_datagrams_at_once_give_their_data_and_queue_all_else() -> None:
    pair = established()
    newcomer = Pair(client_config(PSK_CCM_8), server_config())
    newcomer.connect()
    (hello, _), *_ = newcomer.take()
    datagrams = []
    for data in (b"one", b"two"):
        pair.client.send(pair.client_association, data)
        datagrams += [(datagram, CLIENT) for datagram, _ in pair.take()]
    received = pair.server.receive_datagrams([*datagrams, (hello, b"newcomer"), (b"junk", CLIENT)], 1.0, WALL_S)
    assert [event.data for event in received] == [b"one", b"two"]
    assert all(event.association is pair.server_association for event in received)
    assert pair.server.next_event() is None
    assert [destination for _, destination in pair.server.datagrams_to_send()] == [b"newcomer"]
    assert pair.server.dropped["malformed"] == 1


def test_an_association_and_its_first_data_may_come_at_once() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    resumable = Pair(client_config(PSK_CCM_8), server_config(session_ids=5)).establish()
    resumable.connect(resumable.resumption)
    while not (completed := events_of(resumable.client_events, HandshakeCompleted)[1:]):
        for data, destination in resumable.take():
            resumable.deliver(data, destination)
    resumable.client.send(completed[0].association, b"at once")
    last = [(data, CLIENT) for data, _ in resumable.take()]
    resumable.server_events.clear()
    received = resumable.server.receive_datagrams(last, resumable.now_s, WALL_S)
    event = resumable.server.next_event()
    while event is not None and not isinstance(event, HandshakeCompleted):
        event = resumable.server.next_event()
    assert isinstance(event, HandshakeCompleted)
    assert received == [DataReceived(event.association, b"at once")]
    pair.exchange()


def test_closing_tells_the_peer_which_answers_once() -> None:
    pair = established()
    association = pair.server_association
    pair.server.close(association)
    pair.run()
    assert not pair.client.associations()
    assert events_of(pair.server_events, AssociationClosed) == [AssociationClosed(association, "closed by us")]
    assert events_of(pair.client_events, AssociationClosed)[0].reason == "closed by the peer"
    count = len(pair.sent)
    pair.server.close(association)
    pair.run()
    assert len(pair.sent) == count


def test_associations_of_a_principal_can_be_ended() -> None:
    pair = established()
    assert pair.server.end_where(lambda one: one.principal is None, "no principal") == 0
    ended = pair.server.end_where(
        lambda one: one.principal is not None and one.principal.name == "device-1", "not trusted any more"
    )
    assert ended == 1
    pair.run()
    assert not pair.server.associations()
    assert not pair.client.associations()
    assert events_of(pair.server_events, AssociationClosed)[0].reason == "not trusted any more"


def test_a_fatal_alert_ends_an_association_without_an_answer() -> None:
    pair = established()
    from_client(pair, ContentType.ALERT, bytes((AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR)))
    assert not pair.server.associations()
    assert pair.take() == []
    assert events_of(pair.server_events, AssociationClosed)[0].reason == "the peer sent alert 80"


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        (ContentType.ALERT, bytes((AlertLevel.WARNING, AlertDescription.USER_CANCELED))),
        (ContentType.ALERT, bytes((AlertLevel.FATAL, 80, 0))),
        (ContentType.ALERT, b""),
        (ContentType.CHANGE_CIPHER_SPEC, b"\1"),
        (99, b"of an unknown type"),
        (ContentType.TLS12_CID, b"one in the other"),
    ],
    ids=["warning", "alert too long", "alert too short", "ChangeCipherSpec", "unknown", "tls12_cid"],
)
def test_what_says_nothing_in_an_association_changes_nothing(content_type: int, content: bytes) -> None:
    pair = established()
    from_client(pair, content_type, content)
    assert pair.take() == []
    pair.exchange()


def test_an_empty_record_is_data_too() -> None:
    pair = established()
    pair.client.send(pair.client_association, b"")
    pair.run()
    assert pair.received()[1] == [b""]


def hello_record(content: bytes) -> bytes:
    return record_header(ContentType.HANDSHAKE, 0, 0, len(content)) + content


HELLO = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, bytes(60))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HELLO.encode(), "no hello"),
        (HELLO.fragment(0, 30), "no hello"),
        (HELLO.encode() + HELLO.encode(), "no hello"),
        (HELLO.encode()[:-1], "no hello"),
        (HandshakeMessage(HandshakeType.CLIENT_HELLO, 0x8000, bytes(60)).encode(), "no hello"),
        (HandshakeMessage(HandshakeType.FINISHED, 0, bytes(12)).encode(), "out of place"),
        (b"", "out of place"),
    ],
    ids=["malformed", "a fragment", "two", "cut", "numbered too high", "Finished", "empty"],
)
def test_what_is_no_hello_is_counted_and_not_answered(content: bytes, reason: str) -> None:
    endpoint = Endpoint(server_config())
    endpoint.receive_datagram(hello_record(content), b"anyone", 0.0, WALL_S)
    assert endpoint.datagrams_to_send() == []
    assert endpoint.dropped == {reason: 1}


@pytest.mark.parametrize(("record", "message"), [((1 << 48) - 1, 1), (1, 0xFFFF), (1 << 47, 1), (1, 0x8000)])
def test_a_hello_whose_numbers_would_run_out_begins_nothing(record: int, message: int) -> None:
    """The server's own numbers go on from the client's, and must fit in 48 and 16 bits."""
    pair = Pair(client_config(PSK_CCM_8), server_config())
    pair.connect()
    for _ in range(2):
        for data, destination in pair.take():
            pair.deliver(data, destination)
    ((hello, _),) = pair.take()
    renumbered = hello[:5] + record.to_bytes(6, "big") + hello[11:17] + message.to_bytes(2, "big") + hello[19:]
    pair.deliver(renumbered, SERVER)
    assert pair.take() == []
    assert pair.server.dropped["no hello"] == 1
    pair.deliver(hello, SERVER)
    pair.run()
    assert pair.completed


def test_a_late_copy_of_the_hello_begins_no_second_handshake() -> None:
    pair = established()
    hellos = [data for data, to in pair.sent if to == SERVER and data[13] == HandshakeType.CLIENT_HELLO]
    pair.deliver(hellos[-1], SERVER)
    assert pair.take() == []
    assert not pair.server._attempts
    pair.exchange()


def test_a_hello_that_is_repeated_after_its_cookie_expired_does_not_ask_for_another_cookie() -> None:
    """It would be another hello, and its handshake not the one that is under way."""
    pair = Pair(client_config(PSK_CCM_8), server_config())
    pair.connect()
    for _ in range(2):
        for data, destination in pair.take():
            pair.deliver(data, destination)
    ((hello, _),) = pair.take()
    pair.deliver(hello, SERVER)
    (flight, _), *_ = pair.take()
    pair.now_s += 500.0
    pair.deliver(hello, SERVER)
    ((repeated, _),) = pair.take()
    assert repeated[13] == flight[13] == HandshakeType.SERVER_HELLO
    pair.deliver(flight, CLIENT)
    pair.run()
    assert pair.completed


def test_a_psk_server_without_a_store_knows_no_one() -> None:
    pair = Pair(client_config(PSK_CCM_8), Config(psk_enabled=True))
    pair.connect()
    pair.run()
    assert events_of(pair.server_events, HandshakeFailed)[-1].alert is AlertDescription.DECRYPT_ERROR


def test_when_all_connection_ids_are_taken_the_next_peers_go_without() -> None:
    server = Endpoint(server_config(connection_id_bytes=1))
    for number in range(300):
        address = b"address %d" % number
        pair = Pair(client_config(PSK_CCM_8, connection_id_bytes=0), server_config(connection_id_bytes=1))
        pair.connect()
        for _ in range(4):
            for data, _ in pair.take():
                server.receive_datagram(data, address, float(number), WALL_S)
            for data, destination in server.datagrams_to_send():
                assert destination == address
                pair.deliver(data, CLIENT)
        assert pair.client.associations()
    associations = server.associations()
    assert len(associations) == 300
    assert len({one.cid for one in associations if one.cid}) == len([one for one in associations if one.cid]) <= 256


def test_a_failed_handshake_beside_an_association_leaves_it_alone() -> None:
    pair = established(suites=(PSK_CCM_8,))
    association = pair.server_association
    client, pair.client = pair.client, Endpoint(client_config(OTHER))
    pair.connect()
    pair.run()
    assert events_of(pair.server_events, HandshakeFailed)
    assert pair.server_association is association
    pair.client = client
    pair.exchange()


def test_a_complaint_in_the_clear_is_told_once_and_changes_nothing() -> None:
    pair = Pair(client_config(CCM_8), server_config())
    pair.connect()
    pair.run(0.045)  # up to the server's flight with its certificate
    for _ in range(3):
        alert = record_header(ContentType.ALERT, 0, 9, 2) + bytes((2, AlertDescription.UNKNOWN_CA))
        pair.deliver(alert, SERVER)
    hints = events_of(pair.server_events, HandshakeHint)
    assert hints == [HandshakeHint(CLIENT, AlertDescription.UNKNOWN_CA)]
    pair.run()
    assert pair.completed


def test_who_a_client_claimed_to_be_is_told_with_its_failure() -> None:
    pair = Pair(client_config(PSK_CCM_8, client_psk=PskCredential(b"sensor-9", b"some other secret")), server_config())
    pair.connect()
    pair.run(5.0)
    (failed,) = events_of(pair.server_events, HandshakeFailed)
    assert failed.claimed is not None
    assert (failed.claimed.kind, failed.claimed.name) == ("psk", "sensor-9")
