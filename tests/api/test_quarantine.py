"""The quarantine over HTTP, with the part of the gateway that writes the device store."""

from pathlib import Path
from typing import Any

import pytest

from gateway.api.routes import quarantine as quarantine_route
from gateway.model import Delivery, FailedUplink, Principal
from gateway.operations import quarantine as quarantine_operations
from gateway.storage.devices import DeviceStore
from tests.api.rig import Api
from tests.e2e.harness import eventually
from tests.storage.reports import report

RECEIVED_MS = 1_700_000_000_000
METADATA = {"Option:uri": "/i/k", "Option:content-format": "", "site": "B"}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    api = Api(tmp_path)
    api.integration()
    return api


def keep(api: Api, *payloads: bytes, integration: str = "meters", principal: Principal | None = None) -> None:
    with DeviceStore(api.data_dir) as store:
        failed = [FailedUplink(integration, RECEIVED_MS, principal, one, METADATA, "it broke") for one in payloads]
        store.apply("spool-0", [Delivery(store.position("spool-0") + 1, [], failed)])


def left(api: Api) -> list[str]:
    return [one["payload"] for one in api.get("/quarantine")["items"]]


def devices(api: Api) -> list[str]:
    return [one["name"] for one in api.get("/devices")["items"]]


def test_an_uplink_is_what_the_command_line_prints(api: Api) -> None:
    keep(api, b'{"t": 1}', principal=Principal("psk", "gw-7"))
    shown = api.get("/quarantine/1")
    assert shown == {
        "id": 1,
        "received_ts": RECEIVED_MS,
        "integration": "meters",
        "principal": "gw-7",
        "principal_type": "psk",
        "payload_format": "json",
        "payload": '{"t": 1}',
        "payload_hex": b'{"t": 1}'.hex(),
        "metadata": METADATA,
        "error": "it broke",
        "sink": None,
    }
    assert api.get("/quarantine") == {"items": [shown], "total": 1, "next": None}
    api.problem("GET", "/quarantine/2", 404)
    api.problem("GET", f"/quarantine/{1 << 63}", 422)


def test_a_list_goes_on_behind_an_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(api, b"a", b"b", b"c")
    keep(api, b"d", integration="others")
    first = api.get("/quarantine", limit=2)
    assert ([one["id"] for one in first["items"]], first["total"], first["next"]) == ([1, 2], 4, 2)
    assert [one["id"] for one in api.get("/quarantine", after=2)["items"]] == [3, 4]
    others = api.get("/quarantine", integration="others")
    assert ([one["id"] for one in others["items"]], others["total"]) == ([4], 1)
    monkeypatch.setattr(quarantine_route, "LISTED_BYTES", 1)
    assert api.get("/quarantine")["next"] == 1


def test_what_succeeds_now_is_stored_as_of_its_first_receipt_and_leaves(api: Api) -> None:
    keep(api, b"SN-1", b"bad", principal=Principal("psk", "gw-7"))
    with api.delivery():
        done = api.ok("POST", "/quarantine/replay", json={"all": True})
        assert done == {
            "items": [
                {"id": 1, "integration": "meters", "sink": None, "names": ["SN-1"], "error": None, "was_there": True},
                {
                    "id": 2,
                    "integration": "meters",
                    "sink": None,
                    "names": [],
                    "error": "Error: I don't like it (line 3, column 30)",
                    "was_there": True,
                },
            ],
            "replayed": 1,
            "failed": 1,
            "next": None,
        }
    assert left(api) == ["bad"]
    device = api.get("/devices/SN-1")
    assert (device["last_seen_ts"], device["principal"]) == (RECEIVED_MS, "gw-7")
    assert device["attributes"]["site"]["value"] == "B"


def test_a_dry_run_changes_nothing_and_needs_no_gateway(api: Api) -> None:
    keep(api, b"SN-1")
    done = api.ok("POST", "/quarantine/replay", json={"ids": [1], "dry_run": True})
    assert (done["replayed"], done["items"][0]["names"]) == (1, ["SN-1"])
    assert left(api) == ["SN-1"]
    assert devices(api) == []


def test_without_a_gateway_nothing_is_replayed_or_deleted(api: Api) -> None:
    keep(api, b"SN-1")
    api.problem("POST", "/quarantine/replay", 503, json={"all": True})
    api.problem("POST", "/quarantine/delete", 503, json={"all": True})
    api.problem("DELETE", "/quarantine/1", 503)
    assert left(api) == ["SN-1"]


@pytest.mark.parametrize(
    "choice", [{}, {"ids": []}, {"ids": [1], "all": True}, {"integration": "meters", "all": True}, {"ids": [7]}]
)
def test_a_choice_that_is_none_is_refused(api: Api, choice: dict[str, Any]) -> None:
    for path in ("/quarantine/replay", "/quarantine/delete"):
        api.problem("POST", path, 404 if choice == {"ids": [7]} else 422, json=choice)


def test_many_are_replayed_in_portions_and_the_answer_says_where_it_goes_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_operations, "PORTION_UPLINKS", 2)
    monkeypatch.setattr(quarantine_route, "PORTION_UPLINKS", 2)
    monkeypatch.setattr(quarantine_route, "LIMIT_MAX", 4)
    keep(api, *(b"SN-%d" % n for n in range(1, 6)))
    with api.delivery():
        first = api.ok("POST", "/quarantine/replay", json={"integration": "meters"})
        assert (first["replayed"], first["next"]) == (4, 4)
        second = api.ok("POST", "/quarantine/replay", json={"integration": "meters", "after": 4})
        assert (second["replayed"], second["next"]) == (1, None)
    assert len(devices(api)) == 5


def test_an_integration_that_is_gone_is_why_it_still_fails(api: Api) -> None:
    keep(api, b"SN-1", integration="gone")
    done = api.ok("POST", "/quarantine/replay", json={"all": True, "dry_run": True})
    assert "no integration named gone" in done["items"][0]["error"]


def test_an_uplink_that_never_ends_is_said_and_stays(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.converter_runs.REPLAY_S", 1.0)
    with api.catalogue() as catalogue:
        from dataclasses import replace

        from gateway.model import Language

        endless = "def decode(payload, metadata):\n    while True: pass"
        catalogue.update_converter(
            "meters", replace(catalogue.converter("meters"), language=Language.PYTHON, source=endless)
        )
    keep(api, b"SN-1")
    assert "did not end" in api.problem("POST", "/quarantine/replay", 422, json={"all": True})["detail"]
    assert left(api) == ["SN-1"]


def test_uplinks_are_deleted_for_good(api: Api) -> None:
    keep(api, b"a", b"b", b"c", b"d")
    with api.delivery():
        assert api.ok("DELETE", "/quarantine/1") is None
        api.problem("DELETE", "/quarantine/1", 404)
        assert api.ok("POST", "/quarantine/delete", json={"ids": [2, 2]}) == {"deleted": 1, "next": None}
        assert api.ok("POST", "/quarantine/delete", json={"integration": "meters"})["deleted"] == 2
    assert left(api) == []
    assert devices(api) == []


def test_a_report_that_a_receiver_refused_is_sent_to_its_sink_again(tmp_path: Path) -> None:
    api = Api(tmp_path, gateway_jsonl_sink_path=str(tmp_path / "reports.jsonl"))
    with DeviceStore(api.data_dir) as store:
        store.refuse(report("meter"), sink="jsonl", reason="too long")
        store.refuse(report("meter"), sink="gone", reason="too long")
    with api.delivery():
        assert [one["sink"] for one in api.get("/quarantine")["items"]] == ["jsonl", "gone"]
        mine, others = api.ok("POST", "/quarantine/replay", json={"all": True})["items"]
        assert (mine["sink"], mine["names"], mine["error"], mine["was_there"]) == ("jsonl", ["meter"], None, True)
        assert others["error"] == "the sink gone, which it is for, is not on"
        written = tmp_path / "reports.jsonl"
        eventually(lambda: written.exists() and written.read_text(), "the report is written")
    assert '"deviceName":"meter"' in written.read_text()
