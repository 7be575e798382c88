"""Debug events: which uplinks leave one, what is in it, and that no uplink suffers from it."""

import asyncio
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.debugging import (
    IN_BYTES,
    METADATA_CHARACTERS,
    OUT_CHARACTERS,
    WAITING_BYTES,
    WAITING_EVENTS,
    DebugEvents,
    json_text,
)
from gateway.metrics import EVENTS_DROPPED_TOTAL, Metrics
from gateway.model import Code, Converter, DebugMode, Language, Principal

from .pipelines import CREATED, PEER, RECEIVED_MS, Flow, Waiting, flow, integration, python

PICKY = """
def decode(payload, metadata):
    if payload.startswith(b"bad"):
        raise ValueError("I don't like it")
    if payload == b"nameless":
        return {"telemetry": {"t": 1}}
    if payload == b"strange":
        return {"deviceName": "d", "attributes": {1: {2, 3}}}
    return [{"deviceName": name} for name in payload.decode().split()]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


def load(it: Flow, mode: DebugMode = DebugMode.ALL, until_ms: int = 1 << 50, **fields: Any) -> None:
    it.load([integration(debug_mode=mode, debug_until_ms=until_ms, **fields)], [python(PICKY)])


def events(it: Flow) -> list[dict[str, Any]]:
    return [orjson.loads(event) for event in it.pipeline.events.take(1 << 30)]


# -- which ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "until_ms", "seen"),
    [
        (DebugMode.OFF, 0, []),
        (DebugMode.FAILURES, 0, [b"bad", b""]),
        (DebugMode.ALL, RECEIVED_MS + 1, [b"bad", b"a", b""]),
        (DebugMode.ALL, RECEIVED_MS, [b"bad", b""]),
    ],
)
def test_the_mode_says_which_uplinks_leave_an_event(
    path: Path, mode: DebugMode, until_ms: int, seen: list[bytes]
) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it, mode, until_ms)
            for payload in (b"bad", b"a", b""):
                await it.outcome(payload)
            assert [b64decode(event["payload"]) for event in events(it)] == seen

    asyncio.run(scenario())


def test_it_is_known_when_all_ends_by_itself_and_once_only(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            assert not it.pipeline.has_debugging_ended()
            load(it, until_ms=time.time_ns() // 1_000_000 + 50)
            assert not it.pipeline.has_debugging_ended()
            await it.until(it.pipeline.has_debugging_ended)
            assert not it.pipeline.has_debugging_ended()

    asyncio.run(scenario())


def test_an_integration_that_is_not_debugged_has_the_handler_that_it_always_had(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it, DebugMode.OFF)
            plain = it.handler()
            load(it, DebugMode.FAILURES)
            assert it.handler().__qualname__ != plain.__qualname__
            assert plain.__qualname__.startswith("Pipeline._handler")

    asyncio.run(scenario())


# -- what ----------------------------------------------------------------------------------------------


def test_an_event_says_what_went_in_and_what_came_out(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it, metadata={"site": "B"})
            ticket = Waiting()
            it.handler(principal=Principal("psk", "gw-7"))(b"a b", RECEIVED_MS, ticket)
            await it.until(lambda: ticket.outcomes)
            ((event),) = events(it)
            assert event.pop("duration_us") < 1_000_000
            metadata = orjson.loads(event.pop("metadata"))
            assert (metadata["site"], metadata["pskIdentity"]) == ("B", "gw-7")
            assert event == {
                "ts": RECEIVED_MS,
                "integration": "meters",
                "peer": PEER,
                "principal": "gw-7",
                "payload": "YSBi",
                "payload_bytes": 3,
                "out": '[{"deviceName":"a"},{"deviceName":"b"}]',
                "error": None,
                "names": ["a", "b"],
            }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("payload", "out", "words"),
    [
        (b"bad", None, "I don't like it"),
        (b"nameless", '{"telemetry":{"t":1}}', "deviceName"),
        (b"strange", "{2, 3}", "attributes"),
        (b"", None, "empty"),
    ],
)
def test_an_event_of_a_failure_says_why_and_what_the_decoder_returned(
    path: Path, payload: bytes, out: str | None, words: str
) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            await it.outcome(payload)
            ((event),) = events(it)
            assert words in event["error"]
            assert event["out"] is None if out is None else out in event["out"]
            assert event["names"] == []

    asyncio.run(scenario())


def test_what_is_refused_for_its_rate_or_its_name_or_a_broken_converter_leaves_an_event(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, gateway_device_rate_limit="1:3600") as it:
            load(it, DebugMode.FAILURES)
            await it.outcome(b"a")
            await it.outcome(b"a")
            it.load([integration(debug_mode=DebugMode.FAILURES, identity_binding="name")], [python(PICKY)])
            handle = it.handler(principal=Principal("psk", "gw-7"))
            refused = handle(b"b", RECEIVED_MS, Waiting())
            assert refused is not None
            assert refused.code is Code.FORBIDDEN
            it.load([integration(debug_mode=DebugMode.FAILURES)], [Converter("c", Language.JAVASCRIPT, "return {;")])
            await it.outcome(b"c")
            rate, name, broken = (event["error"] for event in events(it))
            assert "sends more than it may" in rate
            assert "may not write" in name
            assert "can't be used" in broken

    asyncio.run(scenario())


def test_nothing_of_one_uplink_is_left_in_the_event_of_the_next(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            handle = it.handler()
            for payload in (b"bad", b"a", b""):
                handle(payload, RECEIVED_MS, Waiting())
            first, second, third = events(it)
            assert (first["out"], second["error"], second["names"]) == (None, None, ["a"])
            assert (third["out"], third["names"], third["duration_us"]) == (None, [], 0)

    asyncio.run(scenario())


# -- bounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [IN_BYTES, IN_BYTES + 1])
def test_of_a_long_payload_the_beginning_is_kept_and_of_a_long_output_too(path: Path, length: int) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it, metadata={"long": "x" * METADATA_CHARACTERS})
            names = b" ".join(b"%07d" % n for n in range(IN_BYTES))[:length]
            await it.outcome(names)
            ((event),) = events(it)
            assert b64decode(event["payload"]) == names[:IN_BYTES]
            assert event["payload_bytes"] == length
            assert len(event["out"]) == OUT_CHARACTERS
            assert event["out"].endswith("…")
            assert event["metadata"] == "{}"
            assert len(event["names"]) == 100

    asyncio.run(scenario())


def test_events_that_find_no_room_are_counted_and_their_uplinks_stored(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            handle = it.handler()
            tickets = [Waiting() for _ in range(WAITING_EVENTS + 3)]
            for ticket in tickets:
                assert handle(b"a", RECEIVED_MS, ticket) is None
            assert it.counted(EVENTS_DROPPED_TOTAL, "worker") == 3
            await it.until(lambda: all(ticket.outcomes == [CREATED] for ticket in tickets))
            assert len(events(it)) == WAITING_EVENTS

    asyncio.run(scenario())


def test_waiting_events_are_bounded_by_their_bytes_and_taken_in_portions() -> None:
    metrics = Metrics()
    waiting = DebugEvents(metrics)
    waiting.add(b"x" * (WAITING_BYTES - 1))
    assert waiting.has_room()
    waiting.add(b"y")
    assert not waiting.has_room()
    assert metrics.counters[EVENTS_DROPPED_TOTAL, "worker"] == 1
    waiting.add(b"z")
    assert [len(event) for event in waiting.take(10)] == [WAITING_BYTES - 1]
    assert waiting.has_room()
    assert waiting.take(1) == [b"y"]
    assert waiting.take(10) == [b"z"]
    assert waiting.take(10) == []


def test_an_event_that_can_not_be_made_costs_its_uplink_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Lost(Waiting):
        def peer(self) -> str:
            raise KeyError("its session is gone")

    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            ticket = Lost()
            assert it.handler()(b"a", RECEIVED_MS, ticket) is None
            await it.until(lambda: ticket.outcomes == [CREATED])
            assert events(it) == []

    asyncio.run(scenario())
    assert "an event could not be recorded" in caplog.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, '{"a":1}'),
        ({"a": 1 << 70}, '{"a": 1180591620717411303424}'),
        ("\ud800", '"\\ud800"'),
        ({(1, 2): 3}, '"{(1, 2): 3}"'),
        (b"\x00", "\"b'\\\\x00'\""),
    ],
)
def test_what_json_does_not_have_is_shown_all_the_same(value: object, text: str) -> None:
    assert json_text(value, 1000, cut=True) == text


def test_a_value_that_holds_itself_is_shown() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "[...]" in json_text(endless, 1000, cut=True)
