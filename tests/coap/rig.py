"""A CoAP endpoint without sockets: messages in, messages out, on a clock that the test sets."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Self

from gateway.coap.bridge import Bridge
from gateway.coap.codec import Message, Option, OptionNumber, Type, encode_message, parse_message
from gateway.coap.endpoint import Datagram, Endpoint, Handler, PrincipalOf, Route, Ticket
from gateway.coap.exchanges import Exchanges
from gateway.metrics import DATAGRAMS_DROPPED_TOTAL, Metrics
from gateway.model import Code, Outcome, Request, Security

PEER: Route = b"peer"
OTHER_PEER: Route = b"another peer"
RECEIVED_MS = 1_700_000_000_000
CREATED = Outcome(Code.CREATED)
PATIENCE_S = 10.0


def path_options(path: str) -> list[Option]:
    """`a/b` as Uri-Path options."""
    return [(OptionNumber.URI_PATH, segment.encode()) for segment in path.split("/")]


def request(
    mid: int,
    *,
    code: int = Code.POST,
    type_: Type = Type.CON,
    token: bytes = b"tk",
    path: str = "i/key",
    options: Iterable[Option] = (),
    payload: bytes = b"{}",
) -> bytes:
    """A request as bytes."""
    return encode_message(type_, code, mid, token, [*path_options(path), *options], payload)


def option(message: Message, number: int) -> bytes | None:
    """The value of an option that comes at most once."""
    values = [value for found, value in message.options if found == number]
    assert len(values) <= 1
    return values[0] if values else None


class _PatientSelector(selectors.DefaultSelector):
    """Lets time pass at once instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the test waits for something that can never happen"
        self.waited_s += max(0.0, timeout)
        return super().select(0)


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock of its own, which jumps to the next timer whenever there is nothing else to do."""

    def __init__(self) -> None:
        self._patience = _PatientSelector()
        super().__init__(self._patience)

    def time(self) -> float:
        """Seconds that the loop has spent waiting."""
        return self._patience.waited_s


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test whose timers fire as soon as nothing else happens."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        runner.run(coroutine)


class Rig:
    """An endpoint whose handler keeps what it gets and answers what the test says."""

    def __init__(
        self,
        *,
        max_body_bytes: int = 65536,
        max_entries: int = 4096,
        resolve: Callable[[Request], Handler] | None = None,
        security: Security = Security.PLAIN,
        principal_of: PrincipalOf | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.exchanges = Exchanges(max_entries=max_entries, metrics=self.metrics)
        self.resolved: list[Request] = []
        """What the resolver was asked."""
        self.uplinks: list[bytes] = []
        """The payloads that the handler got."""
        self.received_ms: list[int] = []
        self.tickets: list[Ticket] = []
        self.answer: Outcome | Exception | None = CREATED
        """What the handler gives or raises."""
        self.outputs_announced = 0
        self.now_s = 1000.0
        self.resolve = resolve or self._resolve
        self.max_body_bytes = max_body_bytes
        self.security = security
        self.endpoint = Endpoint(
            security=security,
            resolve=self.resolve,
            exchanges=self.exchanges,
            metrics=self.metrics,
            max_body_bytes=max_body_bytes,
            on_output=self._announce,
            principal_of=principal_of,
        )

    def _announce(self) -> None:
        self.outputs_announced += 1

    def _resolve(self, request: Request) -> Handler:
        self.resolved.append(request)
        return self.handle

    def handle(self, payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
        """The handler of all requests."""
        self.uplinks.append(payload)
        self.received_ms.append(received_ms)
        self.tickets.append(ticket)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def feed(self, *datagrams: bytes, peer: Route = PEER) -> list[Datagram]:
        """Receive datagrams of one peer as one batch; gives what is to be sent."""
        self.endpoint.receive([(datagram, peer) for datagram in datagrams], received_ms=RECEIVED_MS, now_s=self.now_s)
        return self.endpoint.datagrams_to_send()

    def answers(self, *datagrams: bytes, peer: Route = PEER) -> list[Message]:
        """Receive datagrams; gives the messages that go back to the peer."""
        return self._messages_to(peer, self.feed(*datagrams, peer=peer))

    def one_answer(self, datagram: bytes, peer: Route = PEER) -> Message:
        """Receive a datagram that has exactly one answer."""
        (message,) = self.answers(datagram, peer=peer)
        return message

    def sent(self, peer: Route = PEER) -> list[Message]:
        """The messages that became ready since."""
        return self._messages_to(peer, self.endpoint.datagrams_to_send())

    def dropped(self, reason: str) -> int:
        """How many datagrams were dropped for this reason."""
        return self.metrics.counters[(DATAGRAMS_DROPPED_TOTAL, reason)]

    @staticmethod
    def _messages_to(peer: Route, datagrams: Iterable[Datagram]) -> list[Message]:
        messages = []
        for data, route in datagrams:
            assert route == peer
            messages.append(parse_message(data))
        return messages


class BridgedRig(Rig):
    """An endpoint with its slow lane; to be made in a running loop."""

    def __init__(
        self,
        *,
        endpoints: Sequence[tuple[str, ...]] = (("i", "key"),),
        max_body_bytes: int = 65536,
        max_entries: int = 4096,
        piggyback_timeout_s: float = 60.0,
        messages_per_s: int = 100_000,
        resolve: Callable[[Request], Handler] | None = None,
        security: Security = Security.PLAIN,
    ) -> None:
        super().__init__(max_body_bytes=max_body_bytes, max_entries=max_entries, resolve=resolve, security=security)
        self.output = asyncio.Event()
        """Set when something became ready outside of `feed`."""
        self.bridge = Bridge(
            self.endpoint,
            security=security,
            resolve=self.resolve,
            endpoints=lambda: endpoints,
            exchanges=self.exchanges,
            metrics=self.metrics,
            max_body_bytes=max_body_bytes,
            piggyback_timeout_s=piggyback_timeout_s,
            messages_per_s=messages_per_s,
        )
        self.endpoint.attach(self.bridge)

    def _announce(self) -> None:
        super()._announce()
        self.output.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bridge.close()

    async def bridged(self, datagram: bytes, peer: Route = PEER) -> Message:
        """Receive a datagram for the slow lane; gives its one answer."""
        messages = self.answers(datagram, peer=peer) or await self.next_sent(peer)
        assert len(messages) == 1
        return messages[0]

    async def next_sent(self, peer: Route = PEER, *, patience_s: float = PATIENCE_S) -> list[Message]:
        """Wait until something is to be sent; gives it, or nothing after `patience_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not (messages := self.sent(peer)):
                    self.output.clear()
                    await self.output.wait()
                return messages
        return []
