"""The spool's share for uplinks that a converter failed on: kept as durably as others, and never in their way."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.model import FailedUplink
from gateway.storage.database import open_database
from gateway.storage.spool import FAILED_SHARE, MIGRATIONS, WAITING_BATCHES, prepare_spool
from gateway.storage.spool_reader import SpoolReader

from .spools import Writer, deliveries, failed_text, fill_disk, names, stalled, text, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


def failed(path: Path) -> list[bytes]:
    """The payloads of those in the file."""
    return [uplink.payload for delivery in deliveries(path) for uplink in delivery.failed]


def test_they_are_on_the_disk_before_anyone_is_told_beside_the_reports_of_others(path: Path) -> None:
    found: list[list[bytes]] = []

    async def scenario() -> None:
        async with writer(path, on_committed=lambda batch: found.append(failed(path))) as it:
            it.append("a")
            it.append_failed("b")
            it.append("c")
            await it.until_written()
            assert it.tickets == [["a", "b", "c"]]
            assert (it.committed[0].sources, it.committed[0].failed) == (["meters", "meters"], ["meters"])

    asyncio.run(scenario())
    assert found == [[b"b"]]
    assert names(path) == [["a", "c"]]
    ((delivery),) = deliveries(path)
    assert delivery.failed == [FailedUplink("meters", 1_000, None, b"b", {"padding": ""}, "no such device")]


def test_they_get_their_share_of_the_bytes_and_no_more_and_others_the_rest(path: Path) -> None:
    size = len(failed_text("x"))

    async def scenario() -> None:
        async with writer(path, max_bytes=FAILED_SHARE * (3 * size)) as it:
            assert [it.append_failed("x") for _ in range(4)] == [True, True, True, False]
            assert it.spool.failed_bytes == 3 * size
            assert it.append("good")
            await it.until_written()
            assert not it.append_failed("x")
            assert it.append("good")

    asyncio.run(scenario())
    assert len(failed(path)) == 3


def test_their_share_is_known_after_a_restart_and_free_again_when_they_are_trimmed(path: Path) -> None:
    limit = FAILED_SHARE * len(failed_text("x"))

    async def scenario() -> None:
        async with writer(path, max_bytes=limit) as it:
            assert it.append_failed("x")
            await it.until_written()
        async with writer(path, max_bytes=limit) as it:
            assert not it.append_failed("x")
            it.spool.trim(deliveries(path)[-1].batch_id)
            await it.until(lambda: it.spool.failed_bytes == 0)
            assert it.spool.bytes == 0
            assert it.append_failed("x")

    asyncio.run(scenario())


def test_a_failed_commit_gives_their_share_back(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path) as it:
            fill_disk(it.spool)
            assert it.append_failed("x", padding=100_000)
            await it.until_written()
            assert it.committed[0].error is not None
            assert (it.spool.failed_bytes, it.spool.bytes) == (0, 0)

    asyncio.run(scenario())


def test_behind_a_slow_disk_they_fill_their_share_of_the_batches_and_others_the_rest(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path, commit_batch=1) as it:
            with stalled(path):
                taken = [it.append_failed(str(number)) for number in range(WAITING_BATCHES)]
                assert taken.count(True) == WAITING_BATCHES // FAILED_SHARE
                more = [it.append(str(number)) for number in range(WAITING_BATCHES)]
                assert more.count(True) == WAITING_BATCHES - WAITING_BATCHES // FAILED_SHARE
                assert not it.append_failed("x")
            await it.until_written()

    asyncio.run(scenario())


def test_a_flood_of_them_takes_no_place_in_a_batch_from_others(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path, commit_batch=3) as it:
            assert all(it.append_failed("x") for _ in range(2))
            assert all(it.append("good") for _ in range(3))
            await it.until_written()
            assert [len(tickets) for tickets in it.tickets] == [5]

    asyncio.run(scenario())


def test_while_the_spool_closes_none_is_taken(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path)
        it.append_failed("x")
        closing = asyncio.create_task(it.spool.close())
        await asyncio.sleep(0)
        assert not it.append_failed("y")
        await closing

    asyncio.run(scenario())
    assert failed(path) == [b"x"]


def test_a_spool_of_before_is_brought_up_to_date_before_it_is_read(path: Path) -> None:
    with contextlib.closing(open_database(path, migrations=MIGRATIONS[:1])) as connection:
        connection.execute("INSERT INTO batches (bytes, body) VALUES (1, ?)", (b"[" + text("old") + b"]",))
    with pytest.raises(ConfigurationError):
        SpoolReader(path)
    prepare_spool(path)
    assert names(path) == [["old"]]
