"""A record as JSON."""

import json

from gateway.model import StoredReport
from gateway.sinks.as_json import as_json
from gateway.sinks.sink import Record
from tests.sinks.records import RECEIVED_MS, record


def test_a_report_has_thingsboards_names_and_where_it_comes_from() -> None:
    report = StoredReport(
        "demo",
        RECEIVED_MS,
        "sensor-1",
        "device",
        "SN-001",
        "default",
        "Tenants",
        "Floor 1",
        {"model": "A"},
        [(RECEIVED_MS - 1000, {"temperature": 25.7, "humidity": 69}), (RECEIVED_MS, {"ok": True})],
    )
    assert json.loads(as_json(Record("5e", 7, 2, report))) == {
        "id": "5e-7-2",
        "integration": "demo",
        "receivedTs": RECEIVED_MS,
        "principal": "sensor-1",
        "deviceName": "SN-001",
        "deviceType": "default",
        "customerName": "Tenants",
        "groupName": "Floor 1",
        "attributes": {"model": "A"},
        "telemetry": [
            {"ts": RECEIVED_MS - 1000, "values": {"temperature": 25.7, "humidity": 69}},
            {"ts": RECEIVED_MS, "values": {"ok": True}},
        ],
    }


def test_what_a_report_does_not_have_is_left_out_except_attributes_and_telemetry() -> None:
    made = json.loads(as_json(record(telemetry=[])))
    assert list(made) == ["id", "integration", "receivedTs", "deviceName", "deviceType", "attributes", "telemetry"]
    assert (made["attributes"], made["telemetry"]) == ({}, [])


def test_an_asset_has_an_assets_name_and_type() -> None:
    made = json.loads(as_json(record(kind="asset", name="Hall", type="office")))
    assert (made["assetName"], made["assetType"]) == ("Hall", "office")
    assert not {"deviceName", "deviceType"} & made.keys()


def test_no_text_makes_a_line_break() -> None:
    made = as_json(record(name="a\nb\r\u2028", attributes={"k\n": "v\r\n"}))
    assert b"\n" not in made
    assert b"\r" not in made
    assert json.loads(made)["deviceName"] == "a\nb\r\u2028"
