"""The spool: where an uplink lies from its acknowledgement until every sink has it. `spool-N.db`, one per worker.

Records gather in batches in the packet loop; a thread commits a batch as one row, so that the loop pays for one
statement per batch and the disk for one flush. Whoever reads a spool is another process; the worker alone writes it.
"""

import asyncio
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from gateway.errors import GatewayError
from gateway.model import Security
from gateway.storage.database import continue_table_after, open_database, sqlite_errors, transaction
from gateway.storage.spool_batch import Batch, oldest_received_ms

MIGRATIONS: Final = (
    """
    CREATE TABLE batches (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: sinks remember their positions by it
        bytes INTEGER NOT NULL,
        body  BLOB NOT NULL                       -- JSON: an array of StoredReports, each an array
    );
    CREATE TABLE identity (id TEXT NOT NULL);
    INSERT INTO identity VALUES (lower(hex(randomblob(16))));
    """,
    """
    ALTER TABLE batches ADD COLUMN failed_bytes INTEGER NOT NULL DEFAULT 0;  -- of uplinks that a converter failed on
    """,
    """
    ALTER TABLE batches RENAME TO batches_before;

    CREATE TABLE batches (  -- the sizes before the body: what is behind a long body takes reading all of it
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        bytes        INTEGER NOT NULL,
        failed_bytes INTEGER NOT NULL DEFAULT 0,
        uplinks      INTEGER NOT NULL DEFAULT 0,
        body         BLOB NOT NULL
    );

    INSERT INTO batches  -- an uplink may have had several reports; nearly, then
        SELECT id, bytes, failed_bytes, json_array_length(CAST(body AS TEXT)), body FROM batches_before;

    DELETE FROM sqlite_sequence WHERE name = 'batches';

    INSERT INTO sqlite_sequence SELECT 'batches', seq FROM sqlite_sequence WHERE name = 'batches_before';

    DROP TABLE batches_before;
    """,
)

PAGE_BYTES: Final = 16_384
"""A batch is one long row, and SQLite writes each page by system calls of its own."""

CHECKPOINT_PAGES: Final = 256
"""How long the write-ahead log grows before it is moved into the file: 4 MiB."""

BATCH_OVERHEAD_BYTES: Final = 128
"""What a batch takes in the file besides its records, roughly; so that many tiny batches count too."""

WAITING_BATCHES: Final = 64
"""Most batches that gather behind a slow disk; beyond them the spool counts as full."""

BATCH_BYTES: Final = 8 << 20
"""A batch takes no more records once it has this many bytes: SQLite bounds a row, and readers hold it whole."""

TRIM_BATCHES: Final = 256
"""Most batches deleted in one transaction, so that trimming never holds up a commit for long."""

FAILED_SHARE: Final = 8
"""Uplinks that their converter failed on get at most one in so many of the spool's bytes, and of the batches that wait:
a flood of them must not keep out the others."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


_NAME: Final = re.compile(r"spool-(\d+)\.db")


def spool_path(data_dir: Path, worker: int) -> Path:
    """Where the spool of a worker lies."""
    return data_dir / f"spool-{worker}.db"


def find_spools(data_dir: Path) -> dict[int, Path]:
    """The spools that there are, by worker; also those of workers that are no more."""
    found = ((_NAME.fullmatch(path.name), path) for path in data_dir.glob("spool-*.db"))
    return {int(match[1]): path for match, path in sorted(found, key=lambda one: one[1]) if match}


class _Trim:
    """A piece of work for the writer: delete batches, at most `TRIM_BATCHES`."""

    __slots__ = ("done_to", "freed_bytes", "freed_failed_bytes", "oldest_ms", "up_to")

    def __init__(self, up_to: int) -> None:
        self.up_to = up_to
        self.done_to = 0
        """Up to which batch it got; 0 where it failed."""
        self.freed_bytes = 0
        self.freed_failed_bytes = 0
        self.oldest_ms: int | None = None
        """As `Spool.oldest_ms`, afterwards."""


class Spool(Generic[T]):
    """One worker's spool, used from the packet loop's thread.

    As soon as the writer is free, and the commit interval is over, it gets the oldest batch.
    """

    def __init__(
        self,
        path: Path,
        *,
        loop: asyncio.AbstractEventLoop,
        max_bytes: int,
        commit_batch: int,
        commit_interval_s: float,
        on_committed: Callable[[Batch[T]], None],
    ) -> None:
        """Open or create the spool. Raises ConfigurationError or UnavailableError, as `open_database` does.

        `on_committed` is called in the loop's thread with each batch when its commit is over, failed or not.
        """
        self._path = path
        self._loop = loop
        self._max_bytes = max_bytes
        self._commit_batch = commit_batch
        self._commit_interval_s = commit_interval_s
        self._on_committed = on_committed
        self._connection = open_database(
            path, migrations=MIGRATIONS, synchronous="FULL", check_same_thread=False, page_bytes=PAGE_BYTES
        )
        with sqlite_errors(path):
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()
            ((stored, failed),) = self._connection.execute(
                "SELECT coalesce(sum(bytes), 0), coalesce(sum(failed_bytes), 0) FROM batches"
            ).fetchall()
            self.oldest_ms: int | None = oldest_received_ms(self._connection)
            """When the oldest uplink in the file was received, in milliseconds since 1970; None where there is none."""
        self.bytes: int = stored
        """Bytes of records in the file and on their way to it."""
        self.failed_bytes: int = failed
        """Those of them that belong to uplinks that a converter failed on."""
        self.waiting: deque[Batch[T]] = deque()
        """Batches that are not on the disk yet, oldest first; the first may be with the writer."""
        self.arrival = (time.monotonic(), Security.PLAIN)
        """What `arrived` was told last."""
        self._writing = False
        self._next_commit_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._trimming = False
        self._trim_wanted = 0
        self._trimmed_to = 0
        self.trouble = ""
        """Why the last commit failed; empty where it did not."""
        self._closing: asyncio.Event | None = None
        self._jobs: SimpleQueue[Batch[T] | _Trim | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    # -- the packet loop's side ------------------------------------------------------------------

    def arrived(self, security: Security, now_s: float) -> None:
        """Say when what is appended from here on has arrived, on the monotonic clock, and over what."""
        self.arrival = (now_s, security)
        if self.waiting and not self.waiting[-1].sealed:
            self.waiting[-1].arrived(security, now_s)

    def append(self, text: bytes, source: str, ticket: T) -> bool:
        """Take an uplink's reports into the current batch; False where the spool is full or closing."""
        waiting = self.waiting
        batch = waiting[-1] if waiting else None
        if batch is None or batch.sealed:
            batch = self._new_batch(WAITING_BATCHES)
            if batch is None:
                return False
        size = len(text)
        if self.bytes + size > self._max_bytes:
            if not batch.tickets:
                waiting.pop()
            return False
        self.bytes += size
        batch.bytes += size
        batch.texts.append(text)
        batch.sources.append(source)
        batch.tickets.append(ticket)
        if len(batch.sources) >= self._commit_batch or batch.bytes >= BATCH_BYTES:
            self._seal(batch)
        return True

    def append_failed(self, text: bytes, source: str, ticket: T) -> bool:
        """Take an uplink that its converter failed on; False where the spool is full, or the share that such have."""
        waiting = self.waiting
        batch = waiting[-1] if waiting else None
        size = len(text)
        if self.bytes + size > self._max_bytes or self.failed_bytes + size > self._max_bytes // FAILED_SHARE:
            return False
        if batch is None or batch.sealed:
            batch = self._new_batch(WAITING_BATCHES // FAILED_SHARE)
            if batch is None:
                return False
        self.bytes += size
        self.failed_bytes += size
        batch.bytes += size
        batch.failed_bytes += size
        batch.texts.append(text)
        batch.failed.append(source)
        batch.tickets.append(ticket)
        if len(batch.failed) >= self._commit_batch or batch.bytes >= BATCH_BYTES:
            self._seal(batch)
        return True

    def _new_batch(self, most_waiting: int) -> Batch[T] | None:
        """A batch behind those that wait; None where that would be too many, or the spool is closing."""
        if len(self.waiting) >= most_waiting or self._closing is not None:
            return None
        batch: Batch[T] = Batch(time.monotonic(), self.arrival)
        self.waiting.append(batch)
        if len(self.waiting) == 1:
            # Not at once: what else came with the same system call shall go into the same commit.
            self._loop.call_soon(self._advance)
        return batch

    def _seal(self, batch: Batch[T]) -> None:
        batch.sealed = True
        if self._timer is not None:
            self._advance()  # a full batch need not wait for the commit interval's end

    def trim(self, up_to: int) -> None:
        """Delete the batches up to this one, which every sink has. What fails is tried again with the next call."""
        self._trim_wanted = max(self._trim_wanted, up_to)
        if self._trim_wanted > self._trimmed_to and not self._trimming and self._closing is None:
            self._trimming = True
            self._jobs.put(_Trim(self._trim_wanted))

    async def close(self) -> None:
        """Commit what waits, then close the file."""
        self._closing = asyncio.Event()
        self._advance()
        if self.waiting:
            await self._closing.wait()
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _advance(self) -> None:
        """Give the writer the oldest batch, if it is free and it is time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing:
            return
        if not self.waiting:
            if self._closing is not None:
                self._closing.set()
            return
        delay_s = self._next_commit_s - time.monotonic()
        batch = self.waiting[0]
        if delay_s > 0 and not batch.sealed and self._closing is None:
            self._timer = self._loop.call_later(delay_s, self._advance)
            return
        self._writing = batch.sealed = True
        self._jobs.put(batch)

    def _committed(self, batch: Batch[T]) -> None:
        self._writing = False
        self._next_commit_s = time.monotonic() + self._commit_interval_s
        self.waiting.popleft()
        if batch.error is None:
            self.bytes += BATCH_OVERHEAD_BYTES
            if self.oldest_ms is None:
                self.oldest_ms = time.time_ns() // 1_000_000 - int((time.monotonic() - batch.since_s) * 1000)
        else:
            self.bytes -= batch.bytes
            self.failed_bytes -= batch.failed_bytes
        self._report(batch.error)
        try:
            self._on_committed(batch)
        finally:
            self._advance()

    def _trimmed(self, trim: _Trim) -> None:
        self._trimming = False
        if trim.done_to:
            self.bytes -= trim.freed_bytes
            self.failed_bytes -= trim.freed_failed_bytes
            self._trimmed_to = trim.done_to
            self.oldest_ms = trim.oldest_ms
            self.trim(self._trim_wanted)

    def _report(self, error: GatewayError | None) -> None:
        """Log when committing begins to fail and when it works again, not at each batch."""
        if error is not None and not self.trouble:
            _log.error("uplinks are answered 5.03: %s; %s", error.message, error.hint)
        elif error is None and self.trouble:
            _log.warning("%s can be written again", self._path)
        self.trouble = "" if error is None else error.message

    # -- the writer's thread ---------------------------------------------------------------------

    def _write(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, _Trim):
                self._delete(job)
                self._tell(self._trimmed, job)
            else:
                job.error = self._insert(job)
                self._tell(self._committed, job)
        self._connection.close()

    def _tell(self, callback: Callable[[Any], None], job: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, job)
        except RuntimeError:  # the loop is gone: the process ends, and nobody waits any more
            _log.debug("%s: the loop ended before the writer", self._path.name)

    def _insert(self, batch: Batch[T]) -> GatewayError | None:
        body = b"[" + b",".join(batch.texts) + b"]"
        try:
            with sqlite_errors(self._path):
                self._connection.execute(
                    "INSERT INTO batches (bytes, failed_bytes, uplinks, body) VALUES (?, ?, ?, ?)",
                    (batch.bytes + BATCH_OVERHEAD_BYTES, batch.failed_bytes, len(batch.tickets), body),
                )
        except GatewayError as error:
            return error
        return None

    def _delete(self, trim: _Trim) -> None:
        try:
            with sqlite_errors(self._path), transaction(self._connection):
                rows = self._connection.execute(
                    "SELECT id, bytes, failed_bytes FROM batches WHERE id <= ? ORDER BY id LIMIT ?",
                    (trim.up_to, TRIM_BATCHES),
                ).fetchall()
                if rows:
                    self._connection.execute("DELETE FROM batches WHERE id <= ?", (rows[-1][0],))
                trim.oldest_ms = oldest_received_ms(self._connection)
        except GatewayError as error:
            _log.warning("the spool could not be trimmed, it will be tried again: %s", error.message)
            return
        trim.freed_bytes = sum(size for _, size, _ in rows)
        trim.freed_failed_bytes = sum(size for _, _, size in rows)
        trim.done_to = rows[-1][0] if len(rows) == TRIM_BATCHES else trim.up_to


def prepare_spool(path: Path) -> None:
    """Make a spool, or bring one of an older version up to date, before anyone reads it."""
    open_database(path, migrations=MIGRATIONS, page_bytes=PAGE_BYTES).close()


def continue_after(path: Path, position: int) -> None:
    """Have a spool number its next batches behind `position`, up to which they have been delivered already.

    A spool that was restored from a backup would otherwise use those numbers again, and nobody would deliver them.
    To be called before its worker starts.
    """
    connection = open_database(path, migrations=MIGRATIONS)
    try:
        with sqlite_errors(path), transaction(connection):
            continue_table_after(connection, "batches", position)
    finally:
        connection.close()


def empty_unused_spool(path: Path, up_to: int) -> None:
    """Delete what every sink has from a spool whose worker is no more.

    The file stays: its batch numbers must go on where they ended should there be such a worker again.
    """
    connection = open_database(path, migrations=MIGRATIONS)
    try:
        with sqlite_errors(path):
            connection.execute("DELETE FROM batches WHERE id <= ?", (up_to,))
    finally:
        connection.close()
