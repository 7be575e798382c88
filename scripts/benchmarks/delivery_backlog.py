"""What the benchmark of delivery delivers: spools as a worker leaves them, and how far a sink got in one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson

from gateway.model import StoredReport
from gateway.storage.database import open_database, transaction
from gateway.storage.device_schema import FILE_NAME as DEVICES_FILE
from gateway.storage.sink_store import FILE_NAME as SINKS_FILE
from gateway.storage.spool import BATCH_OVERHEAD_BYTES, MIGRATIONS, PAGE_BYTES, spool_path

BATCH = 512
"""Records in a batch, as of a worker under full load."""

DEVICES = 1000
RECEIVED_MS = 1_700_000_000_000
RECORDS_PER_MS = 50

_BATCHES_A_COMMIT = 64


def reports(first: int, count: int) -> list[StoredReport]:
    """The tutorial's report of a thousand devices in turn."""
    found = []
    for number in range(first, first + count):
        at_ms = RECEIVED_MS + number // RECORDS_PER_MS
        telemetry = [(at_ms, {"temperature": 25.7, "humidity": 69})]
        name = f"SN-{number % DEVICES:03}"
        found.append(StoredReport("bench", at_ms, None, "device", name, "default", None, None, {}, telemetry))
    return found


def fill(data_dir: Path, first: int, batches: int) -> None:
    """Put batches into the spool of a worker that is idle, whose gateway stands still or can't deliver.

    `first` is the number of records that were put there before.
    """
    path = spool_path(data_dir, 0)
    with closing(open_database(path, migrations=MIGRATIONS, page_bytes=PAGE_BYTES)) as connection:
        for begin in range(0, batches, _BATCHES_A_COMMIT):
            with transaction(connection):
                connection.executemany(
                    "INSERT INTO batches (bytes, uplinks, body) VALUES (?, ?, ?)",
                    _rows(first + begin * BATCH, min(_BATCHES_A_COMMIT, batches - begin)),
                )


def _rows(first: int, batches: int) -> Iterator[tuple[int, int, bytes]]:
    for number in range(batches):
        body = orjson.dumps([tuple(report) for report in reports(first + number * BATCH, BATCH)])
        yield len(body) + BATCH_OVERHEAD_BYTES, BATCH, body


class Progress:
    """How many records of the spool a sink and the device view have. Asks the files: asking the gateway costs it."""

    def __init__(self, data_dir: Path) -> None:
        self._sinks = _read_only(data_dir / SINKS_FILE)
        self._devices = _read_only(data_dir / DEVICES_FILE)

    @property
    def delivered(self) -> int:
        """By the sink."""
        rows = self._sinks.execute("SELECT batch, number FROM positions WHERE sink = 'thingsboard'").fetchall()
        return max(((batch - 1) * BATCH + number for batch, number in rows), default=0)

    @property
    def viewed(self) -> int:
        """By the device view."""
        rows = self._devices.execute("SELECT batch FROM positions").fetchall()
        return max((batch * BATCH for (batch,) in rows), default=0)

    def close(self) -> None:
        """Close the files."""
        self._sinks.close()
        self._devices.close()


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
