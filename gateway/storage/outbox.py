"""The outbox: reports that come out of the quarantine, on their way to the sinks. A table of `devices.db`.

It looks like one more spool. It is here because what leaves the quarantine must enter it in the same transaction.
The device view is no reader of it: it gets replayed reports in that transaction, too.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson

from gateway.model import StoredReport
from gateway.storage.device_schema import FILE_NAME, MIGRATIONS
from gateway.storage.spool_reader import BatchReader

_MOST_REPORTS: Final = 512


def add(connection: sqlite3.Connection, reports: Sequence[StoredReport], *, sink: str | None) -> None:
    """Put reports in, for one sink or for all of them (None). To be called in a transaction."""
    for start in range(0, len(reports), _MOST_REPORTS):
        batch = reports[start : start + _MOST_REPORTS]
        body = orjson.dumps([tuple(report) for report in batch])
        connection.execute(
            "INSERT INTO outbox (bytes, uplinks, sink, body) VALUES (?, ?, ?, ?)", (len(body), len(batch), sink, body)
        )


def trim(connection: sqlite3.Connection, *, done: Mapping[str, int]) -> None:
    """Delete what sinks have; `done` has for each of them the batch up to which it has its own."""
    for sink, batch in done.items():
        connection.execute("DELETE FROM outbox WHERE sink = ? AND id <= ?", (sink, batch))
    if done:
        connection.execute("DELETE FROM outbox WHERE sink IS NULL AND id <= ?", (min(done.values()),))
    else:
        connection.execute("DELETE FROM outbox WHERE sink IS NULL")  # nobody waits for it


class OutboxReader(BatchReader):
    """What is in the outbox for one sink."""

    def __init__(self, data_dir: Path, *, sink: str) -> None:
        """Raises NotFoundError where there is no device store yet."""
        super().__init__(
            data_dir / FILE_NAME,
            MIGRATIONS,
            table="outbox",
            identity="outbox_identity",
            only="(sink IS NULL OR sink = ?)",
            parameters=(sink,),
        )
