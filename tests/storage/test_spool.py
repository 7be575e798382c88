"""The spool: committed before acknowledged, bounded, trimmed, read by another process."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from gateway.errors import UnavailableError
from gateway.storage.spool import (
    BATCH_BYTES,
    BATCH_OVERHEAD_BYTES,
    WAITING_BATCHES,
)

from .processes import WAIT_S
from .spools import Writer, fill_disk, make_room, names, stalled, text, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


# -- committing --------------------------------------------------------------------------------------


def test_a_batch_is_on_the_disk_before_anyone_is_told(path: Path) -> None:
    found: list[list[list[str]]] = []

    async def scenario() -> None:
        async with writer(path, on_committed=lambda batch: found.append(names(path))) as it:
            it.append("a")
            it.append("b")
            assert it.committed == []
            await it.until_written()
            assert it.tickets == [["a", "b"]]
            assert it.committed[0].error is None
            assert it.committed[0].sources == ["meters", "meters"]

    asyncio.run(scenario())
    assert found == [[["a", "b"]]]


def test_what_comes_while_the_writer_is_busy_goes_into_the_next_commit(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path) as it:
            with stalled(path):
                it.append("first")
                await asyncio.sleep(0)
                for number in range(20):
                    it.append(str(number))
                    await asyncio.sleep(0)
            await it.until_written()
            assert it.tickets == [["first"], [str(number) for number in range(20)]]

    asyncio.run(scenario())
    assert names(path) == [["first"], [str(number) for number in range(20)]]


@pytest.mark.parametrize(("count", "sizes"), [(4, [4]), (5, [5]), (6, [5, 1]), (11, [5, 5, 1])])
def test_a_commit_takes_at_most_the_batch_size(path: Path, count: int, sizes: list[int]) -> None:
    async def scenario() -> None:
        async with writer(path, commit_batch=5) as it:
            for number in range(count):
                it.append(str(number))
            await it.until_written()
            assert [len(tickets) for tickets in it.tickets] == sizes

    asyncio.run(scenario())


def test_a_batch_of_many_bytes_is_closed_too(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path) as it:
            for number in range(5):
                it.append(str(number), padding=BATCH_BYTES // 2)
            await it.until_written()
            assert it.tickets == [["0", "1"], ["2", "3"], ["4"]]

    asyncio.run(scenario())


def test_batches_behind_a_stalled_disk_are_bounded(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path, commit_batch=2) as it:
            with stalled(path):
                taken = 0
                while it.append(str(taken)):
                    taken += 1
                    await asyncio.sleep(0)
                # The first went to the writer alone, before it was full.
                assert taken == 2 * WAITING_BATCHES - 1
                assert len(it.spool.waiting) == WAITING_BATCHES
            await it.until_written()
            assert it.append("again")

    asyncio.run(scenario())


def test_between_commits_the_interval_passes(path: Path) -> None:
    async def scenario() -> None:
        times: list[float] = []
        async with writer(path, commit_interval_s=0.2, on_committed=lambda batch: times.append(time.monotonic())) as it:
            it.append("at once")
            await it.until_written()
            it.append("a")
            await asyncio.sleep(0.05)
            it.append("b")
            await it.until_written()
            assert it.tickets == [["at once"], ["a", "b"]]
        assert times[1] - times[0] >= 0.2

    asyncio.run(scenario())


def test_a_full_batch_does_not_wait_for_the_interval_and_leaves_no_timers_behind(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path, commit_interval_s=3600.0, commit_batch=2) as it:
            it.append("at once")
            await it.until_written()
            for round_ in range(5):
                it.append(f"{round_}a")
                await asyncio.sleep(0)
                it.append(f"{round_}b")
                await it.until_written()
            it.append("waits")
            await asyncio.sleep(0)
            assert len(it.committed) == 6
            scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            far = asyncio.get_running_loop().time() + 1800
            assert sum(not timer.cancelled() and timer.when() > far for timer in scheduled) == 1

    asyncio.run(scenario())
    assert names(path)[-1] == ["waits"]


def test_closing_commits_what_waits_and_takes_no_more(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path, commit_interval_s=3600.0, commit_batch=2)
        it.append("at once")
        await it.until_written()
        for name in "abc":
            assert it.append(name)
        await it.spool.close()
        assert it.tickets == [["at once"], ["a", "b"], ["c"]]
        assert not it.append("too late")

    asyncio.run(scenario())
    assert names(path) == [["at once"], ["a", "b"], ["c"]]


def test_what_is_taken_while_closing_is_committed_too(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path)
        with stalled(path):
            it.append("with the writer")
            await asyncio.sleep(0)
            it.append("behind it")
            closing = asyncio.create_task(it.spool.close())
            await asyncio.sleep(0)
            taken = it.append("late")
        await asyncio.wait_for(closing, WAIT_S)
        assert [name for tickets in it.tickets for name in tickets] == [
            "with the writer",
            "behind it",
            *(["late"] if taken else []),
        ]

    asyncio.run(scenario())


# -- the bound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "taken"), [(-1, False), (0, True), (1, True)])
def test_the_bound_holds_to_the_byte(path: Path, room: int, taken: bool) -> None:
    size = len(text("a"))

    async def scenario() -> None:
        async with writer(path, max_bytes=2 * size + room) as it:
            assert it.append("a")
            assert it.append("b") is taken
            assert it.spool.bytes == (2 if taken else 1) * size
            await it.until_written()
            assert it.tickets == [["a", "b"] if taken else ["a"]]

    asyncio.run(scenario())


def test_a_refused_uplink_leaves_nothing_behind(path: Path) -> None:
    async def scenario() -> None:
        async with writer(path, max_bytes=10) as it:
            for _ in range(3):
                assert not it.append("a")
            assert not it.spool.waiting
            await asyncio.sleep(0)
            assert (it.committed, it.spool.bytes) == ([], 0)

    asyncio.run(scenario())
    assert names(path) == []


def test_each_batch_counts_for_some_bytes_more(path: Path) -> None:
    size = len(text("a"))

    async def scenario() -> None:
        async with writer(path, max_bytes=2 * size + BATCH_OVERHEAD_BYTES) as it:
            it.append("a")
            await it.until_written()
            assert it.spool.bytes == size + BATCH_OVERHEAD_BYTES
            assert it.append("b")
            await it.until_written()
            assert not it.append("c")

    asyncio.run(scenario())


def test_what_lies_in_the_file_counts_after_a_restart(path: Path) -> None:
    async def scenario(expected: int) -> int:
        async with writer(path) as it:
            assert it.spool.bytes == expected
            it.append("a")
            await it.until_written()
            return it.spool.bytes

    bytes_ = asyncio.run(scenario(0))
    assert bytes_ == len(text("a")) + BATCH_OVERHEAD_BYTES
    assert asyncio.run(scenario(bytes_)) == 2 * bytes_


# -- a full disk -------------------------------------------------------------------------------------


def test_a_full_disk_fails_commits_and_room_lets_them_go_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        async with writer(path) as it:
            it.append("before")
            await it.until_written()
            before = it.spool.bytes
            fill_disk(it.spool)
            for name in ("x", "y"):
                assert it.append(name, padding=100_000)
                await it.until_written()
                error = it.committed[-1].error
                assert isinstance(error, UnavailableError)
                assert "room" in error.message
                assert "room" in error.hint
                assert it.spool.bytes == before
            make_room(it.spool)
            it.append("after", padding=100_000)
            await it.until_written()
            assert it.committed[-1].error is None

    asyncio.run(scenario())
    assert names(path) == [["before"], ["after"]]
    # Told once when it begins, once when it ends.
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_closing_on_a_full_disk_tells_everyone_of_the_failure(path: Path) -> None:
    async def scenario() -> None:
        it = Writer(path)
        fill_disk(it.spool)
        it.append("x", padding=100_000)
        it.append("y")
        await it.spool.close()
        assert it.tickets == [["x", "y"]]
        assert it.committed[0].error is not None

    asyncio.run(scenario())
    assert names(path) == []
