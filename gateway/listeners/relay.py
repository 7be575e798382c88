"""Datagrams that reached another worker than the one whose session they are for, on their way to that one.

The kernel shares out datagrams by the peer's address. When that changes, as behind a NAT, a record may reach any
worker; its connection ID tells whose it is (`gateway.dtls.connection_ids`). It goes there over a Unix datagram socket,
behind the route that it came by, and is answered from there. A socket's room bounds what waits; beyond, datagrams are
lost, as any may be on the way.
"""

import socket
from collections.abc import Sequence

from gateway.listeners.batch_socket import BATCH, Datagram

RELAY_BUFFER_BYTES = 1 << 20
"""Asked of the kernel for what waits in one worker's relay."""

_MOST_BYTES = 65536 + 256
"""A datagram and its route."""


def relay_pair() -> tuple[socket.socket, socket.socket]:
    """A relay of one worker: the end that the others write to, and its own."""
    writing, reading = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    writing.setblocking(False)
    reading.setblocking(False)
    writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RELAY_BUFFER_BYTES)
    return writing, reading


class Relay:
    """One worker's share: the way to each other worker, and what they send here."""

    def __init__(self, reading: socket.socket, writing: Sequence[socket.socket], *, route_bytes: int) -> None:
        """`writing` are the ways to all workers, by number, this one's among them; routes have `route_bytes`."""
        self._reading = reading
        self._writing = writing
        self._route_bytes = route_bytes

    def fileno(self) -> int:
        """To wait on for what `receive` gives."""
        return self._reading.fileno()

    def send(self, worker: int, datagram: Datagram) -> bool:
        """Hand a datagram to its worker; False where that has no room."""
        data, route = datagram
        try:
            self._writing[worker].send(route + data)
        except OSError:
            return False
        return True

    def receive(self) -> list[Datagram]:
        """What other workers have handed over, at most `BATCH` datagrams. Never blocks."""
        datagrams: list[Datagram] = []
        while len(datagrams) < BATCH:
            try:
                content = self._reading.recv(_MOST_BYTES)
            except OSError:
                break
            datagrams.append((content[self._route_bytes :], content[: self._route_bytes]))
        return datagrams

    def close(self) -> None:
        """Close all ends."""
        for end in (self._reading, *self._writing):
            end.close()
