"""Datagrams on their way to the worker whose session they are for."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from gateway.listeners.batch_socket import BATCH
from gateway.listeners.relay import Relay, relay_pair

ROUTE = bytes(range(40))


@pytest.fixture
def relays() -> Iterator[list[Relay]]:
    """Two workers' relays, as the supervisor makes them."""
    pairs = [relay_pair() for _ in range(2)]
    writing = [end for end, _ in pairs]
    yield [Relay(reading, writing, route_bytes=len(ROUTE)) for _, reading in pairs]
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_datagram_arrives_with_the_route_that_it_came_by(relays: list[Relay]) -> None:
    assert relays[0].send(1, (b"a record", ROUTE))
    assert relays[1].receive() == [(b"a record", ROUTE)]
    assert relays[0].receive() == relays[1].receive() == []


@pytest.mark.parametrize("size", [0, 1, 65507])
def test_datagrams_of_any_size_arrive_whole(relays: list[Relay], size: int) -> None:
    assert relays[0].send(1, (bytes(size), ROUTE))
    assert relays[1].receive() == [(bytes(size), ROUTE)]


def test_no_more_than_a_batch_is_taken_at_a_time(relays: list[Relay]) -> None:
    for number in range(BATCH + 1):
        assert relays[0].send(1, (b"%d" % number, ROUTE))
    assert [int(data) for data, _ in relays[1].receive()] == list(range(BATCH))
    assert [data for data, _ in relays[1].receive()] == [b"%d" % BATCH]


def test_where_there_is_no_room_it_says_so_and_does_not_wait(relays: list[Relay]) -> None:
    sent = 0
    while relays[0].send(1, (bytes(10_000), ROUTE)):
        sent += 1
        assert sent < 10_000
    assert sent > 0
    assert relays[1].receive()
    assert relays[0].send(1, (b"again", ROUTE))


def test_a_worker_that_is_gone_is_no_error(relays: list[Relay]) -> None:
    writing, reading = relay_pair()
    reading.close()
    with contextlib.closing(writing):
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        relay = Relay(left, [writing], route_bytes=len(ROUTE))
        assert not relay.send(0, (b"a record", ROUTE))
        relay.close()
        right.close()
