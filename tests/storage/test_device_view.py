"""The device view: searching, paging, and reading beside the process that writes."""

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.errors import NotFoundError
from gateway.model import Timeseries
from gateway.storage.aggregation import Aggregation
from gateway.storage.device_view import DeviceView, Sample
from gateway.storage.devices import DeviceStore
from gateway.storage.history import RUN_ROWS
from tests.storage.processes import CONTEXT, process
from tests.storage.reports import SPOOL, delivery, report


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path) as store:
        yield store


@pytest.fixture
def view(tmp_path: Path) -> Iterator[DeviceView]:
    with DeviceView(tmp_path) as view:
        yield view


def names(view: DeviceView, search: str = "", **page: int) -> list[str]:
    return [summary.name for summary in view.devices(search=search, **page)]


def test_before_the_gateway_ever_ran_there_are_no_devices_and_nothing_is_created(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with DeviceView(data_dir) as view:
        assert view.devices() == []
        assert view.positions() == {}
        with pytest.raises(NotFoundError, match="there is no device named SN-001"):
            view.device("SN-001")
        with pytest.raises(NotFoundError, match="there is no asset named SN-001"):
            view.history("SN-001", "t", kind="asset")
        assert not data_dir.exists()
        with DeviceStore(data_dir) as store:
            store.apply(SPOOL, [delivery(1, report("SN-001"))])
            assert names(view) == ["SN-001"]


def test_searching_finds_parts_of_names_whatever_their_case(store: DeviceStore, view: DeviceView) -> None:
    there = ["Kühler-1", "KÜHLER-2", "SN_001", "SNX001", "100%", "a\\b", "100"]
    store.apply(SPOOL, [delivery(1, *(report(name) for name in there))])
    assert names(view, "kühl") == ["KÜHLER-2", "Kühler-1"]
    assert names(view, "N_0") == ["SN_001"]
    assert names(view, "sn_") == ["SN_001"]
    assert names(view, "%") == ["100%"]
    assert names(view, "00%") == ["100%"]
    assert names(view, "\\") == ["a\\b"]
    assert names(view, "'") == []
    assert names(view) == sorted(there)


def test_pages_follow_one_another(store: DeviceStore, view: DeviceView) -> None:
    store.apply(SPOOL, [delivery(1, *(report(f"SN-{n:03}") for n in reversed(range(100))))])
    pages = [names(view, "sn", limit=30, offset=offset) for offset in (0, 30, 60, 90, 120)]
    assert [len(page) for page in pages] == [30, 30, 30, 10, 0]
    assert [name for page in pages for name in page] == [f"SN-{n:03}" for n in range(100)]
    assert names(view, limit=0) == []


def test_all_that_are_found_are_counted(store: DeviceStore, view: DeviceView) -> None:
    assert view.count() == 0
    store.apply(SPOOL, [delivery(1, *(report(name) for name in ("Boiler", "boiler-2", "pump")))])
    assert (view.count(), view.count(search="BOIL"), view.count(search="x")) == (3, 2, 0)


def test_history_is_summed_up_also_over_what_was_sorted_and_what_came_twice(
    store: DeviceStore, view: DeviceView
) -> None:
    samples: Timeseries = [(n, {"t": n}) for n in range(RUN_ROWS + 10)]
    store.apply(SPOOL, [delivery(1, report("SN-1", samples))])
    store.apply(SPOOL, [delivery(2, report("SN-1", [(5, {"t": 1005})]))])
    found = view.aggregated("SN-1", "t", Aggregation.SUM, start_ms=0, end_ms=20, interval_ms=10)
    assert found == ([(5, 45 + 1000), (15, 145)], True)
    found = view.aggregated("SN-1", "t", Aggregation.COUNT, start_ms=0, end_ms=2 * RUN_ROWS, interval_ms=2 * RUN_ROWS)
    assert found.values[0].value == RUN_ROWS + 10
    with pytest.raises(NotFoundError):
        view.aggregated("SN-2", "t", Aggregation.SUM, start_ms=0, end_ms=20, interval_ms=10)


def test_what_is_not_there_says_where_to_look(store: DeviceStore, view: DeviceView) -> None:
    store.apply(SPOOL, [delivery(1, report("X", kind="asset"), report("Y"))])
    with pytest.raises(NotFoundError, match="there is no device named X") as caught:
        view.device("X")
    assert "gateway device show X --asset" in caught.value.hint
    with pytest.raises(NotFoundError, match="there is no asset named Y") as caught:
        view.history("Y", "t", kind="asset")
    assert "there is a device of that name" in caught.value.hint
    with pytest.raises(NotFoundError, match="there is no device named Z") as caught:
        view.device("Z")
    assert "gateway device list" in caught.value.hint


def test_history_is_ascending_from_start_up_to_but_not_including_end(store: DeviceStore, view: DeviceView) -> None:
    store.apply(SPOOL, [delivery(1, report("SN-001", [(ts, {"t": ts, "other": 0}) for ts in (5, 3, 1, 2, 4)]))])
    assert view.history("SN-001", "t") == [Sample(ts, ts) for ts in (1, 2, 3, 4, 5)]
    assert view.history("SN-001", "t", start_ms=2, end_ms=4) == [Sample(2, 2), Sample(3, 3)]
    assert view.history("SN-001", "t", limit=2) == [Sample(4, 4), Sample(5, 5)]
    assert view.history("SN-001", "t", end_ms=4, limit=2) == [Sample(2, 2), Sample(3, 3)]
    assert view.history("SN-001", "t", limit=0) == []
    assert view.history("SN-001", "never sent") == []


ROUNDS = 150


def test_it_tells_how_far_each_spool_was_taken_in(store: DeviceStore, view: DeviceView) -> None:
    store.apply("spool-a", [delivery(1, report("SN-1")), delivery(3)])
    store.apply("spool-b", [delivery(2, report("SN-1"))])
    assert view.positions() == {"spool-a": 3, "spool-b": 2}


def write_beside_a_reader(data_dir: Path, answer: Connection) -> None:
    """Each delivery gives a and b of each device the same value: a reader must never see them differ."""
    with DeviceStore(data_dir) as store:
        for round in range(1, ROUNDS + 1):
            reports = (report(f"SN-{n}", [(round, {"a": round})], received_ms=round) for n in range(20))
            others = (report(f"SN-{n}", [(round, {"b": round})], received_ms=round) for n in range(20))
            began_s = time.monotonic()
            store.apply(SPOOL, [delivery(round, *reports, *others)])
            answer.send(time.monotonic() - began_s)


def test_a_reader_sees_whole_deliveries_and_never_holds_the_writer_up(tmp_path: Path) -> None:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    seen: list[int] = []
    with DeviceView(tmp_path) as view, process(write_beside_a_reader, tmp_path, sender) as writer:
        while not seen or seen[-1] < ROUNDS:
            assert writer.is_alive() or writer.exitcode == 0
            if not view.devices():
                continue
            details = view.device("SN-7")
            assert details.telemetry["a"] == details.telemetry["b"]
            assert details.last_seen_ts == details.telemetry["a"].ts
            history = view.history("SN-7", "b")
            assert [sample.ts for sample in history] == list(range(1, len(history) + 1))
            assert len(history) >= details.telemetry["a"].ts
            seen.append(details.telemetry["a"].value)
    assert seen == sorted(seen)
    waits_s = []
    while receiver.poll(0):
        waits_s.append(receiver.recv())
    assert len(waits_s) == ROUNDS
    assert max(waits_s) < 4, "the writer ran into its busy time-out"
