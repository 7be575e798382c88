"""A device that speaks DTLS as no foreign client here can: with connection IDs, from ports that change, resuming."""

import select
import socket
import time
from typing import Any

from gateway.coap.codec import Message, OptionNumber, Type, encode_message, parse_message
from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config, PskCredential
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AssociationClosed, DataReceived, HandshakeCompleted, HandshakeFailed
from gateway.dtls.suites import BY_NAME
from gateway.model import Code

from .harness import JSON

PATIENCE_S = 10.0
_GATEWAY = b"gateway"


def psk_config(identity: str, key: str, *, connection_id_bytes: int | None = 0, **settings: Any) -> Config:
    """A client with a pre-shared key of text, and the suite that every device has. It takes the gateway's connection
    ID and wants none itself, as devices do; with None, there are none at all.
    """
    return Config(
        suites=(BY_NAME["PSK_WITH_AES_128_CCM_8"],),
        client_psk=PskCredential(identity.encode(), key.encode()),
        connection_id_bytes=connection_id_bytes,
        **settings,
    )


class Device:
    """One device: an endpoint in the client role, and its socket."""

    def __init__(self, port: int, config: Config) -> None:
        self.endpoint = Endpoint(config)
        self.association: Association | None = None
        self.resumption: Resumption | None = None
        self.ended: str | None = None
        """Why the session is over."""
        self._gateway = ("127.0.0.1", port)
        self._socket = _new_socket()
        self._mid = 0
        self._received: list[bytes] = []

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self._socket.getsockname()[1])

    def connect(self, resumption: Resumption | None = None) -> "Device":
        """Make a handshake; raises AssertionError where it fails."""
        self.association = self.ended = None
        self.endpoint.connect(_GATEWAY, time.monotonic(), resumption=resumption)
        self._run_until(lambda: self.association is not None)
        return self

    def post(self, url: str, payload: bytes = JSON) -> Message:
        """Send an uplink and wait for its response."""
        message = self.send(url, payload)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            self._run_until(lambda: bool(self._received), deadline_s=deadline_s)
            answer = parse_message(self._received.pop(0))
            if answer.token == message.token:
                return answer

    def send(self, url: str, payload: bytes = JSON) -> Message:
        """Send an uplink and do not wait."""
        self._mid += 1
        options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
        data = encode_message(Type.CON, Code.POST, self._mid, self._mid.to_bytes(2, "big"), options, payload)
        self.send_again(data)
        return parse_message(data)

    def send_again(self, data: bytes) -> None:
        """Send a CoAP message as it is."""
        assert self.association is not None
        self.endpoint.send(self.association, data)
        self._flush()

    def move(self) -> int:
        """Go on from another port, as behind a NAT that forgot; gives it."""
        self._socket.close()
        self._socket = _new_socket()
        return self.port

    def take_place_of(self, other: "Device") -> None:
        """Go on from where another device was, which is gone."""
        self._socket.close()
        self._socket = other._socket

    def wait_for_end(self, patience_s: float = PATIENCE_S) -> float:
        """Wait until the gateway ends the session; how long that took, in seconds."""
        begun_s = time.monotonic()
        self._run_until(lambda: self.ended is not None, deadline_s=begun_s + patience_s)
        return time.monotonic() - begun_s

    def close(self) -> None:
        """Go without a word."""
        self._socket.close()

    # -- inside ----------------------------------------------------------------------------------

    def _run_until(self, condition: Any, *, deadline_s: float | None = None) -> None:
        deadline_s = deadline_s or time.monotonic() + PATIENCE_S
        while True:
            self._flush()
            self._take_events()
            if condition():
                return
            now_s = time.monotonic()
            assert now_s < deadline_s, f"waited in vain; dropped: {dict(self.endpoint.dropped)}"
            due_s = min(deadline_s, self.endpoint.next_timeout() or deadline_s)
            ready, _, _ = select.select([self._socket], [], [], max(0.0, due_s - now_s))
            if ready:
                try:
                    data = self._socket.recv(65536)
                except ConnectionError:  # the gateway is not there at the moment, says ICMP
                    continue
                self.endpoint.receive_datagram(data, _GATEWAY, time.monotonic(), time.time())
            self.endpoint.handle_timeout(time.monotonic())

    def _flush(self) -> None:
        for data, _ in self.endpoint.datagrams_to_send():
            self._socket.sendto(data, self._gateway)

    def _take_events(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            match event:
                case HandshakeCompleted(association, resumption):
                    self.association, self.resumption = association, resumption
                case DataReceived(_, data):
                    self._received.append(data)
                case AssociationClosed(_, reason):
                    self.ended = reason
                case HandshakeFailed(_, alert, reason):
                    raise AssertionError(f"the handshake failed: {alert}: {reason}")
                case _:
                    pass


def _new_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock
