"""The device store: what the spools' reports add up to. `devices.db`, written by one process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson

from gateway.model import Delivery, JsonValue, StoredReport
from gateway.storage import history, outbox, quarantine
from gateway.storage.database import continue_table_after, open_database, sqlite_errors, transaction
from gateway.storage.device_schema import FILE_NAME, MIGRATIONS
from gateway.storage.history import TIME_MAX_MS
from gateway.storage.update_only import UpdateOnly, changed_attributes, changed_telemetry

CACHE_ENTRIES: Final = 500_000
"""Most devices and telemetry keys, together, whose ids are kept in memory; some 200 bytes each."""

_PAGE_CACHE_KIB: Final = 32 << 10
_CHECKPOINT_PAGES: Final = 4_000  # 16 MB: a page that changes in every commit is written back once for many
_DAY_MS: Final = 86_400_000
_SLACK: Final = 32  # the fraction of its age that history may be trimmed late by, so that much goes at once

_UPSERT_SEEN: Final = """
    INSERT INTO device_seen (device, first_ms, last_ms, principal) VALUES (?, ?, ?, ?)
    ON CONFLICT (device) DO UPDATE SET
        first_ms = min(first_ms, excluded.first_ms),
        principal = iif(excluded.last_ms >= last_ms, excluded.principal, principal),
        last_ms = max(last_ms, excluded.last_ms)
"""
_UPSERT_ATTRIBUTE: Final = """
    INSERT INTO attributes (device, key, ts, value) VALUES (?, ?, ?, ?)
    ON CONFLICT (device, key) DO UPDATE SET ts = excluded.ts, value = excluded.value WHERE excluded.ts >= ts
"""
_UPSERT_LATEST: Final = """
    INSERT INTO latest (series, ts, value) VALUES (?, ?, ?)
    ON CONFLICT (series) DO UPDATE SET ts = excluded.ts, value = excluded.value WHERE excluded.ts >= ts
"""


class _Device:
    """A device as the store knows it, and what the current call of `apply` has to say of it."""

    __slots__ = ("customer", "first_ms", "group", "id", "last_ms", "principal", "series", "touched")

    def __init__(self, id: int, customer: str | None, group: str | None, series: dict[str, int]) -> None:
        self.id = id
        self.customer = customer
        self.group = group
        self.series = series
        """Telemetry key → id."""
        self.touched = 0
        """The call of `apply` that the next three are of."""
        self.first_ms = 0
        self.last_ms = 0
        self.principal: str | None = None


class _Changes:
    """What one call of `apply` writes: per row the last word only, but every sample of the history."""

    __slots__ = ("attributes", "devices", "latest", "moved", "samples")

    def __init__(self) -> None:
        self.devices: list[_Device] = []
        self.moved: dict[int, _Device] = {}
        """Devices whose customer or group changed, by id."""
        self.attributes: dict[tuple[int, str], tuple[int, str, int, str]] = {}
        self.latest: dict[int, tuple[int, int, str]] = {}
        """The newest sample of each series, by its id."""
        self.samples: list[tuple[int, int, str]] = []
        """(series, ts in milliseconds, value as JSON)"""


class DeviceStore:
    """Devices and assets with their attributes, latest telemetry and history; one writing process.

    May be handed from thread to thread, but two calls must not overlap. Memory: the page cache (32 MiB) and
    the ids of at most `CACHE_ENTRIES` devices and telemetry keys.

    Raises ConfigurationError for a data directory that can't be written, a file that is damaged or not a
    database, and a schema newer than this version of the gateway. Every method raises UnavailableError where
    the disk is full or fails, and has then changed nothing; it may be called again.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        keep_history: bool = True,
        quarantine_rows: int = 10_000,
        quarantine_bytes: int = 64 << 20,
    ) -> None:
        self._path = data_dir / FILE_NAME
        self._quarantine_rows = quarantine_rows
        self._quarantine_bytes = quarantine_bytes
        self._keep_history = keep_history
        self.update_only: UpdateOnly = {}
        """Which keys are written only where their value changes; may be set between two calls."""
        # A spool is trimmed up to the position here. So a commit must survive a power failure, or reports
        # that were acknowledged would be in neither file.
        self._connection = open_database(self._path, migrations=MIGRATIONS, synchronous="FULL", check_same_thread=False)
        self._devices: dict[tuple[str, str], _Device] = {}
        self._cached = 0
        self._calls = 0
        try:
            self._recent_rows = self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> int:
        with sqlite_errors(self._path):
            self._connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").fetchall()
            return history.recent_rows(self._connection)

    def position(self, spool: str) -> int:
        """The id of the last batch of that spool that was applied; 0 at first."""
        with sqlite_errors(self._path):
            return self._position(spool)

    def apply(self, spool: str, deliveries: Sequence[Delivery]) -> int:
        """Add reports and move the spool's position behind them in one transaction: all of it or nothing.

        Deliveries are in the order of their batch ids; those at or below the position are skipped. A device
        keeps the type of its first report, takes customer and group from each report that gives them, and its
        principal from the report that was received last. An attribute has the value that was received last,
        a telemetry key's latest value is the one of the greatest time; what comes later wins between equals.
        Several deliveries in one call cost less than one by one.

        Of what `update_only` names, a value that stays the same leaves no trace (`gateway.storage.update_only`).

        Uplinks that a converter failed on go into the quarantine. Gives how many the quarantine's bounds kept out or
        drove out, the oldest first.
        """
        dropped = 0
        with self._changing():
            position = self._position(spool)
            new = [delivery for delivery in deliveries if delivery.batch_id > position]
            if new:
                self._write(self._gather(new))
                failed = [uplink for delivery in new for uplink in delivery.failed]
                if failed:
                    dropped = quarantine.add(
                        self._connection, failed, rows=self._quarantine_rows, bytes=self._quarantine_bytes
                    )
                self._connection.execute(
                    "INSERT INTO positions (spool, batch) VALUES (?, ?) "
                    "ON CONFLICT (spool) DO UPDATE SET batch = excluded.batch",
                    (spool, new[-1].batch_id),
                )
        return dropped

    def release(self, converted: Mapping[int, Sequence[StoredReport]]) -> list[int]:
        """Take out of the quarantine and add the reports that uplinks make after all, in one transaction.

        The sinks get them by the outbox. A report that one sink's receiver had refused goes to that sink alone: all
        others have it. Gives the ids of those that were there. The others add nothing: somebody else has taken them
        out.
        """
        with self._changing():
            sinks = {id: quarantine.sink_of(self._connection, id) for id in converted}
            released = quarantine.remove(self._connection, list(converted))
            for sink, ids in groupby(sorted(released, key=lambda id: sinks[id] or ""), key=sinks.__getitem__):
                reports = [report for id in ids for report in converted[id]]
                outbox.add(self._connection, reports, sink=sink)
                if reports and sink is None:
                    self._write(self._gather([Delivery(0, reports)]))
        return released

    def refuse(self, report: StoredReport, *, sink: str, reason: str) -> int:
        """Put a report that a sink's receiver refused into the quarantine; gives as many as `apply` does."""
        with self._changing():
            return quarantine.add_refused(
                self._connection,
                report,
                sink=sink,
                reason=reason,
                rows=self._quarantine_rows,
                bytes=self._quarantine_bytes,
            )

    @property
    def outbox_identity(self) -> str:
        """What sinks' positions in the outbox go by."""
        with sqlite_errors(self._path):
            ((identity,),) = self._connection.execute("SELECT id FROM outbox_identity").fetchall()
        return str(identity)

    def trim_outbox(self, done: Mapping[str, int]) -> None:
        """Delete from the outbox what sinks have: `gateway.storage.outbox.trim`."""
        with sqlite_errors(self._path):
            if not self._connection.execute("SELECT 1 FROM outbox LIMIT 1").fetchall():
                return
        with self._changing():
            outbox.trim(self._connection, done=done)

    def continue_outbox_after(self, position: int) -> None:
        """Have the outbox number its next batches behind `position`: see `gateway.storage.spool.continue_after`."""
        with self._changing():
            continue_table_after(self._connection, "outbox", position)

    def trim_history(self, *, now_ms: int, days: int, rows: int) -> int:
        """Delete samples older than `days`, and the oldest beyond `rows`; 0 days or 0 rows keep none.

        Deletes a bounded number of rows a call (`history.TRIM_ROWS`) and returns how many: where that is not 0,
        there may be more to do. A sample may stay longer than `days` by a thirty-second of it. The oldest
        beyond `rows` are those that arrived first; a point that was sent twice may count as two rows.
        """
        with self._changing():
            deleted = 0
            if days > 0:
                age_ms = days * _DAY_MS
                deleted = history.trim_by_age(self._connection, before_ms=now_ms - age_ms, slack_ms=age_ms // _SLACK)
            if not deleted:
                deleted = history.trim_by_rows(self._connection, keep=rows if days > 0 else 0)
            self._recent_rows = history.recent_rows(self._connection)
        return deleted

    def close(self) -> None:
        """Close the file. Nothing may be called afterwards."""
        with sqlite_errors(self._path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside a transaction ----------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A write transaction that also takes back what was cached, where it is rolled back."""
        recent_rows = self._recent_rows
        with sqlite_errors(self._path):
            try:
                with transaction(self._connection):
                    yield
            except BaseException:
                self._forget()
                self._recent_rows = recent_rows
                raise

    def _forget(self) -> None:
        self._devices.clear()
        self._cached = 0

    def _position(self, spool: str) -> int:
        rows = self._connection.execute("SELECT batch FROM positions WHERE spool = ?", (spool,)).fetchall()
        return int(rows[0][0]) if rows else 0

    def _gather(self, deliveries: Sequence[Delivery]) -> _Changes:
        """Go through the reports once; the hot loop of the supervisor, so it is kept flat."""
        if self._cached > CACHE_ENTRIES:
            self._forget()
        self._calls = call = self._calls + 1
        changes = _Changes()
        devices, latest, samples, dumps = self._devices, changes.latest, changes.samples, orjson.dumps
        connection, update_only = self._connection, self.update_only
        for delivery in deliveries:
            for report in delivery.reports:
                integration, received_ms, principal, kind, name, _, customer, group, attributes, telemetry = report
                device = devices.get((kind, name))
                if device is None:
                    device = self._load_device(report)
                if device.touched != call:
                    device.touched = call
                    device.first_ms = device.last_ms = received_ms
                    device.principal = principal
                    changes.devices.append(device)
                elif received_ms >= device.last_ms:
                    device.last_ms = received_ms
                    device.principal = principal
                elif received_ms < device.first_ms:
                    device.first_ms = received_ms
                if customer is not None or group is not None:
                    _move(device, customer, group, changes)
                if update_only and integration in update_only:
                    keys = update_only[integration]
                    attributes = changed_attributes(
                        connection, device.id, received_ms, attributes, keys, changes.attributes
                    )
                    telemetry = changed_telemetry(connection, device.series, telemetry, keys, latest)
                if attributes:
                    _gather_attributes(device, received_ms, attributes, changes)
                series = device.series
                for ts, values in telemetry:
                    if ts > TIME_MAX_MS:
                        ts = TIME_MAX_MS  # nonsense, but must not keep the reports behind it waiting
                    for key, value in values.items():
                        series_id = series.get(key) or self._new_series(device, key)
                        sample = (series_id, ts, dumps(value).decode())
                        samples.append(sample)
                        newest = latest.get(series_id)
                        if newest is None or ts >= newest[1]:
                            latest[series_id] = sample
        return changes

    def _write(self, changes: _Changes) -> None:
        many = self._connection.executemany
        many(_UPSERT_SEEN, [(d.id, d.first_ms, d.last_ms, d.principal) for d in changes.devices])
        if changes.moved:
            many(
                "UPDATE devices SET customer = ?, device_group = ? WHERE id = ?",
                [(device.customer, device.group, device.id) for device in changes.moved.values()],
            )
        if changes.attributes:
            many(_UPSERT_ATTRIBUTE, changes.attributes.values())
        many(_UPSERT_LATEST, changes.latest.values())
        if self._keep_history:
            history.append(self._connection, changes.samples)
            self._recent_rows += len(changes.samples)
            if self._recent_rows >= history.RUN_ROWS:
                history.sort_recent_into_run(self._connection)
                self._recent_rows = 0

    def _load_device(self, report: StoredReport) -> _Device:
        """The device of a report, from the file or new."""
        kind, name = report.kind, report.name
        rows = self._connection.execute(
            "SELECT id, customer, device_group FROM devices WHERE name = ? AND kind = ?", (name, kind)
        ).fetchall()
        if rows:
            ((id, customer, group),) = rows
            series = dict(self._connection.execute("SELECT key, id FROM series WHERE device = ?", (id,)).fetchall())
            device = _Device(id, customer, group, series)
        else:
            ((id,),) = self._connection.execute(
                "INSERT INTO devices (kind, name, folded_name, type) VALUES (?, ?, ?, ?) RETURNING id",
                (kind, name, name.casefold(), report.type),
            ).fetchall()
            device = _Device(id, None, None, {})
        self._devices[kind, name] = device
        self._cached += 1 + len(device.series)
        return device

    def _new_series(self, device: _Device, key: str) -> int:
        ((id,),) = self._connection.execute(
            "INSERT INTO series (device, key) VALUES (?, ?) RETURNING id", (device.id, key)
        ).fetchall()
        device.series[key] = id
        self._cached += 1
        return int(id)


def _move(device: _Device, customer: str | None, group: str | None, changes: _Changes) -> None:
    """Take over the customer and the group that a report gives."""
    moved = (device.customer if customer is None else customer, device.group if group is None else group)
    if moved != (device.customer, device.group):
        device.customer, device.group = moved
        changes.moved[device.id] = device


def _gather_attributes(device: _Device, received_ms: int, attributes: dict[str, JsonValue], changes: _Changes) -> None:
    for key, value in attributes.items():
        known = changes.attributes.get((device.id, key))
        if known is None or received_ms >= known[2]:
            text = orjson.dumps(value).decode()
            changes.attributes[device.id, key] = (device.id, key, received_ms, text)
