"""updateOnlyKeys in the device store: what stays the same leaves no trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import JsonValue, Timeseries
from gateway.storage.device_view import DeviceView, Sample
from gateway.storage.devices import DeviceStore
from tests.storage.reports import SPOOL, delivery, report


class Store:
    """A device store with a list of keys for the integration `meters`, and what one sees of its device."""

    def __init__(self, folder: Path) -> None:
        self._store = DeviceStore(folder)
        self._view = DeviceView(folder)
        self._batch = 0
        self.keys("fw", "t")

    def keys(self, *keys: str) -> None:
        self._store.update_only = {"meters": frozenset(keys)} if keys else {}

    def take(self, *telemetry: Timeseries, received_ms: int = 1_000, **attributes: JsonValue) -> None:
        self._batch += 1
        reports = [report("a", part, received_ms=received_ms, attributes=attributes) for part in telemetry or ([],)]
        self._store.apply(SPOOL, [delivery(self._batch, *reports)])

    @property
    def history(self) -> list[tuple[int, JsonValue]]:
        return [(sample.ts, sample.value) for sample in self._view.history("a", "t")]

    @property
    def latest(self) -> Sample:
        return self._view.device("a").telemetry["t"]

    @property
    def attributes(self) -> dict[str, Sample]:
        return self._view.device("a").attributes

    @property
    def last_seen_ms(self) -> int:
        return self._view.device("a").last_seen_ts

    def close(self) -> None:
        self._view.close()
        self._store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_telemetry_value_that_stays_the_same_is_not_written_again(store: Store) -> None:
    store.take([(10, {"t": 21.5, "h": 1})])
    store.take([(20, {"t": 21.5, "h": 1})], received_ms=2_000)
    assert (store.history, store.latest) == ([(10, 21.5)], Sample(10, 21.5))
    assert store.last_seen_ms == 2_000, "the device was seen all the same"
    store.take([(30, {"t": 22})])
    store.take([(40, {"t": 21.5})])
    assert store.history == [(10, 21.5), (30, 22), (40, 21.5)]


def test_keys_that_are_not_in_the_list_are_written_each_time(store: Store) -> None:
    store.keys("fw")
    store.take([(10, {"t": 1}), (20, {"t": 1})])
    store.take([(30, {"t": 1})])
    assert store.history == [(10, 1), (20, 1), (30, 1)]


def test_without_a_list_everything_is_written(store: Store) -> None:
    store.keys()
    store.take([(10, {"t": 1})])
    store.take([(20, {"t": 1})])
    assert store.history == [(10, 1), (20, 1)]


def test_within_one_report_and_one_batch_only_changes_are_written(store: Store) -> None:
    store.take([(10, {"t": 1}), (20, {"t": 1}), (30, {"t": 2}), (40, {"t": 2})], [(50, {"t": 2})], [(60, {"t": 1})])
    assert store.history == [(10, 1), (30, 2), (60, 1)]
    assert store.latest == Sample(60, 1)


def test_a_backlog_that_comes_newest_first_keeps_each_change(store: Store) -> None:
    store.take([(40, {"t": 2}), (30, {"t": 2}), (20, {"t": 1}), (10, {"t": 1})])
    assert store.history == [(10, 1), (30, 2)]


def test_what_is_older_than_the_latest_value_is_written_in_any_case(store: Store) -> None:
    store.take([(100, {"t": 1})])
    store.take([(50, {"t": 1})])
    assert store.history == [(50, 1), (100, 1)]


def test_a_second_value_for_the_same_time_counts_where_it_is_another_one(store: Store) -> None:
    store.take([(10, {"t": 1})])
    store.take([(10, {"t": 1})], [(10, {"t": 2})], [(10, {"t": 1})], [(20, {"t": 1})])
    assert store.history == [(10, 1)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        ({"a": 1, "b": [1, 2]}, {"b": [1.0, 2], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ("é", "é", True),
    ],
)
def test_the_same_means_the_same_as_json(store: Store, one: JsonValue, other: JsonValue, same: bool) -> None:
    store.take([(10, {"t": one})], fw=one)
    store.take([(20, {"t": other})], received_ms=2_000, fw=other)
    assert len(store.history) == (1 if same else 2)
    assert store.attributes["fw"].ts == (1_000 if same else 2_000)


def test_an_attribute_that_stays_the_same_keeps_its_time(store: Store) -> None:
    store.take(fw="1.0", place="hall")
    store.take(received_ms=2_000, fw="1.0", place="hall")
    assert store.attributes == {"fw": Sample(1_000, "1.0"), "place": Sample(2_000, "hall")}
    store.take(received_ms=3_000, fw="1.1")
    store.take(received_ms=2_500, fw="1.0")
    assert store.attributes["fw"] == Sample(3_000, "1.1")


def test_other_integrations_are_not_concerned_but_what_they_write_counts(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store, DeviceView(tmp_path) as view:
        store.update_only = {"meters": frozenset({"t"})}
        other = report("a", [(20, {"t": 2})])._replace(integration="pumps")
        store.apply(
            SPOOL, [delivery(1, report("a", [(10, {"t": 1})]), other, other._replace(telemetry=[(30, {"t": 2})]))]
        )
        store.apply(SPOOL, [delivery(2, report("a", [(40, {"t": 2})]), report("a", [(50, {"t": 1})]))])
        assert [(one.ts, one.value) for one in view.history("a", "t")] == [(10, 1), (20, 2), (30, 2), (50, 1)]
