"""How long uplinks and conversions take, counted: each uplink once, whatever becomes of it."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.metrics import (
    CONVERSION_SECONDS,
    REQUEST_SECONDS,
    SPOOL_BYTES,
    SPOOL_OLDEST_SECONDS,
    SUM,
    UPLINKS_TOTAL,
)
from gateway.model import Code, Security
from gateway.pipeline import MEASURED, RETRY_AFTER_S

from .pipelines import RECEIVED_MS, Flow, Waiting, flow, integration, python
from .storage.spools import stalled

PICKY = """
def decode(payload, metadata):
    if payload == b"bad":
        raise ValueError("I don't like it")
    if payload == b"nothing":
        return []
    return {"deviceName": payload.decode()}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


def histogram(it: Flow, name: str) -> dict[tuple[str, str], float]:
    """A histogram's buckets that are not empty, and its sums, by label value and bound."""
    return {(key[1], key[2]): value for key, value in _plain(it).items() if key[0] == name}


def _plain(it: Flow) -> dict[tuple[str, ...], float]:
    return dict(it.metrics.snapshot().items())


def times(it: Flow, security: str) -> dict[str, float]:
    """The buckets of a security that are not empty, and the sum."""
    return {bound: value for (of, bound), value in histogram(it, REQUEST_SECONDS).items() if of == security}


def count(it: Flow, *securities: str) -> int:
    """How many uplinks were measured."""
    return int(sum(value for one in securities for bound, value in times(it, one).items() if bound != SUM))


def answered(it: Flow) -> int:
    """How many uplinks were counted."""
    return int(sum(value for key, value in it.metrics.snapshot().items() if key[0] == UPLINKS_TOTAL))


def test_every_uplink_that_is_answered_is_measured_once(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(PICKY)])
            it.pipeline.spool.arrived(Security.PLAIN, time.monotonic())
            payloads = [b"SN-001", b"bad", b"", b"nothing", b"SN-002", b"bad"]
            for payload in payloads:
                await it.outcome(payload)
            assert count(it, "plain") == answered(it) == len(payloads)
            assert count(it, "dtls") == 0

    asyncio.run(scenario())


def test_time_counts_from_the_read_to_the_commit(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            now_s = time.monotonic()
            tickets = []
            for security, age_s in ((Security.PLAIN, 0.6), (Security.DTLS, 4.0), (Security.PLAIN, 0.0)):
                it.pipeline.spool.arrived(security, now_s - age_s)
                tickets += [it.send(b"SN-%d" % number)[1] for number in range(3)]
            await it.until(lambda: all(ticket.outcomes for ticket in tickets))
            plain, dtls = times(it, "plain"), times(it, "dtls")
            assert count(it, "plain") == 6
            assert sum(value for bound, value in plain.items() if bound != SUM and float(bound) <= 0.5) == 3
            assert plain["0.75"] == 3
            assert plain[SUM] == pytest.approx(1.8, abs=0.6)
            assert {bound: value for bound, value in dtls.items() if bound != SUM} == {"5.0": 3}
            assert dtls[SUM] == pytest.approx(12, abs=0.6)

    asyncio.run(scenario())


def test_a_refused_uplink_has_taken_the_time_since_the_read(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.pipeline.spool.arrived(Security.DTLS, time.monotonic() - 1.5)
            assert (await it.outcome(b"")).code is Code.BAD_REQUEST
            assert count(it, "dtls") == times(it, "dtls")["2.0"] == 1

    asyncio.run(scenario())


def test_what_is_given_up_has_taken_until_then_and_counts_once(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, coap_piggyback_timeout=20, coap_timeout=150) as it:
            with stalled(path):
                it.pipeline.spool.arrived(Security.PLAIN, time.monotonic())
                outcome = await it.outcome()
                assert (outcome.code, outcome.max_age_s) == (Code.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
            await it.until(lambda: not it.pipeline.spool.waiting)
            assert count(it, "plain") == answered(it) == 1
            assert times(it, "plain")[SUM] >= 0.15

    asyncio.run(scenario())


def test_conversions_of_one_millisecond_in_so_many_are_measured(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load([integration()], [python(PICKY)])
            handle = it.handler()
            for ms in range(MEASURED * 10):
                handle(b"bad" if ms % 2 else b"nothing", RECEIVED_MS + ms, Waiting())
            measured = histogram(it, CONVERSION_SECONDS)
            assert {converter for converter, _ in measured} == {"c"}
            total_s = measured.pop(("c", SUM))
            assert sum(measured.values()) == 10
            assert 0 < total_s < 10

    asyncio.run(scenario())


def test_what_comes_by_the_clock_is_measured_too() -> None:
    for period_ms in (1, 10, 16, 100, 1000, 60_000):
        assert any(ms % MEASURED == 0 for ms in range(RECEIVED_MS, RECEIVED_MS + MEASURED * period_ms, period_ms))


def test_the_spool_is_measured_as_it_stands(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.pipeline.measure()
            assert (it.counted(SPOOL_BYTES), it.counted(SPOOL_OLDEST_SECONDS)) == (0, 0)
            await it.outcome()
            it.pipeline.measure()
            assert it.counted(SPOOL_BYTES) > 0
            assert 0 <= it.counted(SPOOL_OLDEST_SECONDS) < 60
            it.pipeline.spool.trim(1)
            await it.until(lambda: it.pipeline.spool.oldest_ms is None)
            it.pipeline.measure()
            assert (it.counted(SPOOL_BYTES), it.counted(SPOOL_OLDEST_SECONDS)) == (0, 0)

    asyncio.run(scenario())
