"""Debugging an integration of a running gateway: events, and the tap."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.model import Code
from gateway.storage.catalogue import FILE_NAME

from .dtls_device import Device, psk_config
from .harness import JSON, PATIENCE_S, Gateway, coap_client, eventually
from .secure import PSK_IDENTITY, PSK_KEY, MakeGateway, endpoints, secure
from .test_lifecycle import COUNTING, Sender

BAD = b'{"deviceName": 7}'


def events(gateway: Gateway, name: str = "json", *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.json("events", name, "--limit", "10000", *options)
    return found


def debug(gateway: Gateway, mode: str, url: str, name: str = "json") -> None:
    """Switch a debug mode on, and wait until the worker knows it: until a failure leaves an event, or none."""
    gateway.command("integration", "update", name, "--debug", mode)
    if mode == "off":
        return

    def leaves_an_event() -> bool:
        coap_client("-m", "post", url, payload=b"probe" if mode == "failures" else JSON)
        time.sleep(0.3)
        return bool(events(gateway, name))

    eventually(leaves_an_event, "the worker records events")


@contextlib.contextmanager
def tap(gateway: Gateway, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `gateway tap`; it follows when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "tap", "--format", "json", *options],
        env=gateway.environment,
        cwd=gateway.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "Waiting" not in (line := process.stderr.readline()):
            assert line, "it has ended"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_event_says_what_came_from_where_and_what_became_of_it(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--debug", "all")
    gateway.start()
    with gateway.client() as sock:
        port = sock.getsockname()[1]
    assert coap_client("-m", "post", "-p", str(port), "-t", "50", url, payload=JSON) == ""
    assert coap_client("-m", "post", "-p", str(port), url, payload=BAD).startswith("4.00")
    eventually(lambda: len(events(gateway)) == 2, "both have left an event")
    good, bad = events(gateway)
    assert good["peer"] == bad["peer"] == f"127.0.0.1:{port}"
    assert (good["payload_format"], good["payload"]) == ("json", JSON.decode())
    assert good["metadata"]["Option:content-format"] == "50"
    assert (good["out"]["deviceName"], good["names"], good["error"]) == ("SN-001", ["SN-001"], None)
    assert 0 < good["duration_ms"] < 1000
    assert "deviceName must be a text" in bad["error"]
    assert bad["out"]["deviceName"] == 7
    assert [event["id"] for event in events(gateway, "json", "--errors")] == [bad["id"]]


def test_the_mode_is_followed_while_it_runs_and_survives_a_worker(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    for payload in (JSON, BAD):
        coap_client("-m", "post", url, payload=payload)
    debug(gateway, "failures", url)
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    eventually(lambda: gateway.log.count("listens on") == 2, "the worker is back")
    before = len(events(gateway))
    for payload in (JSON, BAD):
        coap_client("-m", "post", url, payload=payload)
    eventually(lambda: len(events(gateway)) == before + 1, "the failure has left an event")
    assert events(gateway)[-1]["payload"] == BAD.decode()


def test_all_ends_by_itself_and_failures_go_on(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    debug(gateway, "all", url)
    with contextlib.closing(sqlite3.connect(gateway.data_dir / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE integrations SET debug_until_ms = ?", (time.time_ns() // 1_000_000 + 700,))
    eventually(lambda: gateway.json("integration", "show", "json")["debug"] == "failures", "all is over")

    def failures() -> int:
        return sum(event["payload"] == BAD.decode() for event in events(gateway))

    def the_failure_alone_leaves_an_event() -> bool:
        all_before, failures_before = len(events(gateway)), failures()
        for payload in (JSON, BAD):
            coap_client("-m", "post", url, payload=payload)
        eventually(lambda: failures() > failures_before, "the failure, which came last, has left its event")
        return len(events(gateway)) == all_before + 1

    eventually(the_failure_alone_leaves_an_event, "the worker goes by it too")


def test_an_upload_in_blocks_leaves_an_event_with_its_address(gateway: Gateway) -> None:
    url = gateway.add_integration("long", "return {deviceName: 'd', telemetry: {n: payload.length}};", "--debug", "all")
    gateway.start()
    assert coap_client("-m", "post", url, payload=b"x" * 20_000) == ""
    eventually(lambda: events(gateway, "long"), "it has left an event")
    ((event),) = events(gateway, "long")
    assert event["peer"].startswith("127.0.0.1:")
    assert event["payload_bytes"] == 20_000
    assert event["payload"].endswith("…")
    assert event["out"]["telemetry"] == {"n": 20_000}


def test_over_dtls_an_event_has_the_principal_and_the_address_of_the_moment(make_gateway: MakeGateway) -> None:
    gateway = secure(make_gateway())
    gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--security-mode", "DTLS", "--debug", "all")
    gateway.start()
    device = Device(gateway.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY)).connect()
    url = endpoints(gateway, "json")["coaps"]
    ports = []
    for _ in range(2):
        assert device.post(url).code == Code.CREATED
        ports.append(device.port)
        device.move()
    device.close()
    eventually(lambda: len(events(gateway)) == 2, "both have left an event")
    assert [event["peer"] for event in events(gateway)] == [f"127.0.0.1:{port}" for port in ports]
    assert {event["principal"] for event in events(gateway)} == {PSK_IDENTITY}


@pytest.mark.parametrize(("options", "wanted"), [([], ["SN-001", None]), (["--errors"], [None])])
def test_the_tap_shows_uplinks_as_they_come(gateway: Gateway, options: list[str], wanted: list[str | None]) -> None:
    url = gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--debug", "all")
    gateway.start()
    with tap(gateway, "--integration", "json", "--limit", str(len(wanted)), *options) as process:
        for payload in (JSON, BAD):
            coap_client("-m", "post", url, payload=payload)
        out, _ = process.communicate(timeout=PATIENCE_S)
    shown = [json.loads(line) for line in out.splitlines()]
    assert [(event["names"] or [None])[0] for event in shown] == wanted


def test_a_flood_under_debugging_is_stored_whole_and_its_events_stay_within_their_bound(
    make_gateway: MakeGateway,
) -> None:
    gateway = make_gateway(GATEWAY_EVENTS_ROWS="100")
    url = gateway.add_integration("count", COUNTING, "--debug", "all")
    gateway.start()
    sender = Sender(gateway, url, sockets=10, uplinks=3000)
    sender.run(60)
    sender.close()
    assert (len(sender.acknowledged), sender.refused) == (3000, [])
    eventually(lambda: 0 < len(events(gateway, "count")) <= 100, "the oldest events are gone")
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.log


def test_a_disk_that_stalls_the_events_stalls_no_uplink(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--debug", "all")
    gateway.start()
    with gateway.held_database("events.db"):
        began_s = time.monotonic()
        for _ in range(5):
            assert coap_client("-m", "post", url, payload=JSON) == ""
        assert time.monotonic() - began_s < 4
    eventually(lambda: events(gateway), "events are kept again")
