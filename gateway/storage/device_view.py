"""The devices as the command line (and later the API) sees them: read-only, beside the writing process."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import orjson

from gateway.errors import NotFoundError
from gateway.model import JsonValue
from gateway.storage import history
from gateway.storage.aggregation import Aggregated, Aggregation, aggregate
from gateway.storage.device_schema import FILE_NAME, MIGRATIONS
from gateway.storage.store_view import StoreView

AGGREGATED_ROWS_MAX: Final = 100_000
"""Most samples that are read to be summed up: one every half a minute of 30 days, and some."""

_SUMMARY: Final = """
    SELECT kind, name, type, customer, device_group, principal, first_ms, last_ms
    FROM devices JOIN device_seen ON device_seen.device = devices.id
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of an attribute or of a telemetry key."""

    ts: int
    """The sample's own time, for an attribute the time of receipt; in milliseconds since 1970."""
    value: JsonValue


class AggregatedHistory(NamedTuple):
    """A telemetry key's samples, summed up by intervals."""

    values: list[Aggregated]
    complete: bool
    """Whether all samples of the time are in it; else only the newest, which were as many as are read at most."""


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """A device or an asset, without its values."""

    kind: Literal["device", "asset"]
    name: str
    type: str
    customer: str | None
    group: str | None
    principal: str | None
    """Whose DTLS session the report that was received last came through; None for a plain one."""
    first_seen_ts: int
    """When its first report was received, in milliseconds since 1970."""
    last_seen_ts: int
    """When its last report was received, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class DeviceDetails(DeviceSummary):
    """A device or an asset with its attributes, and the latest value of each telemetry key."""

    attributes: dict[str, Sample]
    telemetry: dict[str, Sample]


class DeviceView(StoreView):
    """Reads the device store of a data directory, also while another process writes it; for one thread.

    Where there is no store yet there are no devices, until there is one. Each call sees one moment. Every method
    raises ConfigurationError where the file is damaged or of another version of the gateway, UnavailableError
    where the disk fails.
    """

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / FILE_NAME, MIGRATIONS)

    def positions(self) -> dict[str, int]:
        """The last batch of each spool that was applied, by the spools' identities."""
        with self._reading() as connection:
            if connection is None:
                return {}
            return dict(connection.execute("SELECT spool, batch FROM positions").fetchall())

    def devices(self, *, search: str = "", limit: int = 1000, offset: int = 0) -> list[DeviceSummary]:
        """Devices and assets by name: `limit` of them from number `offset` on.

        `search` is a part of the name, upper and lower case alike; no character in it is special.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            where = "WHERE instr(folded_name, ?)" if search else ""
            # The page's ids first: what the offset skips is then passed in the index of names alone.
            rows = connection.execute(
                f"{_SUMMARY} WHERE devices.id IN "
                f"(SELECT id FROM devices {where} ORDER BY name, kind LIMIT ? OFFSET ?) ORDER BY name, kind",
                (*([search.casefold()] if search else []), max(limit, 0), offset),
            )
            return [DeviceSummary(*row) for row in rows.fetchall()]

    def count(self, *, search: str = "") -> int:
        """How many devices and assets there are, as `devices` has them."""
        with self._reading() as connection:
            if connection is None:
                return 0
            where = "WHERE instr(folded_name, ?)" if search else ""
            parameters = [search.casefold()] if search else []
            ((devices,),) = connection.execute(f"SELECT count(*) FROM devices {where}", parameters).fetchall()
        return int(devices)

    def device(self, name: str, *, kind: Literal["device", "asset"] = "device") -> DeviceDetails:
        """The device or asset of that name; raises NotFoundError."""
        with self._reading() as connection:
            if connection is None:
                raise _not_found(name, kind, other_kind=False)
            id = _device_id(connection, name, kind)
            (summary,) = connection.execute(f"{_SUMMARY} WHERE devices.id = ?", (id,)).fetchall()
            attributes = connection.execute(
                "SELECT key, ts, value FROM attributes WHERE device = ? ORDER BY key", (id,)
            ).fetchall()
            telemetry = connection.execute(
                "SELECT key, ts, value FROM series JOIN latest ON latest.series = series.id "
                "WHERE device = ? ORDER BY key",
                (id,),
            ).fetchall()
        return DeviceDetails(*(*summary, _samples_by_key(attributes), _samples_by_key(telemetry)))

    def history(
        self,
        name: str,
        key: str,
        *,
        kind: Literal["device", "asset"] = "device",
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 10_000,
    ) -> list[Sample]:
        """The samples of a telemetry key, ascending by time; of more than `limit` the newest.

        From `start_ms` on, up to but not including `end_ms`, as in ThingsBoard. A key that the device never sent
        has none. Raises NotFoundError for the device.
        """
        with self._reading() as connection:
            if connection is None:
                raise _not_found(name, kind, other_kind=False)
            id = _device_id(connection, name, kind)
            series = connection.execute("SELECT id FROM series WHERE device = ? AND key = ?", (id, key)).fetchall()
            if not series:
                return []
            points = history.read(
                connection,
                series[0][0],
                first_ms=history.TIME_MIN_MS if start_ms is None else start_ms,
                last_ms=history.TIME_MAX_MS if end_ms is None else end_ms - 1,
                limit=limit,
            )
        return [Sample(ts, orjson.loads(text)) for ts, text in points]

    def aggregated(
        self,
        name: str,
        key: str,
        how: Aggregation,
        *,
        kind: Literal["device", "asset"] = "device",
        start_ms: int,
        end_ms: int,
        interval_ms: int,
    ) -> AggregatedHistory:
        """The samples from `start_ms` on and before `end_ms`, summed up by intervals of `interval_ms`.

        Raises NotFoundError for the device.
        """
        samples = self.history(name, key, kind=kind, start_ms=start_ms, end_ms=end_ms, limit=AGGREGATED_ROWS_MAX + 1)
        complete = len(samples) <= AGGREGATED_ROWS_MAX
        pairs = ((sample.ts, sample.value) for sample in samples[-AGGREGATED_ROWS_MAX:])
        return AggregatedHistory(
            aggregate(pairs, how, start_ms=start_ms, end_ms=end_ms, interval_ms=interval_ms), complete
        )


def _device_id(connection: sqlite3.Connection, name: str, kind: str) -> int:
    ids = dict(connection.execute("SELECT kind, id FROM devices WHERE name = ?", (name,)).fetchall())
    if kind not in ids:
        raise _not_found(name, kind, other_kind=bool(ids))
    return int(ids[kind])


def _samples_by_key(rows: list[tuple[str, int, str]]) -> dict[str, Sample]:
    return {key: Sample(ts, orjson.loads(text)) for key, ts, text in rows}


def _not_found(name: str, kind: str, *, other_kind: bool) -> NotFoundError:
    if other_kind:
        hint = f"there is an asset of that name (gateway device show {name} --asset)"
        if kind == "asset":
            hint = f"there is a device of that name (gateway device show {name})"
    else:
        hint = "see which there are: gateway device list --search TEXT"
    return NotFoundError(f"there is no {kind} named {name}", hint=hint)
