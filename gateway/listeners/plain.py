"""The listener for `coap://`: a socket, the CoAP endpoint behind it, and the loop that moves datagrams between them."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

from gateway.coap.bridge import Bridge
from gateway.coap.discovery import Path
from gateway.coap.endpoint import Endpoint, Resolver
from gateway.coap.exchanges import Exchanges
from gateway.listeners.batch_socket import BatchSocket
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
    ) -> None:
        """Take over a bound socket; to be made in a running loop. `start` begins to read."""
        self._loop = asyncio.get_running_loop()
        self._socket = BatchSocket(sock)
        exchanges = Exchanges(max_entries=settings.gateway_dedup_entries, metrics=metrics)
        self.endpoint = Endpoint(
            security=Security.PLAIN,
            resolve=resolve,
            exchanges=exchanges,
            metrics=metrics,
            max_body_bytes=settings.gateway_max_body_bytes,
            on_output=self._send_soon,
        )
        self._bridge = Bridge(
            self.endpoint,
            security=Security.PLAIN,
            resolve=resolve,
            endpoints=endpoints,
            exchanges=exchanges,
            metrics=metrics,
            max_body_bytes=settings.gateway_max_body_bytes,
            piggyback_timeout_s=settings.coap_piggyback_timeout / 1000,
            messages_per_s=settings.gateway_bridge_rate,
        )
        self.endpoint.attach(self._bridge)

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        datagrams = self._socket.receive()
        self.endpoint.receive(datagrams, received_ms=time.time_ns() // 1_000_000, now_s=time.monotonic())
        self._send()

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
