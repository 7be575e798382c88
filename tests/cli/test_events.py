"""`gateway events`, on what the event store really holds."""

import time
from typing import Any

import pytest

from gateway.model import DebugMode
from gateway.storage.events import EventStore
from tests.cli.conftest import Cli
from tests.storage.test_events import event

NOW_MS = time.time_ns() // 1_000_000


def store(cli: Cli, *events: dict[str, Any]) -> None:
    kept = EventStore(cli.data_dir)
    kept.add(events)
    kept.close()


@pytest.fixture
def meters(cli: Cli) -> Cli:
    cli.converter()
    cli.ok("integration", "create", "meters", "--converter", "tutorial", "--debug", "all")
    return cli


def test_events_prints_the_shape_that_scripts_rely_on(meters: Cli) -> None:
    store(meters, event(1_000))
    assert meters.ok("events", "meters", "--format", "json").json == [
        {
            "id": 1,
            "ts": 1_000,
            "integration": "meters",
            "peer": "192.0.2.1:5683",
            "principal": "gw-7",
            "payload_format": "hex",
            "payload": "00 ff…",
            "payload_hex": "00ff",
            "payload_bytes": 9_000,
            "metadata": {"site": "B"},
            "out": {"deviceName": "a"},
            "error": None,
            "duration_ms": 0.012,
            "names": ["a"],
        }
    ]


def test_events_for_people_is_a_table_with_the_newest_last(meters: Cli) -> None:
    store(meters, event(1_000), event(2_000, error="broken"), event(3_000, "others"))
    first, second = meters.ok("events", "meters").out.splitlines()[2:]
    assert " ".join(first.split()) == '1970-01-01 00:00:01.000Z 192.0.2.1:5683 gw-7 0.01 ms 00 ff… {"deviceName":"a"}'
    assert second.split()[-2:] == ["error:", "broken"]


def test_limit_takes_the_newest_and_errors_what_failed(meters: Cli) -> None:
    store(meters, event(1), event(2, error="e"), event(3, error="e"), event(4))
    for options, times in ((["--limit", "2"], [3, 4]), (["--errors"], [2, 3]), (["--errors", "--limit", "1"], [3])):
        assert [e["ts"] for e in meters.ok("events", "meters", *options, "--format", "json").json] == times


def test_an_output_that_was_cut_comes_as_text(meters: Cli) -> None:
    store(meters, event() | {"out": '{"deviceNa…'})
    assert meters.ok("events", "meters", "--format", "json").json[0]["out"] == '{"deviceNa…'


def test_where_debugging_is_off_it_says_how_to_switch_it_on(meters: Cli) -> None:
    assert meters.ok("events", "meters", "--format", "json").json == []
    meters.ok("integration", "update", "meters", "--debug", "failures")
    assert "records failures only" in meters("events", "meters").err
    assert meters("events", "meters", "--errors").err == ""
    meters.ok("integration", "update", "meters", "--debug", "off")
    for options in ([], ["--errors"]):
        result = meters("events", "meters", *options)
        assert result.code == 0
        assert "gateway integration update meters --debug all" in result.err


def test_an_unknown_integration_is_exit_1(meters: Cli) -> None:
    result = meters("events", "others")
    assert result.code == 1
    assert "there are: meters" in result.err


def test_a_payload_can_not_steer_the_terminal(meters: Cli) -> None:
    store(meters, event(error="\x1b[2J") | {"payload": "G1syShtbMko=", "peer": "\x1b", "out": "\x1b"})
    for format in ("table", "json"):
        assert "\x1b" not in meters.ok("events", "meters", "--format", format).out


@pytest.mark.parametrize("mode", list(DebugMode))
def test_integration_shows_the_debug_mode_that_is_in_force(meters: Cli, mode: DebugMode) -> None:
    meters.ok("integration", "update", "meters", "--debug", mode)
    shown = meters.ok("integration", "show", "meters", "--format", "json").json
    assert shown["debug"] == mode
    if mode is DebugMode.ALL:
        assert 14 * 60_000 < shown["debug_until_ts"] - time.time_ns() // 1_000_000 <= 15 * 60_000
        assert "then failures" in meters.ok("integration", "show", "meters").out
    else:
        assert shown["debug_until_ts"] is None
    meters.ok("integration", "update", "meters", "--metadata", "a=b")
    again = meters.ok("integration", "show", "meters", "--format", "json").json
    assert again["debug_until_ts"] == shown["debug_until_ts"]


def test_events_of_an_integration_that_was_renamed_are_under_its_old_name(meters: Cli) -> None:
    store(meters, event(1_000))
    meters.ok("integration", "update", "meters", "--name", "counters")
    assert [one["ts"] for one in meters.ok("events", "meters", "--format", "json").json] == [1_000]
    assert meters("events", "others").code == 1
