"""What sinks remember: how far each got in each spool, and what their receivers told devices. `sinks.db`.

The supervisor alone writes it. It is no part of `devices.db` because a sink records its position many times a second,
and would wait there for the device view's long transactions. A position that is lost with the power is no loss: what
was delivered behind it is delivered again.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from gateway.model import JsonValue
from gateway.storage.database import open_database, sqlite_errors, transaction
from gateway.storage.store_view import StoreView

FILE_NAME: Final = "sinks.db"
"""The file in the data directory."""

MIGRATIONS: Final = (
    """
    CREATE TABLE positions (
        sink   TEXT NOT NULL,
        spool  TEXT NOT NULL,
        batch  INTEGER NOT NULL,  -- the sink has all batches before this one,
        number INTEGER NOT NULL,  -- and so many of its reports
        PRIMARY KEY (sink, spool)
    ) WITHOUT ROWID;

    CREATE TABLE shared_attributes (
        device TEXT NOT NULL,
        key    TEXT NOT NULL,
        ts     INTEGER NOT NULL,
        value  TEXT NOT NULL,
        PRIMARY KEY (device, key)
    ) WITHOUT ROWID;

    CREATE TABLE rpcs (
        device  TEXT NOT NULL PRIMARY KEY,
        ts      INTEGER NOT NULL,
        request TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
)

MOST_ROWS: Final = 100_000
"""Most shared attributes, and most remote procedure calls, that are kept; the oldest go first."""

_TRIM_EVERY: Final = 1000


class Position(NamedTuple):
    """How far a sink got in a spool: it has all batches before this one, and the first `number` reports of this one."""

    batch: int
    number: int

    @property
    def begun(self) -> int:
        """The last batch that it has anything of."""
        return self.batch if self.number else self.batch - 1


class DownlinkValue(NamedTuple):
    """What ThingsBoard sent for a device."""

    ts: int
    """When it was received, in milliseconds since 1970."""
    value: JsonValue


class SinkStore:
    """One sink's view of `sinks.db`; for one thread.

    Raises ConfigurationError where the file can't be used; every method UnavailableError where the disk is full or
    fails, and has then changed nothing.
    """

    def __init__(self, data_dir: Path, sink: str) -> None:
        self._path = data_dir / FILE_NAME
        self._sink = sink
        self._kept = 0
        self._connection = open_database(self._path, migrations=MIGRATIONS, check_same_thread=False)

    def positions(self) -> dict[str, Position]:
        """By spools' identities."""
        with sqlite_errors(self._path):
            return _positions(self._connection, self._sink)

    def try_out(self) -> None:
        """Write something that changes nothing. Raises what `record` would raise."""
        with sqlite_errors(self._path):
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def record(self, positions: Mapping[str, Position]) -> None:
        """Remember how far the sink got in these spools."""
        rows = [(self._sink, spool, position.batch, position.number) for spool, position in positions.items()]
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO positions (sink, spool, batch, number) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (sink, spool) DO UPDATE SET batch = excluded.batch, number = excluded.number",
                rows,
            )

    def keep_shared_attributes(self, device: str, values: Mapping[str, JsonValue], received_ms: int) -> None:
        """Remember shared attributes of a device; the last ones count."""
        rows = [(device, key, received_ms, orjson.dumps(value).decode()) for key, value in values.items()]
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO shared_attributes (device, key, ts, value) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (device, key) DO UPDATE SET ts = excluded.ts, value = excluded.value",
                rows,
            )
            self._trim(len(rows))

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """Remember a device's last remote procedure call."""
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO rpcs (device, ts, request) VALUES (?, ?, ?) "
                "ON CONFLICT (device) DO UPDATE SET ts = excluded.ts, request = excluded.request",
                (device, received_ms, orjson.dumps(request).decode()),
            )
            self._trim(1)

    def _trim(self, kept: int) -> None:
        self._kept += kept
        if self._kept < _TRIM_EVERY:
            return
        self._kept = 0
        for table, key in (("shared_attributes", "device, key"), ("rpcs", "device")):
            ((rows,),) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            if rows > MOST_ROWS:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} ORDER BY ts LIMIT ?)",
                    (rows - MOST_ROWS,),
                )

    def close(self) -> None:
        """Close the file. Nothing may be called afterwards."""
        with sqlite_errors(self._path):
            self._connection.close()


class SinkView(StoreView):
    """Reads `sinks.db`, also while the gateway writes it; for one thread. Where there is none yet, nothing is in it."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / FILE_NAME, MIGRATIONS)

    def positions(self, sink: str) -> dict[str, Position]:
        """How far a sink got, by spools' identities."""
        with self._reading() as connection:
            return {} if connection is None else _positions(connection, sink)

    def shared_attributes(self, device: str) -> dict[str, DownlinkValue]:
        """The shared attributes that ThingsBoard set for a device."""
        with self._reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute(
                "SELECT key, ts, value FROM shared_attributes WHERE device = ? ORDER BY key", (device,)
            ).fetchall()
        return {key: DownlinkValue(ts, orjson.loads(value)) for key, ts, value in rows}

    def rpc(self, device: str) -> DownlinkValue | None:
        """The last remote procedure call that ThingsBoard made for a device."""
        with self._reading() as connection:
            if connection is None:
                return None
            rows = connection.execute("SELECT ts, request FROM rpcs WHERE device = ?", (device,)).fetchall()
        return DownlinkValue(rows[0][0], orjson.loads(rows[0][1])) if rows else None


def _positions(connection: sqlite3.Connection, sink: str) -> dict[str, Position]:
    rows = connection.execute("SELECT spool, batch, number FROM positions WHERE sink = ?", (sink,)).fetchall()
    return {spool: Position(batch, number) for spool, batch, number in rows}
