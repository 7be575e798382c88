"""Debug events on disk: `events.db`, written by the supervisor alone.

A file of its own, apart from `devices.db`: events may be lost, and must not make anyone wait who can't. Their keeper
commits without waiting for the disk, and whoever looks at events (`gateway events`, `gateway tap`) reads the file.
"""

from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.storage.database import open_database, sqlite_errors, transaction
from gateway.storage.store_view import StoreView

FILE_NAME: Final = "events.db"
"""The file of the events in the data directory."""

MIGRATIONS: Final = (
    """
    CREATE TABLE events (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: who follows remembers the last one
        integration TEXT NOT NULL,
        ts          INTEGER NOT NULL,
        failed      INTEGER NOT NULL,
        body        BLOB NOT NULL  -- JSON: gateway.debugging.DebugEvents
    );

    CREATE INDEX events_by_integration ON events (integration, id);
    """,
)

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one uplink."""

    id: int
    integration: str
    ts: int
    """When it was received, in milliseconds since 1970."""
    peer: str
    """The device's address."""
    principal: str | None
    payload: bytes
    """Its beginning, where it was very long."""
    payload_bytes: int
    """Its whole length."""
    metadata: dict[str, str]
    out: str | None
    """What the decoder returned, as JSON text that may be cut; None where it returned nothing that can be shown."""
    error: str | None
    duration_us: int
    """What the decoder took, in microseconds."""
    names: tuple[str, ...]
    """The devices and assets that were written."""


class EventStore:
    """The events of all workers; one writing process, one thread at a time.

    Raises ConfigurationError where the file can't be used; its methods raise UnavailableError where the disk is full or
    fails, and have then changed nothing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._connection = open_database(self._path, migrations=MIGRATIONS, check_same_thread=False)
        self._grown: set[str] = set()

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Keep events, in the shape of `gateway.debugging.DebugEvents`."""
        rows = [(e["integration"], e["ts"], e["error"] is not None, orjson.dumps(e)) for e in events]
        with sqlite_errors(self._path), transaction(self._connection):
            self._connection.executemany("INSERT INTO events (integration, ts, failed, body) VALUES (?, ?, ?, ?)", rows)
        self._grown.update(row[0] for row in rows)

    def trim(self, *, rows: int, now_ms: int, days: int) -> None:
        """Delete what is older than `days`, and the oldest of each integration that has more than `rows`.

        Events come in nearly the order of their time, and the age of the file's first ones is looked at.
        """
        with sqlite_errors(self._path), transaction(self._connection):
            young = self._connection.execute(
                "SELECT id FROM events WHERE ts >= ? ORDER BY id LIMIT 1", (now_ms - days * _DAY_MS,)
            ).fetchall()
            self._connection.execute("DELETE FROM events WHERE id < ?", (young[0][0] if young else 1 << 62,))
            for integration in self._grown:
                self._connection.execute(
                    "DELETE FROM events WHERE integration = :name AND id <= "
                    "(SELECT id FROM events WHERE integration = :name ORDER BY id DESC LIMIT 1 OFFSET :rows)",
                    {"name": integration, "rows": rows},
                )
        self._grown.clear()

    def close(self) -> None:
        """Close the file. Nothing may be called afterwards."""
        with sqlite_errors(self._path):
            self._connection.close()


class EventView(StoreView):
    """Reads the events of a data directory, also while they are written; for one thread.

    Every method raises ConfigurationError where the file can't be read. Where there is none yet, there are no events.
    """

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / FILE_NAME, MIGRATIONS)

    def newest(self, integration: str, *, limit: int, failed_only: bool = False) -> list[Event]:
        """The last `limit` events of an integration, the oldest of them first."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                "SELECT id, body FROM events WHERE integration = ? AND failed >= ? ORDER BY id DESC LIMIT ?",
                (integration, failed_only, limit),
            ).fetchall()
        return [_event(*row) for row in reversed(rows)]

    def page(
        self, *, integration: str | None = None, failed_only: bool = False, after: int = 0, before: int, limit: int
    ) -> list[Event]:
        """Events behind the id `after` and in front of the id `before`, the newest first: at most `limit`."""
        where = "" if integration is None else "AND integration = ?"
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                f"SELECT id, body FROM events WHERE id > ? AND id < ? {where} AND failed >= ? ORDER BY id DESC LIMIT ?",
                (after, before, *(() if integration is None else (integration,)), failed_only, limit),
            ).fetchall()
        return [_event(*row) for row in rows]

    def after(self, id: int, *, limit: int) -> list[Event]:
        """The first `limit` events behind that id."""
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(
                "SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?", (id, limit)
            ).fetchall()
        return [_event(*row) for row in rows]

    def last_id(self) -> int:
        """The id of the last event; 0 where there was none yet."""
        with self._reading() as connection:
            if connection is None:
                return 0
            ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchall()
        return int(last)


def _event(id: int, body: bytes) -> Event:
    fields = orjson.loads(body)
    return Event(
        id=id,
        integration=fields["integration"],
        ts=fields["ts"],
        peer=fields["peer"],
        principal=fields["principal"],
        payload=a2b_base64(fields["payload"]),
        payload_bytes=fields["payload_bytes"],
        metadata=orjson.loads(fields["metadata"]),
        out=fields["out"],
        error=fields["error"],
        duration_us=fields["duration_us"],
        names=tuple(fields["names"]),
    )
