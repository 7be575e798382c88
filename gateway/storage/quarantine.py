"""The quarantine: uplinks that a converter failed on, and reports that a sink's receiver refused.

They stay until they are replayed or deleted.

Its layout: `device_schema.py`.

`add`, `add_refused` and `remove` belong inside a transaction of the device store, which is the one writer; everybody
else has a `QuarantineView`.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from gateway.errors import NotFoundError
from gateway.model import FailedUplink, StoredReport
from gateway.storage import failed_uplinks
from gateway.storage.device_schema import FILE_NAME, MIGRATIONS
from gateway.storage.store_view import StoreView

ROW_OVERHEAD_BYTES: Final = 64
"""What an uplink takes in the file besides its payload, metadata and error, roughly."""

_STEP: Final = 1000
"""How many of the oldest are looked at in one go."""


@dataclass(frozen=True, slots=True)
class QuarantinedUplink:
    """An uplink in the quarantine."""

    id: int
    uplink: FailedUplink
    """Of a refused report, the report as JSON stands where the payload does."""
    sink: str | None = None
    """The sink whose receiver refused a report; None: a converter failed on an uplink."""

    @property
    def report(self) -> StoredReport:
        """The report that was refused. Raises ValueError where it is an uplink."""
        if self.sink is None:
            raise ValueError("it is an uplink")
        return StoredReport(*orjson.loads(self.uplink.payload))


def add(connection: sqlite3.Connection, failed: Sequence[FailedUplink], *, rows: int, bytes: int) -> int:
    """Keep uplinks, within the bounds; gives how many had to go or could not come in, the oldest first."""
    dropped = sum(not _insert(connection, uplink, most_bytes=bytes) for uplink in failed)
    return dropped + _trim(connection, rows=rows, bytes=bytes)


def add_refused(
    connection: sqlite3.Connection, report: StoredReport, *, sink: str, reason: str, rows: int, bytes: int
) -> int:
    """Keep a report that a sink's receiver refused, within the bounds; gives as many as `add` does."""
    body = orjson.dumps(tuple(report))
    uplink = FailedUplink(report.integration, report.received_ms, None, body, {}, reason)
    dropped = 0 if _insert(connection, uplink, most_bytes=bytes, sink=sink) else 1
    return dropped + _trim(connection, rows=rows, bytes=bytes)


def _insert(connection: sqlite3.Connection, uplink: FailedUplink, *, most_bytes: int, sink: str | None = None) -> bool:
    """Whether it could come in: one that is too long would drive out all others, and then itself."""
    principal = failed_uplinks.principal_fields(uplink.principal)
    metadata = orjson.dumps(dict(uplink.metadata)).decode()
    size = len(uplink.payload) + len(metadata) + len(uplink.error) + ROW_OVERHEAD_BYTES
    if size > most_bytes:
        return False
    connection.execute(
        "INSERT INTO quarantine (integration, received_ms, bytes, error, principal, metadata, payload, sink) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            uplink.integration,
            uplink.received_ms,
            size,
            uplink.error,
            None if principal is None else orjson.dumps(principal).decode(),
            metadata,
            uplink.payload,
            sink,
        ),
    )
    return True


def sink_of(connection: sqlite3.Connection, id: int) -> str | None:
    """The sink that refused this report; None also where there is no such."""
    rows = connection.execute("SELECT sink FROM quarantine WHERE id = ?", (id,)).fetchall()
    return rows[0][0] if rows else None


def remove(connection: sqlite3.Connection, ids: Sequence[int]) -> list[int]:
    """Forget these; gives the ids of those that were there."""
    return [id for id in ids if connection.execute("DELETE FROM quarantine WHERE id = ?", (id,)).rowcount]


def _trim(connection: sqlite3.Connection, *, rows: int, bytes: int) -> int:
    """Delete the oldest beyond the bounds; gives how many."""
    ((uplinks, size),) = connection.execute("SELECT uplinks, bytes FROM quarantine_size").fetchall()
    deleted = 0
    while uplinks > rows or size > bytes:
        oldest = connection.execute("SELECT id, bytes FROM quarantine ORDER BY id LIMIT ?", (_STEP,)).fetchall()
        last = 0
        for id, bytes_freed in oldest:
            if uplinks <= rows and size <= bytes:
                break
            last, uplinks, size = id, uplinks - 1, size - bytes_freed
        deleted += connection.execute("DELETE FROM quarantine WHERE id <= ?", (last,)).rowcount
    return deleted


class QuarantineView(StoreView):
    """Reads the quarantine of a data directory, also while another process writes it; for one thread.

    Every method raises ConfigurationError where the file can't be read. Where there is none yet, nothing is in it.
    """

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / FILE_NAME, MIGRATIONS)

    def uplinks(
        self, *, integration: str | None = None, after: int = 0, limit: int = 1000, bytes: int = 1 << 30
    ) -> list[QuarantinedUplink]:
        """Those behind the id `after`, the oldest first: at most `limit`, and where there are any at least one, but not
        more than `bytes` in all.
        """
        where, parameters = ("AND integration = ?", (integration,)) if integration is not None else ("", ())
        with self._reading() as connection:
            if connection is None:
                return []
            sizes = connection.execute(
                f"SELECT id, bytes FROM quarantine WHERE id > ? {where} ORDER BY id LIMIT ?",
                (after, *parameters, limit),
            ).fetchall()
            last, total = after, 0
            for id, size in sizes:
                total += size
                if total > bytes and last != after:
                    break
                last = id
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM quarantine WHERE id > ? AND id <= ? {where} ORDER BY id",
                (after, last, *parameters),
            ).fetchall()
        return [_uplink(row) for row in rows]

    def uplink(self, id: int) -> QuarantinedUplink:
        """The one with this id; raises NotFoundError."""
        with self._reading() as connection:
            rows = []
            if connection is not None and abs(id) < 1 << 63:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?", (id,)).fetchall()
        if not rows:
            raise NotFoundError(
                f"there is no uplink {id} in the quarantine", hint="see which there are: gateway quarantine list"
            )
        return _uplink(rows[0])

    def last_id(self) -> int:
        """The id of the one that came last; 0 where there is none."""
        with self._reading() as connection:
            if connection is None:
                return 0
            ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM quarantine").fetchall()
        return int(last)

    def size(self, *, integration: str | None = None) -> int:
        """How many uplinks there are."""
        with self._reading() as connection:
            if connection is None:
                return 0
            if integration is None:
                ((uplinks,),) = connection.execute("SELECT uplinks FROM quarantine_size").fetchall()
            else:
                ((uplinks,),) = connection.execute(
                    "SELECT count(*) FROM quarantine WHERE integration = ?", (integration,)
                ).fetchall()
        return int(uplinks)


_COLUMNS: Final = "id, integration, received_ms, error, principal, metadata, payload, sink"


def _uplink(row: sqlite3.Row) -> QuarantinedUplink:
    id, integration, received_ms, error, principal, metadata, payload, sink = row
    who = failed_uplinks.principal_of(None if principal is None else orjson.loads(principal))
    uplink = FailedUplink(integration, received_ms, who, payload, orjson.loads(metadata), error)
    return QuarantinedUplink(id, uplink, sink)
