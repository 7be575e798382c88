"""What systemd hears, at a socket like its own."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.systemd import Notifier


@contextlib.contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A socket that hears datagrams at an address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        sock.settimeout(5)
        yield sock


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@gateway-test-{os.getpid()}-{tmp_path.name}"


def test_it_hears_a_line_for_each_variable(address: str) -> None:
    with manager(address) as sock:
        notifier = Notifier(address)
        notifier.ready("2 of 2 workers serve")
        notifier.alive()
        notifier.stopping()
        assert sock.recv(1000) == b"READY=1\nSTATUS=2 of 2 workers serve"
        assert sock.recv(1000) == b"WATCHDOG=1"
        assert sock.recv(1000) == b"STOPPING=1\nSTATUS=stopping"


def test_a_reload_has_the_time_of_the_monotonic_clock(address: str) -> None:
    with manager(address) as sock:
        Notifier(address).reloading()
        first, second = sock.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert int(second.partition("=")[2]) > 0


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@gateway-no-such-socket", "/" + "x" * 200])
def test_where_nobody_hears_nothing_happens(address: str) -> None:
    Notifier(address).ready("it serves")


def test_one_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address):
        for _ in range(2000):
            Notifier(address).alive()


def test_what_the_environment_says_is_taken_out_of_it() -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    assert Notifier.from_environment(environment).watchdog_s == 30.0
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_the_watchdog_is_there_where_it_is_meant_for_this_process(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_s == watchdog_s
