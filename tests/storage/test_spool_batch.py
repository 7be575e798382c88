"""What a batch knows of its uplinks' arrival, and a spool of the age of what it holds."""

import asyncio
import time
from pathlib import Path

import orjson
import pytest

from gateway.model import Security
from gateway.storage.spool import prepare_spool
from gateway.storage.spool_batch import Batch

from .reports import report
from .spools import Writer, stalled

PLAIN, DTLS = Security.PLAIN, Security.DTLS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


def test_uplinks_have_arrived_with_the_read_that_brought_them() -> None:
    batch: Batch[str] = Batch(7.0, (7.0, PLAIN))
    batch.tickets += ["a", "b"]
    batch.arrived(DTLS, 8.0)
    batch.tickets += ["c"]
    assert batch.arrivals == [(0, 7.0, PLAIN), (2, 8.0, DTLS)]


def test_reads_that_brought_no_uplinks_take_no_room() -> None:
    batch: Batch[str] = Batch(7.0, (7.0, PLAIN))
    batch.tickets += ["a"]
    for number in range(1000):
        batch.arrived(PLAIN, 8.0 + number)
    assert batch.arrivals == [(0, 7.0, PLAIN), (1, 1007.0, PLAIN)]


def test_a_batch_begins_with_the_read_that_is_handled_then(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path, commit_batch=2)
        it.spool.arrived(DTLS, 5.0)
        for name in "abc":
            it.append(name)
        first, second = it.spool.waiting
        it.spool.arrived(PLAIN, 6.0)
        it.append("d")
        assert first.arrivals == [(0, 5.0, DTLS)]
        assert second.arrivals == [(0, 5.0, DTLS), (1, 6.0, PLAIN)]
        await it.spool.close()

    asyncio.run(scenario())


def test_the_oldest_is_the_first_that_was_not_trimmed(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path)
        assert it.spool.oldest_ms is None
        began_ms = time.time() * 1000
        it.append("a")
        await it.until_written()
        assert it.spool.oldest_ms is not None
        assert began_ms - 1000 <= it.spool.oldest_ms <= time.time() * 1000
        for name in "bc":
            it.append(name)
            await it.until_written()
        it.spool.trim(1)
        received_ms = report("b").received_ms
        await it.until(lambda: it.spool.oldest_ms == received_ms)
        it.spool.trim(3)
        await it.until(lambda: it.spool.oldest_ms is None)
        await it.spool.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["a", 'with "quotes" \\ and ], [', "ü" * 400])
def test_the_oldest_is_known_after_a_restart(path: Path, name: str) -> None:
    async def scenario() -> None:
        it = Writer(path)
        it.spool.append(_text(name), "meters", "a")
        await it.until_written()
        await it.spool.close()
        again = Writer(path)
        assert again.spool.oldest_ms == report("a").received_ms
        await again.spool.close()

    asyncio.run(scenario())


def test_an_uplink_that_a_converter_failed_on_counts_too(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path)
        it.append_failed("a")
        await it.until_written()
        await it.spool.close()
        again = Writer(path)
        assert again.spool.oldest_ms == 1_000
        await again.spool.close()

    asyncio.run(scenario())


def test_an_empty_spool_has_no_oldest(path: Path) -> None:
    async def scenario() -> None:
        prepare_spool(path)
        it = Writer(path)
        assert it.spool.oldest_ms is None
        with stalled(path):
            it.append("a")  # not stored, so it is no burden of the file yet
            await asyncio.sleep(0)
            assert it.spool.oldest_ms is None
        await it.spool.close()

    asyncio.run(scenario())


def _text(integration: str) -> bytes:
    return orjson.dumps(tuple(report("a")._replace(integration=integration)))
