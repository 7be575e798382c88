"""Devices over HTTP: lists of many, latest values, history and what it sums up to."""

from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.model import Delivery, JsonValue, StoredReport
from gateway.storage import device_view
from gateway.storage.devices import DeviceStore
from gateway.storage.sink_store import SinkStore
from tests.api.rig import Api

RECEIVED_MS = 1_700_000_000_000


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def report(
    name: str, *samples: tuple[int, JsonValue], kind: Literal["device", "asset"] = "device", **fields: Any
) -> StoredReport:
    telemetry = [(ts, {"t": value}) for ts, value in samples]
    named = {"customer": None, "group": None, "attributes": {}, **fields}
    return StoredReport("meters", RECEIVED_MS, "gw-7", kind, name, "default", telemetry=telemetry, **named)


def stored(api: Api, *reports: StoredReport) -> None:
    with DeviceStore(api.data_dir) as store:
        store.apply("spool-0", [Delivery(store.position("spool-0") + 1, list(reports))])


def test_before_the_first_start_there_are_none(api: Api) -> None:
    assert api.get("/devices") == {"items": [], "total": 0, "next": None}
    api.problem("GET", "/devices/SN-1", 404)


def test_a_list_has_a_page_the_number_of_all_and_where_it_goes_on(api: Api) -> None:
    stored(api, *(report(f"SN-{n:03}") for n in range(250)))
    page = api.get("/devices", limit=100, offset=200)
    assert ([page["items"][0]["name"], page["items"][-1]["name"]], page["total"], page["next"]) == (
        ["SN-200", "SN-249"],
        250,
        None,
    )
    assert api.get("/devices", limit=100)["next"] == 100
    found = api.get("/devices", search="sn-01")
    assert ([one["name"] for one in found["items"]], found["total"]) == ([f"SN-01{n}" for n in range(10)], 10)


def test_a_device_has_its_latest_values(api: Api) -> None:
    stored(api, report("plant/1", (5, 25.7), (9, "warm"), customer="C", group="G", attributes={"model": {"a": [1]}}))
    shown = api.get("/devices/plant%2F1")
    assert shown == {
        "name": "plant/1",
        "kind": "device",
        "type": "default",
        "first_seen_ts": RECEIVED_MS,
        "last_seen_ts": RECEIVED_MS,
        "customer": "C",
        "group": "G",
        "principal": "gw-7",
        "attributes": {"model": {"ts": RECEIVED_MS, "value": {"a": [1]}}},
        "telemetry": {"t": {"ts": 9, "value": "warm"}},
        "shared_attributes": {},
        "last_rpc": None,
    }


def test_an_asset_is_asked_for_as_one(api: Api) -> None:
    stored(api, report("OF-1", kind="asset"))
    assert api.get("/devices/OF-1", kind="asset")["kind"] == "asset"
    assert "there is an asset" in api.problem("GET", "/devices/OF-1", 404)["hint"]
    assert api.fields("GET", "/devices/OF-1?kind=house") == ["kind"]


# -- history -------------------------------------------------------------------------------------------


def history(api: Api, **query: Any) -> Any:
    return api.get("/devices/SN-1/history", key="t", **query)


def values(found: Any) -> list[tuple[int, JsonValue]]:
    return [(sample["ts"], sample["value"]) for sample in found["items"]]


@pytest.fixture
def samples(api: Api) -> Api:
    stored(api, report("SN-1", *((n * 10, n) for n in range(10)), (95, "text")))
    return api


def test_raw_samples_are_those_of_the_time_the_newest_where_there_are_too_many(samples: Api) -> None:
    found = history(samples, start_ts=20, end_ts=50)
    assert values(found) == [(20, 2), (30, 3), (40, 4)]
    assert found["complete"]
    found = history(samples, limit=2)
    assert values(found) == [(90, 9), (95, "text")]
    assert not found["complete"]
    assert values(samples.get("/devices/SN-1/history", key="unknown")) == []
    samples.problem("GET", "/devices/SN-2/history?key=t", 404)


@pytest.mark.parametrize(
    ("agg", "expected"),
    [
        ("avg", [(25, 2), (55, 5), (80, 7.5)]),
        ("min", [(25, 1), (55, 4), (80, 7)]),
        ("max", [(25, 3), (55, 6), (80, 8)]),
        ("sum", [(25, 6), (55, 15), (80, 15)]),
        ("count", [(25, 3), (55, 3), (80, 2)]),
    ],
)
def test_an_aggregation_has_a_value_for_each_interval_at_its_middle(
    samples: Api, agg: str, expected: list[tuple[int, float]]
) -> None:
    found = history(samples, agg=agg, start_ts=10, end_ts=90, interval_ms=30)
    assert values(found) == expected
    assert found["complete"]


def test_what_is_too_much_to_sum_up_is_the_newest_and_says_so(samples: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_view, "AGGREGATED_ROWS_MAX", 3)
    found = history(samples, agg="count", start_ts=0, end_ts=90, interval_ms=90)
    assert (values(found), found["complete"]) == ([(45, 3)], False)
    found = history(samples, agg="count", start_ts=60, end_ts=90, interval_ms=90)
    assert (values(found), found["complete"]) == ([(75, 3)], True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"agg": "avg"}, "start_ts"),
        ({"agg": "avg", "start_ts": 0}, "end_ts"),
        ({"agg": "avg", "start_ts": 0, "end_ts": 10}, "interval_ms"),
        ({"agg": "avg", "start_ts": 10, "end_ts": 10, "interval_ms": 1}, "end_ts"),
        ({"agg": "avg", "start_ts": 0, "end_ts": 1001, "interval_ms": 1}, "interval_ms"),
        ({"agg": "avg", "start_ts": 0, "end_ts": 10, "interval_ms": 0}, "interval_ms"),
        ({"agg": "median"}, "agg"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"start_ts": 1 << 70}, "start_ts"),
    ],
)
def test_a_question_that_makes_no_sense_or_too_much_work_is_refused(
    samples: Api, query: dict[str, Any], field: str
) -> None:
    assert samples.fields("GET", "/devices/SN-1/history", params={"key": "t", **query}) == [field]


def test_a_thousand_intervals_are_not_too_many(samples: Api) -> None:
    assert len(history(samples, agg="count", start_ts=0, end_ts=1000, interval_ms=1)["items"]) == 11
    assert history(samples, limit=10_000)["complete"]


def test_a_device_has_what_thingsboard_sent_for_it(api: Api) -> None:
    stored(api, report("meter"))
    sinks = SinkStore(api.data_dir, "thingsboard")
    sinks.keep_shared_attributes("meter", {"interval_s": 60}, 5)
    sinks.keep_rpc("meter", {"id": 1, "method": "reboot"}, 6)
    sinks.close()
    shown = api.get("/devices/meter")
    assert shown["shared_attributes"] == {"interval_s": {"ts": 5, "value": 60}}
    assert shown["last_rpc"] == {"ts": 6, "value": {"id": 1, "method": "reboot"}}
