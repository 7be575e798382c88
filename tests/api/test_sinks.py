"""Sinks over HTTP, as the running gateway tells of them."""

from pathlib import Path

from tests.api.rig import Api


def test_without_a_gateway_nobody_can_tell(tmp_path: Path) -> None:
    assert "gateway serve" in Api(tmp_path).problem("GET", "/sinks", 503)["hint"]


def test_each_sink_says_how_it_is_doing(tmp_path: Path) -> None:
    api = Api(tmp_path, gateway_jsonl_sink_path=str(tmp_path / "reports.jsonl"))
    with api.delivery():
        said = api.get("/sinks")
    assert (said["total"], said["next"]) == (2, None)
    devices, jsonl = said["items"]
    assert (devices["name"], devices["destination"], devices["state"]) == ("devices", "devices.db", "connected")
    assert (jsonl["name"], jsonl["destination"]) == ("jsonl", str(tmp_path / "reports.jsonl"))
    assert (jsonl["waiting_uplinks"], jsonl["waiting_bytes"], jsonl["oldest_ts"]) == (0, 0, None)
