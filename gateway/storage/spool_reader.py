"""What other processes see of a worker's spool: what it has committed, in order."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gateway.model import Delivery, StoredReport
from gateway.storage import failed_uplinks
from gateway.storage.database import open_database, sqlite_errors
from gateway.storage.spool import MIGRATIONS


class Waiting(NamedTuple):
    """What waits behind a position."""

    uplinks: int
    bytes: int
    oldest_ms: int | None
    """When the oldest of them was received, in milliseconds since 1970; None where nothing waits."""


class BatchReader:
    """Reads a table of batches, beside whoever writes it. One thread at a time."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        table: str = "batches",
        identity: str = "identity",
        only: str = "TRUE",
        parameters: tuple[str, ...] = (),
    ) -> None:
        """`only` is a condition that batches must fulfil, with its `parameters`; a position passes by all others.

        Raises NotFoundError where there is no such file yet, ConfigurationError where it can't be read.
        """
        self._path = path
        self._where = f"{table} WHERE {only} AND id"
        self._parameters = parameters
        self._connection: sqlite3.Connection = open_database(
            path, migrations=migrations, read_only=True, check_same_thread=False
        )
        with sqlite_errors(path):
            ((found,),) = self._connection.execute(f"SELECT id FROM {identity}").fetchall()
        self.identity: str = found
        """Names this very table: a sink's position is of no use to another one that took its place."""

    def head(self) -> int:
        """The id of the batch that was committed last, of those that are still there; 0 where there is none."""
        with sqlite_errors(self._path):
            ((last,),) = self._connection.execute(
                f"SELECT coalesce(max(id), 0) FROM {self._where} > 0", self._parameters
            ).fetchall()
        return int(last)

    def read(self, *, after: int, max_batches: int, max_bytes: int) -> list[Delivery]:
        """The batches behind `after`, in order; at least one if there is any, however large."""
        with sqlite_errors(self._path):
            sizes = self._connection.execute(
                f"SELECT id, bytes FROM {self._where} > ? ORDER BY id LIMIT ?", (*self._parameters, after, max_batches)
            ).fetchall()
            if not sizes:
                return []
            last, total = after, 0
            for batch_id, size in sizes:
                total += size
                if total > max_bytes and last != after:
                    break
                last = batch_id
            rows = self._connection.execute(
                f"SELECT id, body FROM {self._where} > ? AND id <= ? ORDER BY id", (*self._parameters, after, last)
            ).fetchall()
        return [_delivery(batch_id, orjson.loads(body)) for batch_id, body in rows]

    def waiting(self, *, after: int) -> Waiting:
        """What there is behind `after`; reads no bodies but the first."""
        with sqlite_errors(self._path):
            ((uplinks, size),) = self._connection.execute(
                f"SELECT coalesce(sum(uplinks), 0), coalesce(sum(bytes), 0) FROM {self._where} > ?",
                (*self._parameters, after),
            ).fetchall()
            first = self._connection.execute(
                f"SELECT body FROM {self._where} > ? ORDER BY id LIMIT 1", (*self._parameters, after)
            ).fetchall()
        return Waiting(uplinks, size, int(orjson.loads(first[0][0])[0][1]) if first else None)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class SpoolReader(BatchReader):
    """Another process's view of a spool."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MIGRATIONS)


def _delivery(batch_id: int, records: list[Any]) -> Delivery:
    reports = [StoredReport(*record) for record in records if record[3] != failed_uplinks.FAILED]
    if len(reports) == len(records):
        return Delivery(batch_id, reports)
    failed = [failed_uplinks.decode(record) for record in records if record[3] == failed_uplinks.FAILED]
    return Delivery(batch_id, reports, failed)
