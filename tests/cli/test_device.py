"""`gateway device`, on what the device store really holds."""

import contextlib
from pathlib import Path

import pytest

from gateway.model import Delivery, JsonValue, StoredReport, Timeseries
from gateway.storage.devices import DeviceStore
from gateway.storage.sink_store import SinkStore
from tests.cli.conftest import Cli


def report(
    name: str,
    *,
    received_ms: int = 1_000,
    kind: str = "device",
    attributes: dict[str, JsonValue] | None = None,
    telemetry: Timeseries | None = None,
) -> StoredReport:
    return StoredReport(
        integration="meters",
        received_ms=received_ms,
        principal=None,
        kind="asset" if kind == "asset" else "device",
        name=name,
        type="default",
        customer="C",
        group=None,
        attributes=attributes or {},
        telemetry=telemetry or [],
    )


def store(data_dir: Path, *reports: StoredReport) -> None:
    devices = DeviceStore(data_dir)
    devices.apply("spool-0", [Delivery(1, list(reports))])
    devices.close()


@pytest.fixture
def thermometer(cli: Cli) -> Cli:
    store(
        cli.data_dir,
        report("SN-001", attributes={"model": "A"}, telemetry=[(900, {"t": 25.5}), (950, {"t": 25.6})]),
        report("SN-001", received_ms=2_000, telemetry=[(1_900, {"t": 25.7, "h": 69, "raw": {"a": [1]}})]),
    )
    return cli


def test_show_prints_the_shape_that_scripts_rely_on(thermometer: Cli) -> None:
    shown = thermometer.ok("device", "show", "SN-001", "--format", "json").json
    assert shown == {
        "name": "SN-001",
        "kind": "device",
        "type": "default",
        "first_seen_ts": 1_000,
        "last_seen_ts": 2_000,
        "customer": "C",
        "group": None,
        "principal": None,
        "attributes": {"model": {"ts": 1_000, "value": "A"}},
        "telemetry": {
            "t": {"ts": 1_900, "value": 25.7},
            "h": {"ts": 1_900, "value": 69},
            "raw": {"ts": 1_900, "value": {"a": [1]}},
        },
        "shared_attributes": {},
        "last_rpc": None,
    }
    assert list(shown)[:5] == ["name", "kind", "type", "first_seen_ts", "last_seen_ts"]


def test_show_with_history_adds_the_samples_of_that_key_in_order_of_time(thermometer: Cli) -> None:
    plain = thermometer.ok("device", "show", "SN-001", "--format", "json").json
    shown = thermometer.ok("device", "show", "SN-001", "--history", "t", "--format", "json").json
    samples = [{"ts": 900, "value": 25.5}, {"ts": 950, "value": 25.6}, {"ts": 1_900, "value": 25.7}]
    assert shown == plain | {"history": samples}
    newest = thermometer.ok("device", "show", "SN-001", "--history", "t", "--limit", "2", "--format", "json")
    assert newest.json["history"] == samples[1:]
    none = thermometer.ok("device", "show", "SN-001", "--history", "nothing", "--format", "json")
    assert none.json["history"] == []


def test_show_for_people_has_the_same_in_tables(thermometer: Cli) -> None:
    out = thermometer.ok("device", "show", "SN-001", "--history", "t").out
    for line in (
        ["name", "SN-001"],
        ["customer", "C"],
        ["first", "seen", "1970-01-01", "00:00:01.000Z"],
        ["model", "A", "1970-01-01", "00:00:01.000Z"],
        ["t", "25.7", "1970-01-01", "00:00:01.900Z"],
        ["25.5", "1970-01-01", "00:00:00.900Z"],
    ):
        assert line in [found.split() for found in out.splitlines()]


def test_show_has_what_thingsboard_sent_for_the_device(thermometer: Cli) -> None:
    call = {"id": 7, "method": "reboot", "params": {}}
    with contextlib.closing(SinkStore(thermometer.data_dir, "thingsboard")) as sinks:
        sinks.keep_shared_attributes("SN-001", {"interval": 60, "mode": {"a": 1}}, 3_000)
        sinks.keep_shared_attributes("SN-002", {"other": 1}, 3_000)
        sinks.keep_rpc("SN-001", call, 4_000)
    shown = thermometer.ok("device", "show", "SN-001", "--format", "json").json
    assert shown["shared_attributes"] == {
        "interval": {"ts": 3_000, "value": 60},
        "mode": {"ts": 3_000, "value": {"a": 1}},
    }
    assert shown["last_rpc"] == {"ts": 4_000, "value": call}
    rows = [line.split() for line in thermometer.ok("device", "show", "SN-001").out.splitlines()]
    assert ["interval", "60", "1970-01-01", "00:00:03.000Z"] in rows
    assert any(row[:2] == ["reboot", '{"id":'] and row[-1] == "00:00:04.000Z" for row in rows)


def test_an_asset_has_nothing_of_the_device_of_its_name(cli: Cli) -> None:
    store(cli.data_dir, report("A", kind="asset"))
    with contextlib.closing(SinkStore(cli.data_dir, "thingsboard")) as sinks:
        sinks.keep_shared_attributes("A", {"x": 1}, 1)
    assert cli.ok("device", "show", "A", "--asset", "--format", "json").json["shared_attributes"] == {}


def test_an_unknown_device_is_exit_1(thermometer: Cli) -> None:
    result = thermometer("device", "show", "SN-002", "--format", "json")
    assert (result.code, result.out) == (1, "")
    assert "SN-002" in result.err


def test_an_asset_of_the_same_name_is_another_one(cli: Cli) -> None:
    store(cli.data_dir, report("A"), report("A", kind="asset", received_ms=3_000))
    assert cli.ok("device", "show", "A", "--format", "json").json["kind"] == "device"
    assert cli.ok("device", "show", "A", "--asset", "--format", "json").json["last_seen_ts"] == 3_000


def test_list_prints_the_summaries(cli: Cli) -> None:
    store(cli.data_dir, report("b"), report("a"), report("o", kind="asset"))
    rows = cli.ok("device", "list", "--format", "json").json
    assert {row["name"]: row["kind"] for row in rows} == {"a": "device", "b": "device", "o": "asset"}
    assert {
        "name": "a",
        "kind": "device",
        "type": "default",
        "first_seen_ts": 1_000,
        "last_seen_ts": 1_000,
    } in rows
    table = [line.split() for line in cli.ok("device", "list").out.splitlines()]
    assert ["a", "device", "default", "1970-01-01", "00:00:01.000Z", "1970-01-01", "00:00:01.000Z"] in table


def test_list_can_search_and_says_where_it_stopped(cli: Cli) -> None:
    store(cli.data_dir, *(report(f"SN-{n:03}") for n in range(5)))
    (found,) = cli.ok("device", "list", "--search", "-003", "--format", "json").json
    assert found["name"] == "SN-003"
    limited = cli("device", "list", "--limit", "2", "--format", "json")
    assert (limited.code, len(limited.json)) == (0, 2)
    assert "--limit" in limited.err
    assert len(cli.ok("device", "list", "--limit", "5", "--format", "json").json) == 5


def test_before_the_first_uplink_the_list_is_empty(cli: Cli) -> None:
    assert cli.ok("device", "list", "--format", "json").json == []
    assert cli("device", "show", "SN-001").code == 1


def test_a_devices_name_can_not_steer_the_terminal(cli: Cli) -> None:
    store(cli.data_dir, report("\x1b[2J", attributes={"\x1b]0;x": "\x07"}, telemetry=[(1, {"\x1b": "\x1b"})]))
    for arguments in (["list"], ["list", "--format", "json"], ["show", "\x1b[2J", "--history", "\x1b"]):
        out = cli.ok("device", *arguments).out
        assert "\x1b" not in out
        assert "\x07" not in out
