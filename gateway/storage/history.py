"""Telemetry history on disk: how samples get into it, are read, and leave it. Its layout: `device_schema.py`.

Each function belongs inside a transaction of its caller.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

RUN_ROWS: Final = 32_768
"""How many samples are sorted into one run."""

TIME_MIN_MS: Final = -(1 << 63)
"""The smallest time that can be stored, in milliseconds since 1970."""

TIME_MAX_MS: Final = (1 << 63) - 1
"""The greatest time that can be stored, in milliseconds since 1970."""

TRIM_ROWS: Final = RUN_ROWS
"""Most rows that one call of a trimming function deletes."""

_LUMP: Final = 32
"""A run that is at most this fraction of what may stay goes whole: a few rows of it would cost as much."""

_RECENT: Final = 1 << 62
"""Stands for a run that is newer than all."""

_DELETE_OLDEST_OF_RUN: Final = """
    DELETE FROM history WHERE run = :run AND (series, ts) IN (
        SELECT series, ts FROM history WHERE run = :run AND ts <= :until_ms ORDER BY ts LIMIT :most
    )
"""
_DELETE_OLDEST_RECENT: Final = """
    DELETE FROM history_recent WHERE seq IN (
        SELECT seq FROM history_recent WHERE ts <= :until_ms ORDER BY ts, seq LIMIT :most
    )
"""


def recent_rows(connection: sqlite3.Connection) -> int:
    """How many samples wait to be sorted into a run. Counts them, and there are never many."""
    ((rows,),) = connection.execute("SELECT count(*) FROM history_recent").fetchall()
    return int(rows)


def append(connection: sqlite3.Connection, samples: Sequence[tuple[int, int, str]]) -> None:
    """Add (series, ts in milliseconds, value as JSON) in the order in which they came."""
    connection.executemany("INSERT INTO history_recent (series, ts, value) VALUES (?, ?, ?)", samples)


def sort_recent_into_run(connection: sqlite3.Connection) -> None:
    """Make the next run of all that is recent; of samples with one series and time, the last one stays."""
    ((run,),) = connection.execute("SELECT coalesce(max(run), 0) + 1 FROM history_runs").fetchall()
    # SQLite defines a bare column beside max() as that of the row with the maximum, and GROUP BY sorts.
    size = connection.execute(
        "INSERT INTO history (run, series, ts, value) SELECT ?, series, ts, value FROM "
        "(SELECT series, ts, value, max(seq) FROM history_recent GROUP BY series, ts)",
        (run,),
    ).rowcount
    connection.execute(
        "INSERT INTO history_runs (run, size, oldest_ms, newest_ms) SELECT ?, ?, min(ts), max(ts) FROM history_recent",
        (run, size),
    )
    connection.execute("DELETE FROM history_recent")


def read(
    connection: sqlite3.Connection, series: int, *, first_ms: int, last_ms: int, limit: int
) -> list[tuple[int, str]]:
    """The newest `limit` samples of `first_ms` ≤ ts ≤ `last_ms` as (ts, value as JSON), ascending by time."""
    if limit <= 0:
        return []
    points = {  # ts → (run, value); a later one overwrites
        ts: (_RECENT, text)
        for ts, text in connection.execute(
            "SELECT ts, value FROM history_recent WHERE series = ? AND ts BETWEEN ? AND ? ORDER BY seq",
            (series, first_ms, last_ms),
        ).fetchall()
    }
    points, first_ms = _newest(points, limit, first_ms)
    runs = connection.execute(
        "SELECT run, newest_ms FROM history_runs WHERE oldest_ms <= ? AND newest_ms >= ? ORDER BY newest_ms DESC",
        (last_ms, first_ms),
    ).fetchall()
    for run, newest_ms in runs:
        if newest_ms < first_ms:
            break  # neither this nor any of the following runs has one that is new enough
        rows = connection.execute(
            "SELECT ts, value FROM history WHERE run = ? AND series = ? AND ts BETWEEN ? AND ? "
            "ORDER BY ts DESC LIMIT ?",
            (run, series, first_ms, last_ms, limit),
        ).fetchall()
        for ts, text in rows:
            known = points.get(ts)
            if known is None or known[0] < run:
                points[ts] = (run, text)
        if rows:
            points, first_ms = _newest(points, limit, first_ms)
    return sorted((ts, text) for ts, (_, text) in points.items())


def trim_by_age(connection: sqlite3.Connection, *, before_ms: int, slack_ms: int) -> int:
    """Delete samples older than `before_ms`, from at most one run; returns how many rows.

    A run that also holds younger ones is left alone until its oldest is `slack_ms` older than that.
    """
    deleted = connection.execute(_DELETE_OLDEST_RECENT, {"until_ms": before_ms - 1, "most": TRIM_ROWS}).rowcount
    runs = connection.execute(
        "SELECT run FROM history_runs WHERE newest_ms < ? OR oldest_ms < ? ORDER BY run LIMIT 1",
        (before_ms, before_ms - slack_ms),
    ).fetchall()
    for (run,) in runs:
        deleted += _trim_run(connection, run, until_ms=before_ms - 1, most=TRIM_ROWS - deleted)
    return deleted


def trim_by_rows(connection: sqlite3.Connection, *, keep: int) -> int:
    """Delete the oldest samples where there are more than `keep`, from at most one run; returns how many rows.

    The run that was written first goes first, and within it the oldest sample.
    """
    recent = recent_rows(connection)
    ((sorted_rows,),) = connection.execute("SELECT coalesce(sum(size), 0) FROM history_runs").fetchall()
    excess = recent + sorted_rows - keep
    if excess <= 0:
        return 0
    runs = connection.execute("SELECT run, size FROM history_runs ORDER BY run LIMIT 1").fetchall()
    for run, size in runs:
        wanted = size if size * _LUMP <= keep else excess
        return _trim_run(connection, run, until_ms=TIME_MAX_MS, most=min(wanted, TRIM_ROWS))
    return connection.execute(_DELETE_OLDEST_RECENT, {"until_ms": TIME_MAX_MS, "most": min(excess, TRIM_ROWS)}).rowcount


def _newest(points: dict[int, tuple[int, str]], limit: int, first_ms: int) -> tuple[dict[int, tuple[int, str]], int]:
    """The newest `limit` points, and the time from which on a further point would be one of them."""
    if len(points) < limit:
        return points, first_ms
    kept = sorted(points)[-limit:]
    return {ts: points[ts] for ts in kept}, kept[0]


def _trim_run(connection: sqlite3.Connection, run: int, *, until_ms: int, most: int) -> int:
    """Delete at most `most` samples up to and including `until_ms` from a run, the oldest first."""
    ((size, newest_ms),) = connection.execute(
        "SELECT size, newest_ms FROM history_runs WHERE run = ?", (run,)
    ).fetchall()
    if newest_ms <= until_ms and size <= most:
        deleted = connection.execute("DELETE FROM history WHERE run = ?", (run,)).rowcount
    else:
        deleted = connection.execute(_DELETE_OLDEST_OF_RUN, {"run": run, "until_ms": until_ms, "most": most}).rowcount
    if deleted == size:
        connection.execute("DELETE FROM history_runs WHERE run = ?", (run,))
    else:
        connection.execute(
            "UPDATE history_runs SET size = size - :deleted, "
            "oldest_ms = (SELECT min(ts) FROM history WHERE run = :run) WHERE run = :run",
            {"run": run, "deleted": deleted},
        )
    return deleted
