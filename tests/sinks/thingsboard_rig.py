"""The sink `thingsboard` as its tests have it: a host that keeps what comes, and sessions of bounded length."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gateway.model import JsonValue
from gateway.sinks.mqtt import Connection, Server
from gateway.sinks.sink import Record, Sink, SinkError
from gateway.sinks.thingsboard import make
from gateway.sinks.thingsboard_session import SessionOptions, ThingsBoardSession

from .records import CountingHost, Taken, settings_of

HOST = "127.0.0.1"
TOKEN = "A1-TEST-TOKEN"
PATIENCE_S = 20.0

T = TypeVar("T")


class KeepingHost(CountingHost):
    """Remembers what ThingsBoard sent."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, dict[str, JsonValue]]] = []
        self.rpcs: list[tuple[str, JsonValue]] = []

    def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
        """See `Host`."""
        self.attributes.append((device, values))

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """See `Host`."""
        self.rpcs.append((device, request))

    def counted(self, metric: str, *labels: str) -> int:
        """A metric as it stands."""
        return self.metrics.counters[metric, *labels]


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a test's own loop, for a bounded time."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await scenario

    return asyncio.run(bounded())


async def until(holds: Callable[[], object]) -> None:
    """Wait for something that comes about in the loop or in a server's thread."""
    async with asyncio.timeout(PATIENCE_S / 2):
        while not holds():
            await asyncio.sleep(0.005)


def sink_for(port: int, host: CountingHost | None = None, **values: Any) -> Sink:
    """A sink that delivers to a port on loopback."""
    given = {"tb_host": HOST, "tb_port": port, "tb_access_token": TOKEN, **values}
    sink = make(settings_of(**given), host or KeepingHost())
    assert sink is not None
    return sink


def server_at(port: int, **changes: Any) -> Server:
    """Whom to connect to."""
    given = {
        "host": HOST,
        "port": port,
        "version": "5",
        "client_id": "gateway-test",
        "username": TOKEN,
        "password": None,
        "keep_alive_s": 30,
        **changes,
    }
    return Server(**given)


@asynccontextmanager
async def session_with(
    port: int, host: CountingHost | None = None, *, version: str = "5", **options: Any
) -> AsyncIterator[ThingsBoardSession]:
    """A session with options that settings don't have in tests, such as a short time or a clock."""
    given = {
        "window": 8,
        "max_message_bytes": 65_536,
        "ack_timeout_s": 10.0,
        "idle_s": 600.0,
        **options,
    }
    server = server_at(port, version=version)
    session = ThingsBoardSession(
        SessionOptions(**given), host or KeepingHost(), lambda listener: Connection(server, listener)
    )
    try:
        await session.open()
        yield session
    finally:
        await session.close(politely=False)


async def deliver(sink: Sink, what: list[Record], taken: Taken | None = None) -> Taken:
    """In a session of its own."""
    taken = taken or Taken()
    async with sink.connect() as session:
        await session.deliver(what, taken)
    return taken


async def trouble_of(work: Awaitable[object]) -> SinkError:
    """What keeps a sink from delivering. The token is in none of its texts."""
    try:
        await work
    except SinkError as error:
        assert error.hint
        assert TOKEN not in f"{error.message} {error.hint} {error!r}"
        return error
    raise AssertionError("it went well")
