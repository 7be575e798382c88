"""The engine on a real socket: a UDP loop in a thread of its own. Server loops answer what they are told."""

import contextlib
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.coap.codec import MessageFormatError, Type, encode_message, parse_message
from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, Event, HandshakeFailed
from gateway.model import Code, Principal

PATIENCE_S = 10.0
"""Longest wait for what must happen at once; the machine may be busy."""

HOST = "127.0.0.1"

_Kind = TypeVar("_Kind")


class Loop:
    """An endpoint, its socket and its thread. What the thread must not be disturbed in comes to it as a call."""

    def __init__(self, config: Config, *, answers: bool) -> None:
        self._endpoint = Endpoint(config)
        self._answers = answers
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        """None: the thread has ended."""
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._bell, self._ring = socket.socketpair()
        self._running = True
        self._thread = threading.Thread(target=self._run, name=f"loop on {self.port}")
        self._thread.start()

    # -- from the test's thread ------------------------------------------------------------------

    def wait_for(self, kind: type[_Kind]) -> _Kind:
        """The next event of a kind. A handshake that fails meanwhile fails the test."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind.__name__} within {PATIENCE_S} s; {self.dropped}") from None
            if isinstance(event, kind):
                return event
            assert event is not None, "the loop has ended"
            assert not isinstance(event, HandshakeFailed), event

    def connect(self, port: int, resumption: Resumption | None = None) -> None:
        """Begin a handshake with the server on a port."""
        address = f"{HOST}:{port}".encode()
        self._call(lambda: self._endpoint.connect(address, time.monotonic(), resumption=resumption))

    def send(self, association: Association, data: bytes) -> None:
        """Send data over an association."""
        self._call(lambda: self._endpoint.send(association, data))

    def hang_up(self, association: Association) -> None:
        """End an association and tell the peer."""
        self._call(lambda: self._endpoint.close(association))

    @property
    def dropped(self) -> str:
        """What the engine dropped, for a failed test's message."""
        return f"dropped: {dict(self._endpoint.dropped)}"

    def stop(self) -> None:
        """End the thread."""
        self._running = False
        self._ring.send(b"!")
        self._thread.join(PATIENCE_S)
        for one in (self._socket, self._bell, self._ring):
            one.close()

    def _call(self, function: Callable[[], object]) -> None:
        self._calls.put(function)
        self._ring.send(b"!")

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._running:
                self._step()
        finally:
            self._events.put(None)

    def _step(self) -> None:
        endpoint = self._endpoint
        due_s = endpoint.next_timeout()
        wait_s = None if due_s is None else max(0.0, due_s - time.monotonic())
        ready, _, _ = select.select([self._socket, self._bell], [], [], wait_s)
        if self._bell in ready:
            self._bell.recv(64)
            with contextlib.suppress(queue.Empty):
                while True:
                    self._calls.get_nowait()()
        if self._socket in ready:
            self._receive()
        endpoint.handle_timeout(time.monotonic())
        while (event := endpoint.next_event()) is not None:
            if self._answers and isinstance(event, DataReceived):
                endpoint.send(event.association, answer(event.data, event.association.principal))
            self._events.put(event)
        for data, address in endpoint.datagrams_to_send():
            host, _, port = address.decode().partition(":")
            self._socket.sendto(data, (host, int(port)))

    def _receive(self) -> None:
        try:
            data, (host, port) = self._socket.recvfrom(65536)
        except ConnectionError:  # the peer has gone, says ICMP
            return
        self._endpoint.receive_datagram(data, f"{host}:{port}".encode(), time.monotonic(), time.time())


def answer(data: bytes, principal: Principal | None) -> bytes:
    """What a server loop answers: to a CoAP request 2.05 and who asked, to anything else the same once more."""
    try:
        request = parse_message(data)
    except MessageFormatError:
        return b"echo: " + data
    if request.code == Code.EMPTY:
        return encode_message(Type.RST, Code.EMPTY, request.mid, b"", (), b"")
    who = "nobody" if principal is None else f"{principal.kind} {principal.name}"
    return encode_message(Type.ACK, Code.CONTENT, request.mid, request.token, (), f"hello {who}".encode())


@contextlib.contextmanager
def serving(config: Config) -> Iterator[Loop]:
    """A server on a port of its own."""
    loop = Loop(config, answers=True)
    try:
        yield loop
    finally:
        loop.stop()


@contextlib.contextmanager
def calling(config: Config) -> Iterator[Loop]:
    """A client, not connected yet."""
    loop = Loop(config, answers=False)
    try:
        yield loop
    finally:
        loop.stop()
