"""How the load generator's requests get to the server and the responses back: over plain UDP, or over DTLS."""

import socket
from array import array
from typing import Protocol

from benchmarks.datagrams import BATCH, Requests, Responses
from benchmarks.load import Job


class Peer:
    """One socket, connected to the server."""

    def __init__(self, number: int, host: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.connect((host, port))
        self.fd = self.socket.fileno()
        self.number = number
        self.next_mid = 0
        self.under_way = 0


class Wire(Protocol):
    """Carries a job's messages, and holds the last batch of responses.

    A request's token is its number, little-endian: its peer's number in the upper half, its message ID in the lower.
    """

    def open(self, number: int) -> Peer:
        """A new peer; numbers count from 0. Raises OSError."""

    def send(self, peer: Peer, count: int) -> int:
        """Send `count` requests from the peer's next message ID on; how many the kernel took. Raises OSError."""

    def acknowledge(self, peer: Peer, mid: bytes) -> None:
        """Send an empty ACK. Raises OSError."""

    def receive(self, peer: Peer) -> int:
        """Receive what waits, at most `BATCH`; how many. Raises OSError."""

    def all_succeeded(self, count: int) -> bool:
        """Whether the first `count` are all piggybacked (or non-confirmable) responses with the expected code."""

    def tokens(self, count: int) -> list[int]:
        """The tokens of the first `count`, where they are known to have one."""

    def message(self, slot: int) -> bytes:
        """A whole message (or its beginning, where it is long)."""


class PlainWire:
    """Plain UDP, with no work in Python per datagram."""

    def __init__(self, job: Job) -> None:
        self._address = job.host, job.port
        self._requests = Requests(
            confirmable=job.confirmable, method=job.method, tails=[bytes.fromhex(tail) for tail in job.tails]
        )
        self._responses = Responses(confirmable=job.confirmable, expected_code=job.expected_code)
        self._blocks: list[memoryview] = []
        """Each peer's number, `BATCH` times."""
        self.all_succeeded = self._responses.all_succeeded
        self.tokens = self._responses.tokens
        self.message = self._responses.message

    def open(self, number: int) -> Peer:
        self._blocks.append(memoryview(array("H", [number]) * BATCH))
        return Peer(number, *self._address)

    def send(self, peer: Peer, count: int) -> int:
        return self._requests.send(peer.fd, peer.next_mid, count, self._blocks[peer.number])

    def acknowledge(self, peer: Peer, mid: bytes) -> None:
        peer.socket.send(b"\x60\x00" + mid)

    def receive(self, peer: Peer) -> int:
        return self._responses.receive(peer.fd)


def open_wire(job: Job) -> Wire:
    """The wire that a job asks for."""
    if job.dtls is None:
        return PlainWire(job)
    from benchmarks.dtls_wire import DtlsWire  # the DTLS engine takes a while to load

    return DtlsWire(job, job.dtls)
