"""Another process's view of a spool: what its worker has committed, in order."""

import sqlite3
from pathlib import Path
from typing import Any

import orjson

from gateway.model import Delivery, StoredReport
from gateway.storage import failed_uplinks
from gateway.storage.database import open_database, sqlite_errors
from gateway.storage.spool import MIGRATIONS


class SpoolReader:
    """Another process's view of a spool."""

    def __init__(self, path: Path) -> None:
        """Raises NotFoundError where there is no spool yet, ConfigurationError where it can't be read."""
        self._path = path
        self._connection: sqlite3.Connection = open_database(
            path, migrations=MIGRATIONS, read_only=True, check_same_thread=False
        )
        with sqlite_errors(path):
            ((identity,),) = self._connection.execute("SELECT id FROM identity").fetchall()
        self.identity: str = identity
        """Names this very file: a sink's position is of no use to another one that took its place."""

    def read(self, *, after: int, max_batches: int, max_bytes: int) -> list[Delivery]:
        """The batches behind `after`, in order; at least one if there is any, however large."""
        with sqlite_errors(self._path):
            sizes = self._connection.execute(
                "SELECT id, bytes FROM batches WHERE id > ? ORDER BY id LIMIT ?", (after, max_batches)
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
                "SELECT id, body FROM batches WHERE id > ? AND id <= ? ORDER BY id", (after, last)
            ).fetchall()
        return [_delivery(batch_id, orjson.loads(body)) for batch_id, body in rows]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _delivery(batch_id: int, records: list[Any]) -> Delivery:
    reports = [StoredReport(*record) for record in records if record[3] != failed_uplinks.FAILED]
    if len(reports) == len(records):
        return Delivery(batch_id, reports)
    failed = [failed_uplinks.decode(record) for record in records if record[3] == failed_uplinks.FAILED]
    return Delivery(batch_id, reports, failed)
