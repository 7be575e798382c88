"""What stands in a spool's file: trimmed, read by another process, whole after the writer's death."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path

import orjson
import pytest

from gateway.errors import NotFoundError
from gateway.storage.database import open_database
from gateway.storage.spool import BATCH_OVERHEAD_BYTES, MIGRATIONS, PAGE_BYTES, TRIM_BATCHES, empty_unused_spool
from gateway.storage.spool_reader import SpoolReader

from .processes import CONTEXT, WAIT_S, process
from .reports import report
from .spools import Writer, deliveries, names, stalled, text, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


# -- trimming ----------------------------------------------------------------------------------------


def fill(path: Path, batches: int) -> None:
    """Make a spool with this many batches of ten bytes."""

    async def make() -> None:
        async with writer(path):
            pass

    asyncio.run(make())
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO batches (bytes, body) VALUES (10, ?)", [(b"[]",)] * batches)


def test_trimming_frees_the_bytes_of_what_it_deletes(path: Path) -> None:
    fill(path, 10)

    async def scenario() -> None:
        async with writer(path) as it:
            assert it.spool.bytes == 100
            it.spool.trim(4)
            await it.until(lambda: it.spool.bytes == 60)
            it.spool.trim(3)
            it.spool.trim(4)
            it.append("a")
            await it.until_written()
            assert it.spool.bytes == 60 + len(text("a")) + BATCH_OVERHEAD_BYTES
            it.spool.trim(1000)
            await it.until(lambda: it.spool.bytes == 0)

    asyncio.run(scenario())
    assert names(path) == []


@pytest.mark.parametrize("count", [TRIM_BATCHES - 1, TRIM_BATCHES, TRIM_BATCHES + 1, 2 * TRIM_BATCHES, 1000])
def test_trimming_many_goes_on_by_itself(path: Path, count: int) -> None:
    fill(path, count + 1)

    async def scenario() -> None:
        async with writer(path) as it:
            it.spool.trim(count)
            await it.until(lambda: it.spool.bytes == 10)

    asyncio.run(scenario())
    assert [delivery.batch_id for delivery in deliveries(path)] == [count + 1]


def test_commits_do_not_wait_for_a_long_trim(path: Path) -> None:
    fill(path, 4 * TRIM_BATCHES)

    async def scenario() -> None:
        writers: list[Writer] = []
        left: list[int] = []
        async with writer(path, on_committed=lambda batch: left.append(writers[0].spool.bytes)) as it:
            writers.append(it)
            it.spool.trim(4 * TRIM_BATCHES)
            it.append("a")
            await it.until_written()
            assert left[0] > 10 * TRIM_BATCHES
            await it.until(lambda: it.spool.bytes == len(text("a")) + BATCH_OVERHEAD_BYTES)

    asyncio.run(scenario())


def test_a_trim_that_failed_is_tried_again_with_the_next(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(path, 3)

    async def scenario() -> None:
        async with writer(path) as it:
            it.spool._connection.execute("PRAGMA busy_timeout = 20")
            with stalled(path):
                it.spool.trim(2)
                await it.until(lambda: "could not be trimmed" in caplog.text)
                await it.until(lambda: not it.spool._trimming)
            assert it.spool.bytes == 30
            it.spool.trim(1)
            await it.until(lambda: it.spool.bytes == 10)

    asyncio.run(scenario())


def test_batch_ids_are_never_used_again(path: Path) -> None:
    async def scenario(name: str) -> int:
        async with writer(path) as it:
            it.append(name)
            await it.until_written()
            (delivery,) = deliveries(path)
            it.spool.trim(delivery.batch_id)
            await it.until(lambda: it.spool.bytes == 0)
            return delivery.batch_id

    assert [asyncio.run(scenario(name)) for name in "abc"] == [1, 2, 3]
    fill(path, 5)
    empty_unused_spool(path, 8)
    assert names(path) == []
    assert asyncio.run(scenario("d")) == 9


# -- reading -----------------------------------------------------------------------------------------


def test_a_reader_sees_the_batches_in_order_from_where_it_says(path: Path) -> None:
    fill(path, 9)
    assert [delivery.batch_id for delivery in deliveries(path)] == list(range(1, 10))
    assert [delivery.batch_id for delivery in deliveries(path, after=4, max_batches=3)] == [5, 6, 7]
    assert deliveries(path, after=9) == []
    empty_unused_spool(path, 6)
    assert [delivery.batch_id for delivery in deliveries(path, after=4)] == [7, 8, 9]


@pytest.mark.parametrize(("max_bytes", "count"), [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (39, 3), (1000, 4)])
def test_a_reader_takes_as_many_bytes_as_it_may_and_at_least_one_batch(path: Path, max_bytes: int, count: int) -> None:
    fill(path, 4)
    assert len(deliveries(path, max_bytes=max_bytes)) == count


def test_a_reader_gets_reports_as_they_were(path: Path) -> None:
    stored = report(
        "größe", [(1700000000000, {"t": 25.7, "nested": {"a": [1, None, True]}})], customer="C", principal="psk-1"
    )

    async def scenario() -> None:
        async with writer(path) as it:
            it.spool.append(orjson.dumps(tuple(stored)) + b"," + text("second"), "meters", "ticket")
            await it.until_written()

    asyncio.run(scenario())
    ((first, second),) = (delivery.reports for delivery in deliveries(path))
    assert first._replace(telemetry=[]) == stored._replace(telemetry=[])
    assert [tuple(sample) for sample in first.telemetry] == stored.telemetry
    assert second.name == "second"


def test_a_spool_knows_itself_again_and_another_in_its_place(path: Path) -> None:
    def identity() -> str:
        reader = SpoolReader(path)
        reader.close()
        return reader.identity

    fill(path, 1)
    first = identity()
    fill(path, 1)
    assert identity() == first
    for file in path.parent.glob("spool-0.db*"):
        file.unlink()
    fill(path, 1)
    assert identity() != first


def test_a_reader_needs_a_spool(path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        SpoolReader(path)


# -- death -------------------------------------------------------------------------------------------


def _write_until_killed(path: Path, told: Connection) -> None:
    """Append as fast as commits go, and tell of each that is reported."""

    async def forever() -> None:
        it = Writer(path, commit_batch=7, on_committed=lambda batch: told.send(batch.tickets))
        count = 0
        while True:
            while it.append(f"{os.getpid()}-{count}", padding=200):
                count += 1
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    asyncio.run(forever())


def test_what_was_reported_as_committed_survives_a_kill_in_the_middle_of_a_commit(path: Path) -> None:
    reported: set[str] = set()
    for commits in (3, 20, 41):
        receiver, sender = CONTEXT.Pipe(duplex=False)
        with process(_write_until_killed, path, sender) as child:
            for _ in range(commits):
                assert receiver.poll(WAIT_S)
                reported.update(receiver.recv())
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            sender.close()
            with contextlib.suppress(EOFError):
                while True:
                    reported.update(receiver.recv())
        receiver.close()
    found = [name for batch in names(path) for name in batch]
    assert len(reported) > 3 + 20 + 41
    assert reported <= set(found)
    assert len(found) == len(set(found))


# -- files of before ---------------------------------------------------------------------------------


@pytest.mark.parametrize("trimmed", [0, 2, 3])
def test_a_spool_of_before_keeps_its_batches_and_goes_on_with_their_numbers(path: Path, trimmed: int) -> None:
    connection = open_database(path, migrations=MIGRATIONS[:2], page_bytes=PAGE_BYTES)
    with contextlib.closing(connection):
        for name in "abc":
            body = b"[" + text(name) + b"," + text(name) + b"]"
            connection.execute("INSERT INTO batches (bytes, body) VALUES (?, ?)", (len(body), body))
        connection.execute("DELETE FROM batches WHERE id <= ?", (trimmed,))
        ((identity,),) = connection.execute("SELECT id FROM identity").fetchall()

    async def scenario() -> None:
        async with writer(path) as it:
            it.append("d")
            await it.until_written()

    asyncio.run(scenario())
    assert [one.batch_id for one in deliveries(path)] == [1, 2, 3, 4][trimmed:]
    assert names(path) == [["a", "a"], ["b", "b"], ["c", "c"], ["d"]][trimmed:]
    reader = SpoolReader(path)
    with contextlib.closing(reader):
        assert reader.identity == identity
        assert reader.waiting(after=0).uplinks == 2 * (3 - trimmed) + 1
