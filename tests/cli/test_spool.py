"""`gateway spool`, without a gateway and beside one."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import spool_drain
from gateway.cli.spool import age_text
from gateway.cli.spool_backlog import Backlog
from gateway.cli.spool_watch import complain, watch
from gateway.command_socket import serving
from gateway.model import JsonValue
from gateway.storage.device_view import DeviceView
from gateway.storage.devices import DeviceStore
from gateway.storage.spool import find_spools
from gateway.storage.spool_reader import SpoolReader
from gateway.supervisor import exclusive
from tests.cli.conftest import Cli
from tests.mqtt_sessions import judge
from tests.ports import free_tcp_port
from tests.scripted_mqtt import Ignore, ScriptedServer
from tests.sinks.records import ids_in
from tests.sinks.spools import Spools, failed, stored

RECEIVED_MS = 1_785_000_000_000
IDLE = {"state": "stopped", "since_ts": None, "delivered": 0, "refused": 0, "rate_per_s": 0.0, "last_error": None}


@pytest.fixture
def spools(cli: Cli) -> Spools:
    """Three uplinks of two workers wait, two of them in one batch."""
    cli.data_dir.mkdir()
    spools = Spools(cli.data_dir)
    spools.commit(0, [stored("a", RECEIVED_MS), stored("b", RECEIVED_MS + 2)])
    spools.commit(1, [stored("c", RECEIVED_MS + 1)])
    return spools


def statuses(cli: Cli) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in cli.ok("spool", "status", "--format", "json").json}


def waiting(cli: Cli) -> dict[str, int]:
    return {name: one["waiting_uplinks"] for name, one in statuses(cli).items()}


@contextlib.contextmanager
def answering(data_dir: Path, *told: dict[str, JsonValue]) -> Iterator[None]:
    """A gateway that answers the command `sinks` with this."""

    async def sinks(of: JsonValue) -> JsonValue:
        return list(told)

    async def serve() -> None:
        async with serving(data_dir, {"sinks": sinks}):
            ready.set()
            await asyncio.to_thread(stop.wait)

    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        stop.set()
        thread.join()


def told(name: str, **changes: JsonValue) -> dict[str, JsonValue]:
    """A sink as the gateway tells of it."""
    waits = {"waiting_uplinks": 0, "waiting_bytes": 0, "oldest_ts": None}
    about = {"name": name, "destination": f"to {name}", "since_ts": 1, "delivered": 5, "refused": 1, "rate_per_s": 2.5}
    return {**about, "state": "connected", **waits, "last_error": None, **changes}


REFUSED = {"trouble": "refused", "message": "does not let us in", "hint": "set TB_ACCESS_TOKEN", "ts": RECEIVED_MS}


# -- status --------------------------------------------------------------------------------------------


def test_without_a_gateway_the_files_tell_what_waits(cli: Cli, spools: Spools) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl", TB_HOST="tb.example", TB_ACCESS_TOKEN="t")
    shown = cli.ok("spool", "status", "--format", "json").json
    assert [one["name"] for one in shown] == ["devices", "thingsboard", "jsonl"]
    assert [one["destination"] for one in shown] == ["devices.db", "mqtt://tb.example:1883", "out.jsonl"]
    for one in shown:
        waits = {"waiting_uplinks": 3, "oldest_ts": RECEIVED_MS}
        assert one.pop("waiting_bytes") > 100
        assert one == {"name": one["name"], "destination": one["destination"], **IDLE, **waits}
    assert not (cli.folder / "out.jsonl").exists()
    assert not (cli.data_dir / "sinks.db").exists()


def test_before_the_first_start_nothing_waits_and_nothing_is_made(cli: Cli) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    assert waiting(cli) == {"devices": 0, "jsonl": 0}
    assert cli.ok("spool", "drain").out == "Drained: devices, jsonl. Nothing had to be delivered.\n"
    assert not cli.data_dir.exists()


def test_a_sink_that_can_not_be_made_is_told_with_its_cure(cli: Cli, spools: Spools) -> None:
    cli.set(TB_HOST="tb.example", TB_ACCESS_TOKEN="t", TB_USERNAME="u")
    error = statuses(cli)["thingsboard"]["last_error"]
    assert error["trouble"] == "misconfigured"
    assert "exclude each other" in error["message"]
    assert error["hint"]
    drained = cli("spool", "drain")
    assert drained.code == 78
    assert "exclude each other" in drained.err


def test_the_table_has_a_line_for_each_sink_and_the_last_error_with_its_cure(cli: Cli) -> None:
    cli.data_dir.mkdir()
    thingsboard = told(
        "thingsboard", state="refused", waiting_uplinks=1234, waiting_bytes=56_789, oldest_ts=0, last_error=REFUSED
    )
    with answering(cli.data_dir, told("devices"), thingsboard):
        out = cli.ok("spool", "status").out
        assert cli.ok("spool", "status", "--format", "json").json == [told("devices"), thingsboard]
    rows = [line.split() for line in out.splitlines()]
    assert ["devices", "connected", "0", "0", "2.5", "5", "1", "to", "devices"] in rows
    (row,) = (row for row in rows if row[:2] == ["thingsboard", "refused"])
    assert row[2:4] == ["1,234", "56,789"]
    assert "refused: does not let us in" in out
    assert out.endswith("    set TB_ACCESS_TOKEN\n")


def test_what_a_receiver_said_can_not_steer_the_terminal(cli: Cli) -> None:
    cli.data_dir.mkdir()
    error = REFUSED | {"message": "\x1b[2J"}
    with answering(cli.data_dir, told("http", state="refused", last_error=error)):
        assert "\x1b" not in cli.ok("spool", "status").out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-5, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min")),
        *((86_399, "23 h 59 min"), (86_400, "1 d 0 h"), (400_000, "4 d 15 h")),
    ],
)
def test_an_age_has_its_largest_two_units(seconds: int, text: str) -> None:
    assert age_text(seconds * 1000) == text


# -- drain without a gateway ---------------------------------------------------------------------------


def test_where_no_gateway_runs_everything_is_delivered_here(cli: Cli, spools: Spools) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    drained = cli("spool", "drain")
    assert (drained.code, drained.out) == (0, "Drained: devices, jsonl. Uplinks delivered: 6.\n"), drained
    assert "jsonl" in drained.err  # how it went
    lines = (cli.folder / "out.jsonl").read_bytes()
    assert len(ids_in(lines)) == 3
    assert [json.loads(line)["deviceName"] for line in lines.splitlines()] == ["a", "c", "b"]
    with DeviceView(cli.data_dir) as view:
        assert [device.name for device in view.devices()] == ["a", "b", "c"]
    assert waiting(cli) == {"devices": 0, "jsonl": 0}
    again = cli.ok("spool", "drain", "--format", "json").json
    assert [(one["name"], one["uplinks"], one["left_uplinks"]) for one in again] == [("devices", 0, 0), ("jsonl", 0, 0)]


def test_uplinks_that_a_converter_failed_on_are_no_obstacle(cli: Cli, spools: Spools) -> None:
    spools.commit(0, [failed(RECEIVED_MS)])
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    assert cli("spool", "drain").code == 0
    assert waiting(cli) == {"devices": 0, "jsonl": 0}


def test_what_is_replayed_for_one_sink_is_waited_for_there_alone(cli: Cli, spools: Spools) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    assert cli("spool", "drain").code == 0
    with DeviceStore(cli.data_dir) as store:
        store.refuse(stored("d", RECEIVED_MS), sink="jsonl", reason="too large")
    cli.ok("quarantine", "replay", "--all")
    assert waiting(cli) == {"devices": 0, "jsonl": 1}
    assert cli("spool", "drain").code == 0
    assert len((cli.folder / "out.jsonl").read_bytes().splitlines()) == 4


def test_a_sink_that_can_not_be_reached_is_exit_1_with_what_is_left_and_the_cure(cli: Cli, spools: Spools) -> None:
    port = free_tcp_port()
    cli.set(TB_HOST="127.0.0.1", TB_PORT=str(port), TB_ACCESS_TOKEN="t")
    drained = cli("spool", "drain", "--timeout", "1")
    assert (drained.code, drained.out) == (1, "")
    assert (
        "error: thingsboard: 3 of 3 uplinks are not delivered after 1 s; it is unreachable: no connection"
        in drained.err
    )
    assert "hint: see whether TB_HOST and TB_PORT are right" in drained.err
    assert "devices: " not in drained.err.partition("error:")[2]
    assert waiting(cli) == {"devices": 0, "thingsboard": 3}
    (devices, thingsboard) = cli("spool", "drain", "--timeout", "1", "--format", "json").json
    assert devices["left_uplinks"] == 0
    assert (thingsboard["uplinks"], thingsboard["left_uplinks"], thingsboard["state"]) == (3, 3, "unreachable")
    assert thingsboard["last_error"]["hint"]


def test_a_drain_to_thingsboard_ends_when_all_is_acknowledged(cli: Cli, spools: Spools) -> None:
    with ScriptedServer() as server:
        cli.set(TB_HOST="127.0.0.1", TB_PORT=str(server.port), TB_ACCESS_TOKEN="t")
        server.judge = lambda publish: Ignore()
        silent = cli("spool", "drain", "--sink", "thingsboard", "--timeout", "0.5")
        assert silent.code == 1
        assert "3 of 3 uplinks are not delivered after 0.5 s" in silent.err
    with ScriptedServer() as server:
        cli.set(TB_PORT=str(server.port))
        drained = cli("spool", "drain", "--sink", "thingsboard")
        assert (drained.code, drained.out) == (0, "Drained: thingsboard. Uplinks delivered: 3.\n"), drained
        contract = judge(server.sessions)
        assert contract.violations == []
        assert set(contract.telemetry) == {"a", "b", "c"}


def test_an_unknown_sink_is_exit_1_and_the_others_are_named(cli: Cli, spools: Spools) -> None:
    drained = cli("spool", "drain", "--sink", "kafka")
    assert drained.code == 1
    assert "hint: there are devices; " in drained.err


def test_behind_a_gateway_that_can_not_be_asked_it_gives_up(
    cli: Cli, spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_drain, "LOCK_PATIENCE_S", 0.1)
    with exclusive(cli.data_dir):
        drained = cli("spool", "drain")
    assert drained.code == 78
    assert "another gateway" in drained.err


# -- drain beside a gateway ----------------------------------------------------------------------------


def test_where_a_gateway_runs_it_is_watched_alone(cli: Cli, spools: Spools) -> None:
    with answering(cli.data_dir, told("devices", state="misconfigured", last_error=REFUSED)):
        drained = cli("spool", "drain", "--timeout", "0.3")
    assert drained.code == 1
    assert (
        "devices: 3 of 3 uplinks are not delivered after 0.3 s; it is misconfigured: does not let us in" in drained.err
    )
    assert not (cli.data_dir / "devices.db").exists()


def test_what_comes_later_is_not_waited_for(cli: Cli, spools: Spools) -> None:
    def deliver_and_get_more() -> list[dict[str, JsonValue]]:
        spools.commit(0, [stored("later", RECEIVED_MS + n) for n in range(5)])
        with DeviceStore(cli.data_dir) as store:
            for path in find_spools(cli.data_dir).values():
                with contextlib.closing(SpoolReader(path)) as reader:
                    store.apply(reader.identity, reader.read(after=0, max_batches=1, max_bytes=1))
        return [told("devices")]

    result = watch(Backlog(cli.data_dir, ["devices"]), deliver_and_get_more, deadline_s=time.monotonic() + 20)
    assert (result.total, result.left, result.is_complete) == ({"devices": 3}, {"devices": 0}, True)
    assert waiting(cli)["devices"] >= 5


def test_a_gateway_that_ends_meanwhile_is_said(cli: Cli, spools: Spools) -> None:
    result = watch(Backlog(cli.data_dir, ["devices"]), lambda: None, deadline_s=0.0)
    assert (result.total, result.left) == ({"devices": 3}, {"devices": 3})
    assert "the gateway has ended" in complain(result, 1.0).message


def test_on_a_terminal_there_is_a_bar_for_each_sink(cli: Cli, spools: Spools) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "gateway", "spool", "drain"]
    with open(ours, "rb", buffering=0) as terminal:
        with open(theirs, "wb") as stderr:
            environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            while part := terminal.read(4096):
                shown += part
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"Drained: devices, jsonl. Uplinks delivered: 6.\n")
    for words in (b"devices, ", b"jsonl, ", b"3/3"):
        assert words in shown
