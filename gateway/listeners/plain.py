"""The listener for `coap://`: a socket, the CoAP endpoint behind it, and the loop that moves datagrams between them."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

from gateway.coap.discovery import Path
from gateway.coap.endpoint import Resolver, Route
from gateway.coap.requests import Arrived
from gateway.listeners.batch_socket import BatchSocket, address_text
from gateway.listeners.coap_server import make_coap_server
from gateway.metrics import Metrics
from gateway.model import Security
from gateway.settings import Settings


class PlainListener:
    """Serves CoAP without security on one socket."""

    def __init__(
        self,
        sock: socket.socket,
        settings: Settings,
        *,
        resolve: Resolver,
        endpoints: Callable[[], Sequence[Path]],
        metrics: Metrics,
        arrived: Arrived = lambda security, now_s: None,
    ) -> None:
        """Take over a bound socket; to be made in a running loop. `start` begins to read."""
        self._loop = asyncio.get_running_loop()
        self._socket = BatchSocket(sock)
        self.endpoint, self._bridge = make_coap_server(
            settings,
            Security.PLAIN,
            resolve=resolve,
            endpoints=endpoints,
            metrics=metrics,
            arrived=arrived,
            on_output=self._send_soon,
            peer_of=self._peer_of,
        )

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        datagrams = self._socket.receive()
        self.endpoint.receive(datagrams, received_ms=time.time_ns() // 1_000_000, now_s=time.monotonic())
        self._send()

    def _peer_of(self, route: Route) -> str:
        return address_text(self._socket.peer(route))

    def _send_soon(self) -> None:
        self._loop.call_soon(self._send)

    def _send(self) -> None:
        datagrams = self.endpoint.datagrams_to_send()
        if datagrams:
            self._socket.send(datagrams)

    async def close(self) -> None:
        """Stop reading, send what is ready, close the socket."""
        self._loop.remove_reader(self._socket.fileno())
        await self._bridge.close()
        self._send()
        self._socket.close()
