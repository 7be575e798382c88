"""A UDP socket that works in batches, over the loopback interface."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from gateway.listeners.batch_socket import BATCH, SEND_SLOT_BYTES, BatchSocket, Datagram, address_text, bind_group

HOSTS = ["127.0.0.1", "0.0.0.0", "::1", "::"]
LARGEST_UDP_PAYLOAD = 65507
PATIENCE_S = 5.0


def reachable(host: str) -> str:
    """An address at which a socket that is bound to `host` can be reached."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


class Pair:
    """A batch socket and a client to talk to it."""

    def __init__(self, host: str) -> None:
        (bound,) = bind_group(host, 0, 1)
        self.server = BatchSocket(bound)
        self.port = int(bound.getsockname()[1])
        self.address = (reachable(host), self.port)
        self.client = self.new_client()

    def new_client(self) -> socket.socket:
        client = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        client.settimeout(PATIENCE_S)
        return client

    def received(self, count: int) -> list[Datagram]:
        """Receive until there are `count` datagrams; fails after a while."""
        datagrams: list[Datagram] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while len(datagrams) < count:
            assert time.monotonic() < deadline_s, f"{len(datagrams)} of {count} came"
            datagrams += self.server.receive()
        return datagrams

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture(params=HOSTS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    yield made
    made.close()


def test_an_answer_reaches_the_peer_from_the_address_that_was_asked(pair: Pair) -> None:
    pair.client.sendto(b"question", pair.address)
    ((data, route),) = pair.received(1)
    assert data == b"question"
    pair.server.send([(b"answer", route)])
    assert pair.client.recvfrom(100)[:1] == (b"answer",)
    assert pair.server.send_failures == 0


def test_the_peers_address_can_be_read_from_the_route(pair: Pair) -> None:
    pair.client.bind((pair.address[0], 0))
    pair.client.sendto(b"x", pair.address)
    ((_, route),) = pair.received(1)
    assert pair.server.peer(route)[:2] == pair.client.getsockname()[:2]


def test_an_address_is_written_as_people_do() -> None:
    assert address_text(("192.0.2.1", 5683)) == "192.0.2.1:5683"
    assert address_text(("2001:db8::1", 5683, 0, 0)) == "[2001:db8::1]:5683"


def test_a_route_is_the_same_for_each_datagram_and_another_for_each_peer(pair: Pair) -> None:
    with pair.new_client() as other:
        for _ in range(3):
            pair.client.sendto(b"a", pair.address)
            other.sendto(b"b", pair.address)
        datagrams = pair.received(6)
    routes = dict(datagrams)
    assert len(set(datagrams)) == 2
    assert routes[b"a"] != routes[b"b"]


def test_nothing_is_received_where_nothing_waits(pair: Pair) -> None:
    assert pair.server.receive() == []


def test_more_datagrams_than_a_batch_come_and_go_in_order(pair: Pair) -> None:
    count = 3 * BATCH + 7
    for number in range(count):
        pair.client.sendto(b"%d" % number, pair.address)
    first = pair.server.receive()
    assert len(first) == BATCH
    datagrams = first + pair.received(count - BATCH)
    assert [data for data, _ in datagrams] == [b"%d" % number for number in range(count)]
    pair.server.send([(data * 2, route) for data, route in datagrams])
    assert [pair.client.recv(100) for _ in range(count)] == [b"%d" % number * 2 for number in range(count)]


@pytest.mark.parametrize("length", [0, 1, SEND_SLOT_BYTES, SEND_SLOT_BYTES + 1, 40_000, LARGEST_UDP_PAYLOAD])
def test_datagrams_of_any_length_come_and_go_whole(pair: Pair, length: int) -> None:
    sent = bytes(number % 253 for number in range(length))
    pair.client.sendto(sent, pair.address)
    pair.client.sendto(b"next", pair.address)
    (data, route), (following, _) = pair.received(2)
    assert (data, following) == (sent, b"next")
    pair.server.send([(data, route), (b"short", route)])
    assert {pair.client.recv(65536), pair.client.recv(65536)} == {sent, b"short"}
    assert pair.server.send_failures == 0


def test_a_short_datagram_in_the_place_of_a_longer_one_is_short(pair: Pair) -> None:
    for data in (b"a long one", b"short", b""):
        pair.client.sendto(data, pair.address)
        ((received, route),) = pair.received(1)
        pair.server.send([(received, route)])
        assert (received, pair.client.recv(100)) == (data, data)


@pytest.mark.parametrize("position", [0, 1, BATCH - 1, BATCH, 2 * BATCH])
@pytest.mark.parametrize("length", [10, SEND_SLOT_BYTES + 1])
def test_an_unreachable_peer_does_not_hold_up_the_others(pair: Pair, position: int, length: int) -> None:
    pair.client.sendto(b"x", pair.address)
    ((_, route),) = pair.received(1)
    nowhere = route[:2] + struct.pack("!H", 0) + route[4:]
    datagrams = [(b"%d" % number, route) for number in range(2 * BATCH)]
    datagrams.insert(position, (bytes(length), nowhere))
    pair.server.send(datagrams)
    assert [pair.client.recv(100) for _ in range(2 * BATCH)] == [b"%d" % number for number in range(2 * BATCH)]
    assert pair.server.send_failures == 1


def test_a_datagram_that_is_too_long_for_udp_is_lost_and_counted(pair: Pair) -> None:
    pair.client.sendto(b"x", pair.address)
    ((_, route),) = pair.received(1)
    pair.server.send([(bytes(LARGEST_UDP_PAYLOAD + 100), route), (b"next", route)])
    assert pair.client.recv(100) == b"next"
    assert pair.server.send_failures == 1


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.7", "127.3.2.1"])
@pytest.mark.parametrize("length", [5, SEND_SLOT_BYTES + 1])
def test_a_wildcard_socket_answers_from_whatever_address_was_asked(wildcard: str, asked: str, length: int) -> None:
    (bound,) = bind_group(wildcard, 0, 1)
    server, port = BatchSocket(bound), bound.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect((asked, port))  # so that the kernel drops answers from any other address
        client.send(b"question")
        ((_, route),) = server.receive()
        mapped = "::ffff:127.0.0.1" if wildcard == "::" else "127.0.0.1"
        assert server.peer(route)[:2] == (mapped, client.getsockname()[1])
        server.send([(bytes(length), route)])
        assert client.recv(65536) == bytes(length)
    server.close()


def test_the_address_asked_is_part_of_the_route() -> None:
    (bound,) = bind_group("0.0.0.0", 0, 1)
    server, port = BatchSocket(bound), bound.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        for asked in ("127.0.0.1", "127.0.0.7"):
            client.sendto(b"x", (asked, port))
        (_, first), (_, second) = server.receive()
    server.close()
    assert first != second


# -- groups ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", HOSTS)
def test_a_group_shares_one_port_and_a_peer_stays_with_its_socket(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((reachable(host), 0))
        port = probe.getsockname()[1]
    group = [BatchSocket(sock) for sock in bind_group(host, port, 2)]
    clients = [socket.socket(probe.family, socket.SOCK_DGRAM) for _ in range(64)]
    for _ in range(3):
        for number, client in enumerate(clients):
            client.sendto(b"%d" % number, (reachable(host), port))
    seen: list[set[bytes]] = []
    for server in group:
        received: list[bytes] = []
        while batch := server.receive():
            received += [data for data, _ in batch]
        seen.append(set(received))
        assert len(received) == 3 * len(seen[-1])
    assert len(seen[0]) + len(seen[1]) == len(clients)
    assert all(seen)
    assert not seen[0] & seen[1]
    for server in group:
        server.close()
    for client in clients:
        client.close()


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_that_a_group_holds_cannot_be_bound_again(count: int) -> None:
    (first,) = bind_group("127.0.0.1", 0, 1)
    port = first.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        bind_group("127.0.0.1", port, count)
    first.close()
    for again in bind_group("127.0.0.1", port, count):
        again.close()


def test_a_port_that_somebody_would_share_cannot_be_bound() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        squatter.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            bind_group("127.0.0.1", squatter.getsockname()[1], 2)


def test_an_address_that_is_not_ours_cannot_be_bound() -> None:
    with pytest.raises(OSError, match="assign"):
        bind_group("192.0.2.1", 0, 1)
