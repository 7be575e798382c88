"""A spool to test, and what other processes see of it."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from gateway.model import Delivery
from gateway.storage import failed_uplinks
from gateway.storage.spool import Spool
from gateway.storage.spool_batch import Batch
from gateway.storage.spool_reader import SpoolReader

from .processes import WAIT_S
from .reports import report

NO_BOUND = 1 << 30
"""More bytes than any test writes."""


def text(name: str, padding: int = 0) -> bytes:
    """An uplink with one report."""
    return orjson.dumps(tuple(report(name, attributes={"padding": "x" * padding})))


def failed_text(name: str, padding: int = 0) -> bytes:
    """An uplink that a converter failed on."""
    return failed_uplinks.encode("meters", 1_000, None, name.encode(), {"padding": "x" * padding}, "no such device")


class Writer:
    """A spool whose tickets are the devices' names."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = NO_BOUND,
        commit_batch: int = 512,
        commit_interval_s: float = 0.0,
        on_committed: Callable[[Batch[str]], None] = lambda batch: None,
    ) -> None:
        self.path = path
        self.committed: list[Batch[str]] = []
        self._also = on_committed
        self._news = asyncio.Event()
        self.spool: Spool[str] = Spool(
            path,
            loop=asyncio.get_running_loop(),
            max_bytes=max_bytes,
            commit_batch=commit_batch,
            commit_interval_s=commit_interval_s,
            on_committed=self._on_committed,
        )

    def _on_committed(self, batch: Batch[str]) -> None:
        self.committed.append(batch)
        self._also(batch)
        self._news.set()

    def append(self, name: str, padding: int = 0) -> bool:
        return self.spool.append(text(name, padding), "meters", name)

    def append_failed(self, name: str, padding: int = 0) -> bool:
        return self.spool.append_failed(failed_text(name, padding), "meters", name)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until commits or trims made the condition true; fails after a while."""
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline_s, "it did not happen"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 0.01)

    async def until_written(self) -> None:
        await self.until(lambda: not self.spool.waiting)

    @property
    def tickets(self) -> list[list[str]]:
        """Who was told of a commit, by batches."""
        return [batch.tickets for batch in self.committed]


@contextlib.asynccontextmanager
async def writer(path: Path, **limits: object) -> AsyncIterator[Writer]:
    made = Writer(path, **limits)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.spool.close()


@contextlib.contextmanager
def stalled(path: Path) -> Iterator[None]:
    """Keep the writer from writing, as a disk does that is slow."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def fill_disk(spool: Spool[Any]) -> None:
    """Leave the spool no room for anything longer than a page."""
    ((pages,),) = spool._connection.execute("PRAGMA page_count").fetchall()
    spool._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def make_room(spool: Spool[Any]) -> None:
    """Undo `fill_disk`."""
    spool._connection.execute("PRAGMA max_page_count = 1000000").fetchall()


def deliveries(path: Path, after: int = 0, max_batches: int = 10_000, max_bytes: int = NO_BOUND) -> list[Delivery]:
    reader = SpoolReader(path)
    try:
        return reader.read(after=after, max_batches=max_batches, max_bytes=max_bytes)
    finally:
        reader.close()


def names(path: Path) -> list[list[str]]:
    """The devices in the file, by batches."""
    return [[report.name for report in delivery.reports] for delivery in deliveries(path)]
