"""Delivering by the sink `http`, as its tests do."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.sinks.http import make
from gateway.sinks.sink import Record, Sink, SinkError
from tests.sinks.receivers import Answer, Receiver, receiving
from tests.sinks.records import CountingHost, Taken, records, settings_of

TOKEN = "t0ken-of-the-tests"


def sink_for(url: str, host: CountingHost | None = None, **values: Any) -> Sink:
    values.setdefault("gateway_http_sink_timeout_ms", 10_000)
    sink = make(settings_of(gateway_http_sink_url=url, **values), host or CountingHost())
    assert sink is not None
    return sink


async def deliver(sink: Sink, what: Sequence[Record], taken: Taken | None = None) -> Taken:
    """In a session of its own."""
    taken = taken or Taken()
    async with asyncio.timeout(20), sink.connect() as session:
        await session.deliver(what, taken)
    return taken


def post_all(what: Sequence[Record], give: Answer | None = None, **values: Any) -> tuple[Receiver, Taken]:
    """Deliver to a receiver that answers so."""

    async def scenario() -> tuple[Receiver, Taken]:
        async with receiving(give) as receiver:
            return receiver, await deliver(sink_for(receiver.url, **values), what)

    return asyncio.run(scenario())


def trouble_with(give: Answer, **values: Any) -> SinkError:
    """What delivering to such a receiver ends with. No secret is in it."""
    with pytest.raises(SinkError) as raised:
        post_all(records(2), give, **values)
    return without_secrets(raised.value)


def without_secrets(error: SinkError) -> SinkError:
    assert error.hint
    for secret in (TOKEN, "k-in-url"):
        assert secret not in f"{error.message} {error.hint} {error!r}"
    return error


def trouble_at(url: str, **values: Any) -> SinkError:
    with pytest.raises(SinkError) as raised:
        asyncio.run(deliver(sink_for(url, **values), records(1)))
    return without_secrets(raised.value)
