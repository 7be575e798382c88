"""The listener for `coap://`, from socket to socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.coap.codec import Message, Option, OptionNumber, Type, encode_message, parse_message
from gateway.coap.endpoint import Handler, Ticket
from gateway.listeners.batch_socket import bind_group
from gateway.listeners.plain import PlainListener
from gateway.metrics import Metrics
from gateway.model import Code, Outcome, Request
from gateway.settings import Settings

PATIENCE_S = 5.0
CREATED = Outcome(Code.CREATED)


class Served:
    """A listener with a handler that answers later if it is told to, and a client."""

    def __init__(self) -> None:
        (bound,) = bind_group("127.0.0.1", 0, 1)
        self.later = False
        self.tickets: list[Ticket] = []
        self.payloads: list[bytes] = []
        self.listener = PlainListener(
            bound,
            Settings(_env_file=None, gateway_max_body_bytes=30_000, coap_piggyback_timeout=500),
            resolve=self._resolve,
            endpoints=lambda: [("i", "key")],
            metrics=Metrics(),
        )
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.setblocking(False)
        self.client.connect(bound.getsockname())

    def _resolve(self, request: Request) -> Handler:
        return self._handle

    def _handle(self, payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
        self.payloads.append(payload)
        self.tickets.append(ticket)
        return None if self.later else CREATED

    async def answer(self) -> Message:
        """The next message that the client gets."""
        async with asyncio.timeout(PATIENCE_S):
            return parse_message(await asyncio.get_running_loop().sock_recv(self.client, 65536))

    async def request(self, mid: int, *, code: int = Code.POST, path: str = "i/key", payload: bytes = b"") -> Message:
        """Send a request and wait for its answer."""
        self.send(mid, code=code, path=path, payload=payload)
        return await self.answer()

    def send(
        self,
        mid: int,
        *,
        code: int = Code.POST,
        path: str = "i/key",
        payload: bytes = b"",
        options: tuple[Option, ...] = (),
    ) -> None:
        segments = [(OptionNumber.URI_PATH, segment.encode()) for segment in path.split("/")]
        self.client.send(encode_message(Type.CON, code, mid, b"t", [*segments, *options], payload))


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    """A listener that reads."""
    made = Served()
    made.listener.start()
    try:
        yield made
    finally:
        made.client.close()
        await made.listener.close()


def test_requests_are_answered() -> None:
    async def scenario() -> None:
        async with served() as it:
            assert await it.request(1, payload=b"25.7") == (Type.ACK, Code.CREATED, 1, b"t", (), b"")
            assert it.payloads == [b"25.7"]

    asyncio.run(scenario())


def test_what_is_answered_later_is_sent_without_another_request() -> None:
    async def scenario() -> None:
        async with served() as it:
            it.later = True
            for mid in range(3):
                it.send(mid)
            async with asyncio.timeout(PATIENCE_S):
                while len(it.tickets) < 3:
                    await asyncio.sleep(0)
            for ticket in it.tickets:
                ticket.complete(CREATED)
            assert [(await it.answer()).mid for _ in range(3)] == [0, 1, 2]

    asyncio.run(scenario())


def test_a_ticket_knows_where_its_request_came_from_in_one_message_or_in_blocks() -> None:
    async def scenario() -> None:
        async with served() as it:
            await it.request(1, payload=b"x")
            it.send(2, payload=b"y", options=((OptionNumber.BLOCK1, b""),))
            await it.answer()
            host, port = it.client.getsockname()
            assert [ticket.peer() for ticket in it.tickets] == [f"{host}:{port}"] * 2

    asyncio.run(scenario())


def test_discovery_and_uploads_in_blocks_go_through_the_slow_lane() -> None:
    async def scenario() -> None:
        async with served() as it:
            answer = await it.request(1, code=Code.GET, path=".well-known/core")
            assert (answer.code, answer.payload) == (Code.CONTENT, b'</i>,</i/key>;rt="uplink"')
            it.send(2, payload=bytes(64), options=((OptionNumber.BLOCK1, b"\x0a"),))
            assert (await it.answer()).code == Code.CONTINUE
            it.send(3, payload=b"end", options=((OptionNumber.BLOCK1, b"\x12"),))
            assert (await it.answer()).code == Code.CREATED
            assert it.payloads == [bytes(64) + b"end"]

    asyncio.run(scenario())


def test_the_settings_limit_holds() -> None:
    async def scenario() -> None:
        async with served() as it:
            assert (await it.request(1, payload=bytes(30_000))).code == Code.CREATED
            assert (await it.request(2, payload=bytes(30_001))).code == Code.REQUEST_ENTITY_TOO_LARGE

    asyncio.run(scenario())


def test_what_is_ready_is_sent_before_the_socket_closes() -> None:
    async def scenario() -> None:
        made = Served()
        made.listener.start()
        made.later = True
        made.send(1)
        async with asyncio.timeout(PATIENCE_S):
            while not made.tickets:
                await asyncio.sleep(0)
        made.tickets[0].complete(CREATED)
        await made.listener.close()
        assert (await made.answer()).code == Code.CREATED
        made.client.close()

    asyncio.run(scenario())
