"""The part of `gateway check` that is about sinks: do they let us in?

Where no gateway runs, each is connected to, and nothing is delivered. Where one runs, it is asked: a second connection
with its client id would push its own out.

The gateway runs without its sinks, and reports wait in the spools meanwhile. So a receiver that is not there now is a
warning: an outage there must not keep the gateway from starting. What only its operator can mend is a failure.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.cli.findings import Finding, Mark
from gateway.command_socket import ask
from gateway.errors import GatewayError, UnavailableError
from gateway.model import JsonValue
from gateway.operations.sinks import WantedSink, wanted_sinks
from gateway.settings import Settings
from gateway.sinks.sink import Sink, SinkError, Trouble
from gateway.sinks.status import CONNECTED

CONNECT_S: Final = 15.0
"""How long a receiver may take to let us in: longer than a sink's own bounds, which tell more."""

PASSING: Final = frozenset({Trouble.UNREACHABLE, Trouble.BUSY, Trouble.SILENT})
"""Trouble that may pass by itself."""


def check_sinks(settings: Settings, running: bool) -> Iterator[Finding]:
    """Whether each sink that the settings ask for can be delivered to."""
    wanted = list(wanted_sinks(settings))
    if wanted and running:
        yield from _ask_gateway(settings, wanted)
    else:
        yield from (_try(one) for one in wanted)


def _try(one: WantedSink) -> Finding:
    if one.sink is None:
        return _not_made(one)
    try:
        asyncio.run(_connect(one.sink))
    except SinkError as error:
        return _trouble(one.name, one.destination, error.trouble, error.message, error.hint)
    except GatewayError as error:
        return _trouble(one.name, one.destination, Trouble.MISCONFIGURED, error.message, error.hint)
    return Finding(Mark.OK, f"sink {one.name}: {one.destination} lets us in")


async def _connect(sink: Sink) -> None:
    """Connect and leave again; raises SinkError."""
    entered = False
    try:
        async with asyncio.timeout(CONNECT_S), sink.connect():
            entered = True
    except TimeoutError:
        if not entered:
            message = f"no answer within {CONNECT_S:g} s"
            raise SinkError(Trouble.SILENT, message, hint="see the receiver's log; it is tried again") from None


def _ask_gateway(settings: Settings, wanted: list[WantedSink]) -> Iterator[Finding]:
    try:
        told = ask(settings.gateway_data_dir, "sinks")
    except UnavailableError as error:
        yield Finding(Mark.WARNING, f"sinks: {error.message}", error.hint)
        return
    if told is None:
        yield Finding(Mark.WARNING, "sinks: the gateway that runs does not answer yet", "run gateway check again")
        return
    by_name = {status["name"]: status for status in told}
    for one in wanted:
        status = by_name.get(one.name)
        if one.sink is None:
            yield _not_made(one)
        elif status is None or status["destination"] != one.destination:
            instead = f", but to {status['destination']}" if status else ""
            cure = "restart the gateway: it takes settings at its start"
            text = f"sink {one.name}: the gateway that runs does not deliver to {one.destination}{instead}"
            yield Finding(Mark.WARNING, text, cure)
        else:
            yield _as_told(status)


def _as_told(status: Mapping[str, JsonValue]) -> Finding:
    """What the running gateway says of a sink."""
    name, destination, state, error = (status[key] for key in ("name", "destination", "state", "last_error"))
    waiting = f"{status['waiting_uplinks']:,} uplinks wait"
    if state == CONNECTED:
        return Finding(Mark.OK, f"sink {name}: {destination}, connected by the gateway that runs; {waiting}")
    if error is None or state not in list(Trouble):
        return Finding(Mark.WARNING, f"sink {name}: {destination}, {state}; {waiting}")
    return _trouble(name, destination, Trouble(state), f"{error['message']}; {waiting}", error["hint"])


def _trouble(name: str, destination: str, trouble: Trouble, message: str, hint: str) -> Finding:
    mark = Mark.WARNING if trouble in PASSING else Mark.FAILED
    return Finding(mark, f"sink {name}, {trouble}: {destination}: {message}", hint)


def _not_made(one: WantedSink) -> Finding:
    assert one.error is not None
    return Finding(Mark.FAILED, f"sink {one.name}, {Trouble.MISCONFIGURED}: {one.error.message}", one.error.hint)
