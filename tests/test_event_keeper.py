"""The thread that keeps the workers' events: what it gets is on the disk when it ends, and nobody ever waits for it."""

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.event_keeper import WAITING_PORTIONS, EventKeeper
from gateway.metrics import EVENTS_DROPPED_TOTAL, Metrics
from gateway.settings import Settings
from gateway.storage.events import FILE_NAME, EventView

from .storage.test_events import event

NOW_MS = time.time_ns() // 1_000_000


def keeper(data_dir: Path, metrics: Metrics | None = None, **settings: Any) -> EventKeeper:
    return EventKeeper(Settings(_env_file=None, gateway_data_dir=data_dir, **settings), metrics or Metrics())


def kept(data_dir: Path) -> int:
    with EventView(data_dir) as view:
        return len(view.after(0, limit=1 << 20))


def test_what_it_got_is_kept_when_it_ends(tmp_path: Path) -> None:
    it = keeper(tmp_path)
    it.put([event(NOW_MS), event(NOW_MS)])
    it.put([event(NOW_MS)])
    it.stop()
    assert kept(tmp_path) == 3


def test_it_trims_what_was_there_at_its_start(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    first.put([event(NOW_MS) for _ in range(10)])
    first.put([event(NOW_MS - 8 * 86_400_000)])
    first.stop()
    second = keeper(tmp_path, gateway_events_rows=4)
    second.put([event(NOW_MS)])
    second.stop()
    assert kept(tmp_path) == 4


def test_while_the_disk_stalls_it_drops_counts_and_never_waits(tmp_path: Path) -> None:
    metrics = Metrics()
    it = keeper(tmp_path, metrics)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        for _ in range(WAITING_PORTIONS + 10):
            it.put([event(NOW_MS), event(NOW_MS)])
        assert time.monotonic() - began_s < 2
        other.execute("ROLLBACK")
    it.stop()
    dropped = metrics.counters[EVENTS_DROPPED_TOTAL, "supervisor"]
    assert dropped >= 2 * 9
    assert kept(tmp_path) == 2 * (WAITING_PORTIONS + 10) - dropped


def test_a_disk_that_is_full_is_said_once_and_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    it = keeper(tmp_path)
    it.put([event(NOW_MS)])
    large = event(NOW_MS) | {"out": "x" * 1_000_000}
    pages = it._store._connection.execute("PRAGMA page_count").fetchone()[0]
    it._store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    it.put([large])
    it.put([large])
    it.stop()
    assert caplog.text.count("debug events are lost") == 1
    assert kept(tmp_path) == 1
