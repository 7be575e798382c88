"""The device store: what reports add up to, exactly once."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gateway.errors import ConfigurationError
from gateway.model import JsonValue
from gateway.storage import devices as devices_module
from gateway.storage.device_schema import FILE_NAME
from gateway.storage.device_view import DeviceSummary, DeviceView, Sample
from gateway.storage.devices import DeviceStore
from tests.storage.reports import SPOOL, delivery, report


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path) as store:
        yield store


@pytest.fixture
def view(tmp_path: Path) -> Iterator[DeviceView]:
    with DeviceView(tmp_path) as view:
        yield view


# -- what a device is --------------------------------------------------------------------------------


def test_a_first_report_makes_the_device(store: DeviceStore, view: DeviceView) -> None:
    first = report(
        "SN-001",
        [(900, {"temperature": 25.7, "humidity": 69})],
        received_ms=1_000,
        type="thermometer",
        customer="C",
        group="G",
        principal="psk:sn-001",
        attributes={"model": "A"},
    )
    store.apply(SPOOL, [delivery(1, first)])
    details = view.device("SN-001")
    assert details.kind == "device"
    assert (details.name, details.type, details.customer, details.group) == ("SN-001", "thermometer", "C", "G")
    assert (details.principal, details.first_seen_ts, details.last_seen_ts) == ("psk:sn-001", 1_000, 1_000)
    assert details.attributes == {"model": Sample(1_000, "A")}
    assert details.telemetry == {"temperature": Sample(900, 25.7), "humidity": Sample(900, 69)}


def test_a_report_without_values_makes_a_device_too(store: DeviceStore, view: DeviceView) -> None:
    store.apply(SPOOL, [delivery(1, report("SN-001"))])
    assert (view.device("SN-001").attributes, view.device("SN-001").telemetry) == ({}, {})


def test_a_device_keeps_its_type_and_takes_customer_and_group_where_they_are_given(
    store: DeviceStore, view: DeviceView
) -> None:
    store.apply(
        SPOOL,
        [
            delivery(1, report("SN-001", type="a", customer="C1", group="G1"), report("SN-001", type="b", group="G2")),
            delivery(2, report("SN-001", type="c", customer="C2")),
            delivery(3, report("SN-001", type="d")),
        ],
    )
    assert view.devices() == [DeviceSummary("device", "SN-001", "a", "C2", "G2", None, 1_000, 1_000)]


def test_devices_and_assets_of_one_name_are_two_things(store: DeviceStore, view: DeviceView) -> None:
    store.apply(
        SPOOL,
        [
            delivery(
                1, report("X", [(1, {"t": 1})]), report("X", [(1, {"t": 2})], kind="asset", type="office"), report("x")
            )
        ],
    )
    assert [(summary.name, summary.kind, summary.type) for summary in view.devices()] == [
        ("X", "asset", "office"),
        ("X", "device", "default"),
        ("x", "device", "default"),
    ]
    assert view.device("X").telemetry["t"].value == 1
    assert view.device("X", kind="asset").telemetry["t"].value == 2


def test_seen_times_and_principal_follow_the_time_of_receipt_not_of_arrival(
    store: DeviceStore, view: DeviceView
) -> None:
    store.apply(SPOOL, [delivery(1, report("SN-001", received_ms=2_000, principal="second"))])
    store.apply(
        "spool-1",
        [delivery(1, report("SN-001", received_ms=1_000, principal="first"), report("SN-001", received_ms=1_500))],
    )
    summary = view.device("SN-001")
    assert (summary.first_seen_ts, summary.last_seen_ts, summary.principal) == (1_000, 2_000, "second")
    store.apply(SPOOL, [delivery(2, report("SN-001", received_ms=2_000))])
    assert view.device("SN-001").principal is None


# -- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
def test_the_attribute_received_last_wins(store: DeviceStore, view: DeviceView, together: bool) -> None:
    deliveries = [
        delivery(1, report("SN-001", received_ms=2_000, attributes={"model": "A", "fw": "1"})),
        delivery(2, report("SN-001", received_ms=1_000, attributes={"model": "late", "hw": 7})),
        delivery(3, report("SN-001", received_ms=2_000, attributes={"fw": "2"})),
    ]
    for part in [deliveries] if together else [[single] for single in deliveries]:
        store.apply(SPOOL, part)
    assert view.device("SN-001").attributes == {
        "fw": Sample(2_000, "2"),
        "hw": Sample(1_000, 7),
        "model": Sample(2_000, "A"),
    }


@pytest.mark.parametrize("together", [True, False])
def test_the_latest_telemetry_is_the_one_of_the_greatest_time_and_of_equals_the_last(
    store: DeviceStore, view: DeviceView, together: bool
) -> None:
    deliveries = [
        delivery(1, report("SN-001", [(20, {"t": 1, "h": 1}), (10, {"t": 2, "x": 2})])),
        delivery(2, report("SN-001", [(20, {"t": 3})])),
        delivery(3, report("SN-001", [(19, {"h": 4}), (-5, {"before 1970": 5})])),
    ]
    for part in [deliveries] if together else [[single] for single in deliveries]:
        store.apply(SPOOL, part)
    assert view.device("SN-001").telemetry == {
        "before 1970": Sample(-5, 5),
        "h": Sample(20, 1),
        "t": Sample(20, 3),
        "x": Sample(10, 2),
    }
    assert view.history("SN-001", "t") == [Sample(10, 2), Sample(20, 3)]


VALUES: list[JsonValue] = [
    True,
    1,
    1.0,
    "1",
    False,
    0,
    -0.0,
    "",
    None,
    "null",
    2**53 + 1,
    -(2**63),
    2**64 - 1,
    5e-324,
    1.7976931348623157e308,
    0.1,
    "Grüße \u0000 \U0001f321 \" ' \\",
    [],
    {},
    {"a": [1, 1.0, True, {"b": None}]},
]


def test_values_come_back_as_what_they_were(store: DeviceStore, view: DeviceView) -> None:
    values = {f"key {number}": value for number, value in enumerate(VALUES)}
    store.apply(SPOOL, [delivery(1, report("SN-001", [(5, values)], attributes=values))])
    details = view.device("SN-001")
    for key, value in values.items():
        stored = [details.attributes[key], details.telemetry[key], *view.history("SN-001", key)]
        # Python finds True, 1 and 1.0 equal; their JSON is not.
        assert [orjson.dumps(sample.value) for sample in stored] == [orjson.dumps(value)] * 3
        assert {type(sample.value) for sample in stored} == {type(value)}


def test_any_text_is_a_name_or_a_key(store: DeviceStore, view: DeviceView) -> None:
    names = ["", " ", "a\u0000b", "a\u0000c", "ä", "a\u0308", "'; DROP TABLE devices; --", "\U0001f321", "x" * 10_000]
    store.apply(SPOOL, [delivery(1, *(report(name, [(1, {name: name})]) for name in names))])
    assert sorted(summary.name for summary in view.devices()) == sorted(names)
    for name in names:
        assert view.device(name).telemetry == {name: Sample(1, name)}


def test_a_time_too_great_to_be_stored_does_not_keep_other_reports_waiting(
    store: DeviceStore, view: DeviceView
) -> None:
    store.apply(SPOOL, [delivery(1, report("odd", [(2**64 - 1, {"t": 1})]), report("SN-001", [(1, {"t": 2})]))])
    assert view.device("odd").telemetry == {"t": Sample(2**63 - 1, 1)}
    assert view.history("odd", "t") == [Sample(2**63 - 1, 1)]
    assert view.device("SN-001").telemetry == {"t": Sample(1, 2)}


# -- exactly once --------------------------------------------------------------------------------------


def test_the_position_follows_each_spool_by_itself(store: DeviceStore, tmp_path: Path) -> None:
    assert store.position(SPOOL) == 0
    store.apply(SPOOL, [delivery(3), delivery(7)])
    store.apply("spool-1", [delivery(2)])
    store.apply(SPOOL, [])
    assert (store.position(SPOOL), store.position("spool-1"), store.position("spool-2")) == (7, 2, 0)
    store.close()
    with DeviceStore(tmp_path) as reopened:
        assert (reopened.position(SPOOL), reopened.position("spool-1")) == (7, 2)


def test_what_was_applied_already_is_skipped(store: DeviceStore, view: DeviceView) -> None:
    first, second = (delivery(n, report("SN-001", [(5, {"n": n})], received_ms=n)) for n in (1, 2))
    store.apply(SPOOL, [first, second])
    store.apply(SPOOL, [first])
    store.apply(SPOOL, [first, second, delivery(3, report("SN-001", [(6, {"n": 3})], received_ms=3))])
    assert view.history("SN-001", "n") == [Sample(5, 2), Sample(6, 3)]
    assert view.device("SN-001").last_seen_ts == 3
    assert store.position(SPOOL) == 3


# -- memory and files ----------------------------------------------------------------------------------


def test_ids_are_forgotten_when_there_are_too_many_and_found_again(
    store: DeviceStore, view: DeviceView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module, "CACHE_ENTRIES", 3)
    for round in range(1, 6):
        reports = (report(f"SN-{n}", [(round, {"a": n, f"b{round}": n})], customer=f"C{round}") for n in range(4))
        store.apply(SPOOL, [delivery(round, *reports)])
    for n in range(4):
        details = view.device(f"SN-{n}")
        assert details.customer == "C5"
        assert details.telemetry["a"] == Sample(5, n)
        assert len(details.telemetry) == 6
        assert [sample.ts for sample in view.history(f"SN-{n}", "a")] == [1, 2, 3, 4, 5]


def test_without_history_there_is_only_the_latest(tmp_path: Path, view: DeviceView) -> None:
    with DeviceStore(tmp_path, keep_history=False) as store:
        store.apply(SPOOL, [delivery(1, report("SN-001", [(1, {"t": 1}), (2, {"t": 2})]))])
    assert view.device("SN-001").telemetry == {"t": Sample(2, 2)}
    assert view.history("SN-001", "t") == []


def test_a_store_that_is_damaged_is_named_with_its_cure(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivery(1, *(report(f"SN-{n}", [(n, {"t": n})]) for n in range(500)))])
    path = tmp_path / FILE_NAME
    damaged = bytearray(path.read_bytes())
    damaged[8192:] = b"\xa5" * (len(damaged) - 8192)
    path.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=r"devices\.db is damaged") as caught, DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivery(2, *(report(f"SN-{n}", [(n, {"t": n})]) for n in range(500)))])
    assert "restore devices.db from a backup" in caught.value.hint
    with pytest.raises(ConfigurationError, match=r"devices\.db is damaged"), DeviceView(tmp_path) as view:
        view.devices()
