"""The shorter way in: many datagrams at a time, their data given at once."""

from collections import deque

import pytest

from gateway.dtls import protection
from gateway.dtls.events import AssociationClosed, DataReceived, HandshakeCompleted
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import records_of
from gateway.dtls.suites import Aead

from .pair import CLIENT, SERVER, Pair, events_of
from .peers import client_config, server_config


def pair() -> Pair:
    return Pair(client_config(), server_config())


def sent_by_client(made: Pair, *contents: bytes) -> list[tuple[bytes, bytes]]:
    for content in contents:
        made.client.send(made.client_association, content)
    return [(datagram, CLIENT) for datagram, _ in made.client.datagrams_to_send()]


def test_the_data_of_many_datagrams_comes_at_once_and_in_their_order() -> None:
    made = pair().establish()
    datagrams = sent_by_client(made, b"one", b"two", b"three")

    received = made.server.receive_datagrams(datagrams, made.now_s, made.wall_s)

    assert received == [(made.server_association, content) for content in (b"one", b"two", b"three")]
    assert all(isinstance(one, DataReceived) for one in received)
    assert made.server.next_event() is None


def test_what_is_not_data_is_an_event_as_ever() -> None:
    made = pair().establish()
    (data,) = sent_by_client(made, b"last words")
    made.client.close(made.client_association)
    ((closing, _),) = made.client.datagrams_to_send()

    received = made.server.receive_datagrams([data, (closing, CLIENT)], made.now_s, made.wall_s)

    assert [one.data for one in received] == [b"last words"]
    assert isinstance(made.server.next_event(), AssociationClosed)


def test_a_handshake_can_be_made_that_way_and_its_first_data_comes_with_it() -> None:
    made = pair()
    made.connect()
    received: list[DataReceived] = []
    for _ in range(4):
        flight = [(datagram, CLIENT) for datagram, _ in made.client.datagrams_to_send()]
        received += made.server.receive_datagrams(flight, made.now_s, made.wall_s)
        answers = [(datagram, SERVER) for datagram, _ in made.server.datagrams_to_send()]
        assert made.client.receive_datagrams(answers, made.now_s, made.wall_s) == []
        if made.client.associations() and not received:
            made.client.send(made.client_association, b"at once")

    made.post()
    assert [one.data for one in received] == [b"at once"]
    assert events_of(made.server_events, HandshakeCompleted)[0].association is received[0].association


def test_forgeries_among_the_datagrams_are_dropped_and_counted() -> None:
    made = pair().establish()
    (genuine,) = sent_by_client(made, b"genuine")
    forged = genuine[0][:-1] + bytes((genuine[0][-1] ^ 1,))

    received = made.server.receive_datagrams(
        [(b"junk", CLIENT), (forged, CLIENT), genuine, genuine], made.now_s, made.wall_s
    )

    assert [one.data for one in received] == [b"genuine"]
    assert made.server.dropped == {"malformed": 1, "not authentic": 2}


def test_keys_work_whether_their_cipher_is_at_hand_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "_MOST_WARM", 2)
    monkeypatch.setattr(protection, "_warm", deque())
    many = [RecordProtection(Aead.AES_128_GCM, bytes((number,)) * 16, bytes(4)) for number in range(5)]
    for turn in range(3):
        for number, one in enumerate(many):
            (record,) = records_of(one.seal(23, 1, turn, b"content %d" % number), 0)
            assert one.open(record) == (23, b"content %d" % number)
            assert many[number - 1].open(record) is None
            assert sum(each._cipher is not None for each in many) <= 2
