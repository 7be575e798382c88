"""Spools as workers write them, without the workers."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import orjson

from gateway.model import StoredReport
from gateway.storage import failed_uplinks
from gateway.storage.spool import prepare_spool, spool_path

from .records import record


def stored(name: str, received_ms: int, **values: object) -> StoredReport:
    """A report of a device, received then."""
    return record(name=name, received_ms=received_ms, telemetry=[(received_ms, values or {"t": 1})]).report


def failed(received_ms: int) -> tuple[object, ...]:
    """An uplink that a converter failed on, as it stands in a spool."""
    return tuple(orjson.loads(failed_uplinks.encode("demo", received_ms, None, b"x", {}, "no such device")))


class Spools:
    """The spools of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def make(self, worker: int) -> None:
        """An empty one."""
        prepare_spool(spool_path(self.data_dir, worker))

    def commit(self, worker: int, records: Sequence[StoredReport | tuple[object, ...]]) -> int:
        """A batch; gives its id."""
        path = spool_path(self.data_dir, worker)
        if not path.exists():
            self.make(worker)
        body = orjson.dumps([tuple(one) for one in records])
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            cursor = connection.execute(
                "INSERT INTO batches (bytes, uplinks, body) VALUES (?, ?, ?)", (len(body), len(records), body)
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def delete(self, worker: int, up_to: int) -> None:
        """What a trim does."""
        with contextlib.closing(sqlite3.connect(spool_path(self.data_dir, worker))) as connection, connection:
            connection.execute("DELETE FROM batches WHERE id <= ?", (up_to,))
