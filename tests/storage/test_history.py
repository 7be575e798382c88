"""Telemetry history: sorted into runs, read across them, trimmed by age and by rows."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gateway.storage import history as history_module
from gateway.storage.device_view import DeviceView, Sample
from gateway.storage.devices import DeviceStore
from gateway.storage.history import RUN_ROWS
from tests.storage.reports import SPOOL, delivery, report

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS


@pytest.fixture
def view(tmp_path: Path) -> Iterator[DeviceView]:
    with DeviceView(tmp_path) as view:
        yield view


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path) as store:
        yield store


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of ten samples, and no more than ten deleted at once."""
    monkeypatch.setattr(history_module, "RUN_ROWS", 10)
    monkeypatch.setattr(history_module, "TRIM_ROWS", 10)


def fill(store: DeviceStore, times: Iterable[int], value: int = 0) -> None:
    """One delivery for each sample of SN-001's key t."""
    for ts in times:
        batch = store.position(SPOOL) + 1
        store.apply(SPOOL, [delivery(batch, report("SN-001", [(ts, {"t": value})]))])


def times(
    view: DeviceView, *, start_ms: int | None = None, end_ms: int | None = None, limit: int = 100_000
) -> list[int]:
    found = view.history("SN-001", "t", start_ms=start_ms, end_ms=end_ms, limit=limit)
    return [sample.ts for sample in found]


def trim(store: DeviceStore, *, days: int = 10_000, rows: int = 1 << 60) -> list[int]:
    """Trim until nothing is left to trim; how many rows each call deleted."""
    deleted: list[int] = []
    while not deleted or deleted[-1]:
        deleted.append(store.trim_history(now_ms=NOW_MS, days=days, rows=rows))
        assert len(deleted) < 1_000
    return deleted[:-1]


# -- reading across runs -------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_runs")
def test_samples_are_found_in_whatever_run_they_are(store: DeviceStore, view: DeviceView) -> None:
    fill(store, range(0, 100, 2))
    fill(store, range(99, 0, -2))
    fill(store, range(100, 105))
    assert times(view) == list(range(105))
    assert times(view, start_ms=40, end_ms=60) == list(range(40, 60))
    assert times(view, limit=7) == list(range(98, 105))
    assert times(view, limit=30, end_ms=71) == list(range(41, 71))
    assert times(view, start_ms=7, end_ms=8) == [7]
    assert times(view, start_ms=8, end_ms=8) == []


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("again", [3, 10, 13, 37])
def test_a_point_that_is_sent_again_is_overwritten_in_whatever_run_it_was(
    store: DeviceStore, view: DeviceView, again: int
) -> None:
    fill(store, range(37), value=1)
    fill(store, range(again), value=2)
    fill(store, range(0, again, 3), value=3)
    expected = [Sample(ts, 1 if ts >= again else 3 if ts % 3 == 0 else 2) for ts in range(37)]
    assert view.history("SN-001", "t") == expected
    for limit in (1, 5, 36, 37, 38):
        assert view.history("SN-001", "t", limit=limit) == expected[-limit:]


def test_a_full_run_is_sorted_within_the_apply_that_fills_it(store: DeviceStore, view: DeviceView) -> None:
    samples: list[tuple[int, dict[str, object]]] = [(ts, {"t": ts, "u": -ts}) for ts in range(RUN_ROWS // 2 + 5)]
    store.apply(SPOOL, [delivery(1, report("SN-001", samples))])
    store.apply(SPOOL, [delivery(2, report("SN-001", [(7, {"t": "again"}), (RUN_ROWS, {"t": "new"})]))])
    found = view.history("SN-001", "t", limit=RUN_ROWS)
    assert len(found) == len(samples) + 1
    assert (found[7], found[8], found[-1]) == (Sample(7, "again"), Sample(8, 8), Sample(RUN_ROWS, "new"))
    assert view.history("SN-001", "u", limit=1) == [Sample(RUN_ROWS // 2 + 4, -RUN_ROWS // 2 - 4)]


@pytest.mark.usefixtures("small_runs")
def test_runs_go_on_after_a_restart(tmp_path: Path, view: DeviceView) -> None:
    for ts in range(25):
        with DeviceStore(tmp_path) as store:
            fill(store, [ts])
    assert times(view) == list(range(25))


# -- trimming ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_runs")
def test_samples_older_than_the_days_go_and_the_latest_value_stays(store: DeviceStore, view: DeviceView) -> None:
    fill(store, [NOW_MS - (100 - day) * DAY_MS for day in range(100)])
    deleted = trim(store, days=30)
    assert sum(deleted) == 70
    assert max(deleted) <= 10
    assert times(view) == [NOW_MS - days * DAY_MS for days in range(30, 0, -1)]
    fill(store, [NOW_MS - 40 * DAY_MS, NOW_MS])
    assert sum(trim(store, days=30)) == 1
    assert sum(trim(store, days=1)) == 29
    assert times(view) == [NOW_MS - DAY_MS, NOW_MS]
    assert view.device("SN-001").telemetry["t"].ts == NOW_MS


@pytest.mark.usefixtures("small_runs")
def test_a_run_with_young_samples_loses_its_old_ones_in_lumps(store: DeviceStore, view: DeviceView) -> None:
    minute_ms = 60_000
    times_ms = [NOW_MS - 32 * DAY_MS + minute * minute_ms for minute in range(-5, 5)]
    fill(store, times_ms)
    assert trim(store, days=32) == [], "they are but five minutes too old, which is little against 32 days"
    assert times(view) == times_ms
    assert store.trim_history(now_ms=NOW_MS + DAY_MS, days=32, rows=1_000) == 10


@pytest.mark.usefixtures("small_runs")
def test_a_sample_from_the_future_does_not_keep_those_beside_it(store: DeviceStore, view: DeviceView) -> None:
    future_ms = NOW_MS * 1_000
    fill(store, [*(NOW_MS - 50 * DAY_MS + n for n in range(9)), future_ms, *(NOW_MS + n for n in range(10))])
    assert trim(store, days=30) == [9]
    assert times(view) == [*(NOW_MS + n for n in range(10)), future_ms]
    assert trim(store, rows=5) == [1, 5], "it came with the oldest run, and goes with it"
    assert times(view) == [NOW_MS + n for n in range(5, 10)]


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("keep", [0, 1, 5, 9, 10, 11, 20, 33, 34])
def test_the_oldest_beyond_the_rows_go(store: DeviceStore, view: DeviceView, keep: int) -> None:
    fill(store, range(34))
    deleted = trim(store, rows=keep)
    assert times(view) == list(range(34))[34 - keep :]
    assert all(0 < rows <= 10 for rows in deleted)


@pytest.mark.usefixtures("small_runs")
def test_where_there_is_much_the_oldest_run_goes_whole(store: DeviceStore, view: DeviceView) -> None:
    fill(store, range(345))
    assert trim(store, rows=344) == [10]
    assert times(view) == list(range(10, 345))


@pytest.mark.usefixtures("small_runs")
def test_zero_days_keep_none(store: DeviceStore, view: DeviceView) -> None:
    fill(store, [*range(15), NOW_MS * 1_000])
    assert sum(trim(store, days=0)) == 16
    assert times(view) == []
    fill(store, [3])
    assert times(view) == [3]


@pytest.mark.usefixtures("small_runs")
def test_trimming_goes_on_where_it_was_after_a_restart(tmp_path: Path, view: DeviceView) -> None:
    with DeviceStore(tmp_path) as store:
        fill(store, range(34))
        assert store.trim_history(now_ms=NOW_MS, days=10_000, rows=9) == 10
    with DeviceStore(tmp_path) as store:
        assert store.trim_history(now_ms=NOW_MS, days=10_000, rows=9) == 10
        fill(store, range(34, 50))
        assert sum(trim(store, rows=9)) == 21
    assert times(view) == list(range(41, 50))


def test_trimming_an_empty_store_deletes_nothing(store: DeviceStore) -> None:
    assert store.trim_history(now_ms=NOW_MS, days=1, rows=1) == 0
    assert store.trim_history(now_ms=NOW_MS, days=0, rows=0) == 0


def test_an_enormous_delivery_is_trimmed_in_bounded_steps(store: DeviceStore, view: DeviceView) -> None:
    reports = [
        report("SN-001", [(ts, {"t": 0}) for ts in range(start, start + 1_000)]) for start in range(0, 80_000, 1_000)
    ]
    store.apply(SPOOL, [delivery(1, *reports)])
    assert trim(store, rows=10_000) == [RUN_ROWS, RUN_ROWS, 70_000 - 2 * RUN_ROWS]
    assert times(view) == list(range(70_000, 80_000))
