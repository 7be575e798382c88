"""`gateway tap`, on what is written while it looks."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_events import store
from tests.storage.test_events import event


@pytest.fixture
def meters(cli: Cli) -> Cli:
    cli.converter()
    for name in ("meters", "others"):
        cli.ok("integration", "create", name, "--converter", "tutorial", "--debug", "all")
    return cli


@contextmanager
def tapping(cli: Cli, said: list[str], *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `gateway tap`, from when it follows; what was there before is not shown."""
    store(cli, event(1), event(1, error="before"))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "tap", "--format", "json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "Waiting" not in (line := process.stderr.readline()):
            assert line, "it has ended"
            said.append(line)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "times"),
    [
        (["--integration", "meters"], [10, 11, 12]),
        (["--integration", "meters", "--errors"], [11]),
        (["--integration", "meters", "--device", "a"], [10, 11, 12]),
        (["--integration", "meters", "--device", "gw-7"], [10, 11, 12]),
        (["--device", "192.0.2.9"], [13]),
        (["--device", "192.0.2.9:1"], [13]),
        (["--device", "2001:db8::1"], [14]),
    ],
)
def test_it_shows_what_comes_and_is_asked_for_one_object_a_line(
    meters: Cli, options: list[str], times: list[int]
) -> None:
    with tapping(meters, [], *options, "--limit", str(len(times))) as process:
        store(meters, event(10), event(11, error="e"), event(12))
        store(meters, event(13, "others") | {"peer": "192.0.2.9:1"}, event(14, "others") | {"peer": "[2001:db8::1]:1"})
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0
    assert [json.loads(line)["ts"] for line in out.splitlines()] == times


def test_where_debugging_is_off_it_says_how_to_switch_it_on(meters: Cli) -> None:
    for name in ("meters", "others"):
        meters.ok("integration", "update", name, "--debug", "off")
    said: list[str] = []
    with tapping(meters, said):
        pass
    ((hint),) = said
    assert "debugging is off" in hint
    assert "integration update NAME --debug all" in hint


def test_an_unknown_integration_is_exit_1(meters: Cli) -> None:
    assert meters("tap", "--integration", "nobody").code == 1
