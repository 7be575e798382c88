"""`gateway quarantine` without a running gateway: the command does it itself, under the gateway's lock."""

import contextlib
import fcntl
import json
import threading
import time
from collections.abc import Mapping

import pytest

from gateway.cli import quarantine
from gateway.model import Delivery, FailedUplink, Principal, StoredReport
from gateway.operations.quarantine import PORTION_UPLINKS
from gateway.storage.device_view import DeviceView
from gateway.storage.devices import DeviceStore
from gateway.storage.outbox import OutboxReader
from gateway.supervisor import LOCK_FILE
from tests.cli.conftest import Cli

RECEIVED_MS = 1_700_000_000_000
METADATA = {"Option:uri": "/i/k", "Option:content-format": "", "site": "B"}
TOLERANT = """
var text = String.fromCharCode.apply(null, payload);
if (text == "bad") throw new Error("I don't like it");
if (text == "none") return [];
return {deviceName: text, attributes: {site: metadata.site}, telemetry: {t: 1}};
"""


@pytest.fixture
def meters(cli: Cli) -> Cli:
    cli.ok("converter", "create", "c", "--language", "javascript", "--file", cli.write("c.js", TOLERANT))
    cli.ok("integration", "create", "meters", "--converter", "c")
    return cli


def keep(
    cli: Cli,
    *payloads: bytes,
    integration: str = "meters",
    principal: Principal | None = None,
    metadata: Mapping[str, str] = METADATA,
) -> None:
    """Have these in the quarantine."""
    with DeviceStore(cli.data_dir) as store:
        failed = [FailedUplink(integration, RECEIVED_MS, principal, one, metadata, "it broke") for one in payloads]
        store.apply("spool-0", [Delivery(store.position("spool-0") + 1, [], failed)])


def left(cli: Cli) -> list[str]:
    return [one["payload"] for one in cli.ok("quarantine", "list", "--format", "json").json]


def devices(cli: Cli) -> list[str]:
    with DeviceView(cli.data_dir) as view:
        return [device.name for device in view.devices()]


# -- looking -------------------------------------------------------------------------------------------


def test_show_prints_the_shape_that_scripts_rely_on(meters: Cli) -> None:
    keep(meters, b'{"t": 1}', principal=Principal("psk", "gw-7"))
    shown = meters.ok("quarantine", "show", "1", "--format", "json").json
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
    assert meters.ok("quarantine", "list", "--format", "json").json == [shown]


def test_show_and_list_for_people_say_the_same(meters: Cli) -> None:
    keep(meters, b"\x00\xff")
    out = meters.ok("quarantine", "show", "1").out
    for words in ("it broke", "00 ff", "In (hex):", "site", "2023-11-14 22:13:20.000Z"):
        assert words in out
    table = meters.ok("quarantine", "list").out
    assert table.splitlines()[-1].split()[:4] == ["1", "2023-11-14", "22:13:20.000Z", "meters"]


def test_list_can_choose_and_says_where_it_stopped(meters: Cli) -> None:
    keep(meters, b"a", b"b", b"c")
    keep(meters, b"d", integration="others")
    assert len(meters.ok("quarantine", "list", "--integration", "others", "--format", "json").json) == 1
    limited = meters("quarantine", "list", "--limit", "2", "--format", "json")
    assert [one["payload"] for one in limited.json] == ["a", "b"]
    assert "first 2 of 4" in limited.err


def test_before_the_first_start_it_is_empty(meters: Cli) -> None:
    assert left(meters) == []
    assert meters("quarantine", "show", "1").code == 1
    assert meters.ok("quarantine", "replay", "--all").out == "Replayed: 0. Still failing, and kept: 0.\n"


def test_a_payload_can_not_steer_the_terminal(meters: Cli) -> None:
    keep(meters, b"\x1b[2J")
    for arguments in (["list"], ["show", "1"]):
        assert "\x1b" not in meters.ok("quarantine", *arguments).out


# -- replaying -----------------------------------------------------------------------------------------


def test_what_succeeds_now_is_stored_as_of_its_first_receipt_and_leaves(meters: Cli) -> None:
    keep(meters, b"SN-1", b"bad", b"none")
    result = meters("quarantine", "replay", "--all")
    assert (result.code, result.err) == (1, "")
    assert result.out.splitlines() == [
        "1  meters  wrote SN-1",
        "2  meters  error: Error: I don't like it (line 3, column 30)",
        "3  meters  wrote no reports",
        "Replayed: 2. Still failing, and kept: 1.",
    ]
    assert left(meters) == ["bad"]
    shown = meters.ok("device", "show", "SN-1", "--history", "t", "--format", "json").json
    assert shown["history"] == [{"ts": RECEIVED_MS, "value": 1}]
    assert shown["last_seen_ts"] == RECEIVED_MS
    assert shown["attributes"]["site"] == {"ts": RECEIVED_MS, "value": "B"}


def test_a_replay_in_json_has_an_object_for_each_uplink(meters: Cli) -> None:
    keep(meters, b"SN-1", b"bad")
    replayed = meters("quarantine", "replay", "--all", "--format", "json").json
    about = {"id": 1, "integration": "meters", "sink": None}
    assert replayed[0] == {**about, "names": ["SN-1"], "error": None, "was_there": True}
    assert replayed[1]["error"].startswith("Error: I don't like it")


def test_a_dry_run_changes_nothing(meters: Cli) -> None:
    keep(meters, b"SN-1")
    assert "would write SN-1" in meters.ok("quarantine", "replay", "--all", "--dry-run").out
    assert left(meters) == ["SN-1"]
    assert devices(meters) == []


def test_the_converter_of_today_counts(meters: Cli) -> None:
    keep(meters, b"bad")
    assert meters("quarantine", "replay", "1").code == 1
    meters.ok("converter", "update", "c", "--file", meters.write("c.js", 'return {deviceName: "mended"};'))
    meters.ok("quarantine", "replay", "1")
    assert (left(meters), devices(meters)) == ([], ["mended"])


def test_ids_and_integrations_choose(meters: Cli) -> None:
    meters.ok("integration", "create", "others", "--converter", "c")
    keep(meters, b"a", b"b", b"c")
    keep(meters, b"d", integration="others")
    meters.ok("quarantine", "replay", "2", "2")
    assert left(meters) == ["a", "c", "d"]
    meters.ok("quarantine", "replay", "--integration", "others")
    assert left(meters) == ["a", "c"]
    meters.ok("quarantine", "delete", "1")
    assert left(meters) == ["c"]
    assert meters.ok("quarantine", "delete", "--all").out == "Deleted: 1.\n"
    assert left(meters) == []
    assert devices(meters) == ["b", "d"]


def test_more_than_fits_into_one_portion_is_replayed(meters: Cli) -> None:
    keep(meters, *(b"SN-%d" % n for n in range(PORTION_UPLINKS + 5)))
    meters.ok("quarantine", "replay", "--all")
    assert left(meters) == []
    assert len(devices(meters)) == PORTION_UPLINKS + 5


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["--all", "--integration", "meters"]])
@pytest.mark.parametrize("command", ["replay", "delete"])
def test_it_must_be_said_which_ones(meters: Cli, command: str, arguments: list[str]) -> None:
    result = meters("quarantine", command, *arguments)
    assert result.code == 2
    assert "--all" in result.err


@pytest.mark.parametrize("command", ["replay", "delete"])
def test_an_unknown_id_is_exit_1_and_nothing_is_done(meters: Cli, command: str) -> None:
    keep(meters, b"SN-1")
    result = meters("quarantine", command, "1", "7")
    assert result.code == 1
    assert "no uplink 7" in result.err
    assert left(meters) == ["SN-1"]


def test_the_identity_binding_of_today_holds_for_the_principal_of_then(meters: Cli) -> None:
    meters.set(COAP_SECURITY_MODE="MIXED")
    keep(meters, b"gw-7", b"gw-8", principal=Principal("psk", "gw-7"))
    keep(meters, b"gw-9")
    meters.ok("integration", "update", "meters", "--security-mode", "MIXED", "--identity-binding", "name")
    result = meters("quarantine", "replay", "--all")
    assert result.code == 1
    assert '"gw-7" may not write as "gw-8"' in result.out
    assert left(meters) == ["gw-8", "gw-9"]
    with DeviceView(meters.data_dir) as view:
        assert view.device("gw-7").principal == "gw-7"


def test_of_an_integration_that_is_gone_uplinks_stay(meters: Cli) -> None:
    keep(meters, b"SN-1")
    meters.ok("integration", "delete", "meters")
    result = meters("quarantine", "replay", "--all")
    assert result.code == 1
    assert "no integration named meters" in result.out
    assert left(meters) == ["SN-1"]


def test_of_an_integration_that_was_renamed_uplinks_are_found_by_its_endpoint(meters: Cli) -> None:
    meters.ok("integration", "update", "meters", "--name", "counters", "--path-prefix", "api/v2", "--routing-key", "k")
    for number, uri in enumerate(("/api/v2/i/k?a=/i/x", "/i/k", "/api/v2/i/k/", "", "/api/v2/i/K")):
        keep(meters, b"SN-%d" % number, metadata={**METADATA, "Option:uri": uri})
    result = meters("quarantine", "replay", "--all")
    assert result.code == 1
    assert "no integration named meters any more, and none with its endpoint" in result.out
    assert left(meters) == ["SN-1", "SN-2", "SN-3", "SN-4"]
    assert [(one.name, one.integration) for one in waiting_for_thingsboard(meters)] == [("SN-0", "counters")]


def test_the_endpoint_counts_more_than_a_name(meters: Cli) -> None:
    meters.ok("integration", "update", "meters", "--name", "counters", "--routing-key", "k")
    meters.ok("integration", "create", "meters", "--converter", "c", "--routing-key", "other")
    keep(meters, b"SN-1")
    meters.ok("quarantine", "replay", "--all")
    assert [one.integration for one in waiting_for_thingsboard(meters)] == ["counters"]


def test_update_only_keys_hold_for_a_replay_too(meters: Cli) -> None:
    meters.ok("converter", "update", "c", "--update-only-key", "t")
    keep(meters, b"SN-1", b"SN-1")
    meters.ok("quarantine", "replay", "1")
    meters.ok("quarantine", "replay", "2")
    history = meters.ok("device", "show", "SN-1", "--history", "t", "--format", "json").json["history"]
    assert len(history) == 1


# -- the lock ------------------------------------------------------------------------------------------


def test_it_waits_for_a_gateway_that_is_just_stopping(meters: Cli) -> None:
    keep(meters, b"SN-1")
    with (meters.data_dir / LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(0.8, lambda: fcntl.flock(lock, fcntl.LOCK_UN))
        timer.start()
        assert meters("quarantine", "replay", "--all").code == 0
        timer.join()
    assert left(meters) == []


def test_behind_a_gateway_that_can_not_be_asked_it_gives_up(meters: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "LOCK_PATIENCE_S", 0.1)
    keep(meters, b"SN-1")
    with (meters.data_dir / LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began_s = time.monotonic()
        result = meters("quarantine", "replay", "--all")
    assert result.code == 78
    assert "another gateway" in result.err
    assert time.monotonic() - began_s < 5
    assert left(meters) == ["SN-1"]


def test_json_is_ascii(meters: Cli) -> None:
    keep(meters, "Bärlin".encode())
    out = meters.ok("quarantine", "list", "--format", "json").out
    assert out.isascii()
    assert json.loads(out)[0]["payload"] == "Bärlin"


# -- reports that a receiver refused -------------------------------------------------------------------


REFUSED = StoredReport(
    "meters", RECEIVED_MS, "gw-7", "device", "SN-9", "meter", None, "G", {"fw": "1"}, [(RECEIVED_MS, {"t": 1})]
)


def refuse(cli: Cli) -> None:
    """Have a report in the quarantine that ThingsBoard refused."""
    with DeviceStore(cli.data_dir) as store:
        store.refuse(REFUSED, sink="thingsboard", reason="t is too large")


def waiting_for_thingsboard(cli: Cli) -> list[StoredReport]:
    with contextlib.closing(OutboxReader(cli.data_dir, sink="thingsboard")) as outbox:
        deliveries = outbox.read(after=0, max_batches=10, max_bytes=1 << 20)
    return [report for delivery in deliveries for report in delivery.reports]


def test_a_refused_report_is_shown_with_its_sink_as_a_converter_would_return_it(meters: Cli) -> None:
    refuse(meters)
    shown = meters.ok("quarantine", "show", "1", "--format", "json").json
    assert (shown["sink"], shown["integration"], shown["principal"]) == ("thingsboard", "meters", "gw-7")
    assert (shown["payload_format"], shown["error"]) == ("json", "t is too large")
    telemetry = [{"ts": RECEIVED_MS, "values": {"t": 1}}]
    names = {"deviceName": "SN-9", "deviceType": "meter", "groupName": "G"}
    assert json.loads(shown["payload"]) == {**names, "attributes": {"fw": "1"}, "telemetry": telemetry}
    table = meters.ok("quarantine", "show", "1").out
    assert "metadata" not in table
    for words in ("thingsboard", "Report:", '"deviceName": "SN-9"', "t is too large"):
        assert words in table
        assert words in meters.ok("quarantine", "list").out or words == "Report:"


def test_a_replay_sends_a_refused_report_to_its_sink_again_and_nowhere_else(meters: Cli) -> None:
    meters.set(TB_HOST="tb.example", TB_ACCESS_TOKEN="t")
    refuse(meters)
    keep(meters, b"SN-1")
    assert meters.ok("quarantine", "replay", "1", "--dry-run").out.startswith(
        "1  meters  would go to thingsboard again: SN-9\n"
    )
    assert waiting_for_thingsboard(meters) == []
    out = meters.ok("quarantine", "replay", "--all").out
    assert out.splitlines()[:2] == ["1  meters  goes to thingsboard again: SN-9", "2  meters  wrote SN-1"]
    assert {report.name for report in waiting_for_thingsboard(meters)} == {"SN-9", "SN-1"}
    assert devices(meters) == ["SN-1"]
    assert left(meters) == []


def test_a_refused_report_of_a_sink_that_is_off_stays(meters: Cli) -> None:
    refuse(meters)
    result = meters("quarantine", "replay", "--all")
    assert result.code == 1
    assert "1  meters  error: the sink thingsboard, which it is for, is not on" in result.out
    assert len(left(meters)) == 1
    assert waiting_for_thingsboard(meters) == []


def test_a_refused_report_is_deleted_for_good(meters: Cli) -> None:
    refuse(meters)
    assert meters.ok("quarantine", "delete", "1").out == "Deleted: 1.\n"
    assert (left(meters), waiting_for_thingsboard(meters), devices(meters)) == ([], [], [])
