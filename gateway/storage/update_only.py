"""ThingsBoard's `updateOnlyKeys`: which values of a report are news.

"The same" is meant as JSON (`same_json`). A sample that is older than the latest value is news in any case: of what was
between the two nothing is known here. A report's samples are compared in the order of their times, so that of a
backlog each change is kept.
"""

import sqlite3
from collections.abc import Mapping, MutableMapping, Sequence, Set
from operator import itemgetter
from typing import TypeAlias

import orjson

from gateway.model import JsonValue, Timeseries, same_json

UpdateOnly: TypeAlias = Mapping[str, Set[str]]
"""Integration → the telemetry and attribute keys that its reports write only where their value changes."""

Known: TypeAlias = tuple[int, JsonValue] | None
"""A value that is known, with its time in milliseconds."""


def changed_attributes(
    connection: sqlite3.Connection,
    device: int,
    received_ms: int,
    attributes: dict[str, JsonValue],
    keys: Set[str],
    pending: Mapping[tuple[int, str], tuple[int, str, int, str]],
) -> dict[str, JsonValue]:
    """The attributes without those of `keys` that stay what they were.

    `pending` is what is about to be written: (device, key) → (device, key, time in milliseconds, value as JSON).
    """
    changed = {}
    for key, value in attributes.items():
        if key in keys:
            rows = connection.execute("SELECT ts, value FROM attributes WHERE device = ? AND key = ?", (device, key))
            change = pending.get((device, key))
            if not is_news(received_ms, value, _newest(rows.fetchall(), change and change[2:])):
                continue
        changed[key] = value
    return changed


def changed_telemetry(
    connection: sqlite3.Connection,
    series: Mapping[str, int],
    telemetry: Timeseries,
    keys: Set[str],
    pending: Mapping[int, tuple[int, int, str]],
) -> Timeseries:
    """The samples without the values of `keys` that stay what they were.

    `series` has the ids of the device's telemetry keys, `pending` what is about to be written:
    id → (id, time in milliseconds, value as JSON).
    """
    latest: dict[str, Known] = {}
    for key in keys & series.keys():
        rows = connection.execute("SELECT ts, value FROM latest WHERE series = ?", (series[key],))
        change = pending.get(series[key])
        latest[key] = _newest(rows.fetchall(), change and change[1:])
    return changed_samples(telemetry, keys, latest)


def changed_samples(telemetry: Timeseries, keys: Set[str], latest: MutableMapping[str, Known]) -> Timeseries:
    """The samples without the values of `keys` that stay what they were; `latest` is brought up to date."""
    changed = []
    for ts, values in sorted(telemetry, key=itemgetter(0)):
        news = {}
        for key, value in values.items():
            if key in keys:
                known = latest.get(key)
                if not is_news(ts, value, known):
                    continue
                if known is None or ts >= known[0]:
                    latest[key] = (ts, value)
            news[key] = value
        if news:
            changed.append((ts, news))
    return changed


def _newest(stored: Sequence[tuple[int, str]], change: tuple[int, str] | None) -> Known:
    """What will be the value: of two with the same time it is the one that is about to be written."""
    candidates = [*stored, *([change] if change else [])]
    if not candidates:
        return None
    ts, text = max(reversed(candidates), key=itemgetter(0))
    return ts, orjson.loads(text)


def is_news(ts: int, value: JsonValue, known: Known) -> bool:
    """Whether a value of this time tells anything that is not known."""
    return known is None or ts < known[0] or not same_json(known[1], value)
