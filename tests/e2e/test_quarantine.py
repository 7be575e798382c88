"""Uplinks that a converter failed on: kept before they are answered, through kill -9, and run again."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code

from .harness import JSON, Gateway, coap_client, eventually
from .secure import MakeGateway

FAILING = 'throw new Error("not yet written");'
COUNTING = """
var text = String.fromCharCode.apply(null, payload);
return {deviceName: "device", telemetry: [{ts: 1700000000000 + Number(text), values: {n: Number(text)}}]};
"""


def quarantined(gateway: Gateway) -> list[str]:
    """The payloads, in the order in which they came in."""
    return [one["payload"] for one in gateway.json("quarantine", "list", "--limit", "100000")]


def mend(gateway: Gateway, name: str, source: str = COUNTING) -> None:
    gateway.command("converter", "update", name, "--file", "-", text=source)


def history(gateway: Gateway) -> list[int]:
    """The numbers in the history of `device`, in order of time."""
    shown: dict[str, Any] = gateway.device("device", "--history", "n")
    return [sample["value"] for sample in shown["history"]]


def flood(gateway: Gateway, url: str, numbers: range, patience_s: float = 2.0) -> set[int]:
    """Send each number once; gives those that were answered 4.00 within the patience after the last one."""
    options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
    refused = set()
    with gateway.client() as sock:

        def collect(wait_s: float) -> None:
            while select.select([sock], [], [], wait_s)[0]:
                try:
                    message = parse_message(sock.recv(2048))
                except ConnectionRefusedError:
                    continue
                if message.code == Code.BAD_REQUEST:
                    refused.add(message.mid)

        for number in numbers:
            try:
                sock.send(encode_message(Type.CON, Code.POST, number, b"", options, b"%d" % number))
            except ConnectionRefusedError:
                break
            collect(0.0)
            if number % 20 == 0:
                time.sleep(0.005)
        collect(patience_s)
    return refused


def test_a_failed_uplink_is_kept_and_runs_again_when_the_converter_is_mended(gateway: Gateway) -> None:
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    before_ms = time.time_ns() // 1_000_000
    assert coap_client("-m", "post", url, payload=b"7").startswith("4.00 Error: not yet written")
    after_ms = time.time_ns() // 1_000_000
    eventually(lambda: quarantined(gateway) == ["7"], "it is in the quarantine")
    assert "not yet written" in gateway.command("quarantine", "show", "1")
    assert "Still failing, and kept: 1" in gateway.command("quarantine", "replay", "--all", code=1)
    mend(gateway, "late", "return {deviceName: 'device', telemetry: {n: 7}};")
    gateway.command("quarantine", "replay", "--all", "--dry-run")
    assert quarantined(gateway) == ["7"]
    gateway.command("quarantine", "replay", "--all")
    assert quarantined(gateway) == []
    shown = gateway.device("device", "--history", "n")
    ((sample),) = shown["history"]
    assert before_ms <= sample["ts"] <= after_ms
    assert shown["first_seen_ts"] == sample["ts"]


def test_an_uplink_is_deleted_while_the_gateway_runs(gateway: Gateway) -> None:
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    for payload in (b"1", b"2", b"3"):
        coap_client("-m", "post", url, payload=payload)
    eventually(lambda: len(quarantined(gateway)) == 3, "they are in the quarantine")
    gateway.command("quarantine", "delete", "2")
    assert quarantined(gateway) == ["1", "3"]
    gateway.command("quarantine", "delete", "--all")
    assert quarantined(gateway) == []


def test_kill_9_loses_nothing_that_was_answered_4_00_and_keeps_nothing_twice(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(GATEWAY_HISTORY_DAYS="10000")
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    answered: set[int] = set()
    for start in (0, 2000, 4000):
        killer = threading.Timer(0.2, _kill_all, [gateway])
        killer.start()
        answered |= flood(gateway, url, range(start, start + 2000), 0.3)
        killer.join()
        gateway.wait()
        gateway.start()
    eventually(lambda: {int(n) for n in quarantined(gateway)} >= answered, "all that was answered is kept")
    kept = quarantined(gateway)
    assert 100 < len(answered) < 6000
    assert len(kept) == len(set(kept))
    mend(gateway, "late")
    gateway.command("quarantine", "replay", "--all")
    assert quarantined(gateway) == []
    assert history(gateway) == sorted(map(int, kept))


def test_kill_9_in_a_replay_loses_nothing_and_repeats_nothing(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(GATEWAY_HISTORY_DAYS="10000")
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    answered = flood(gateway, url, range(1500))
    eventually(lambda: len(quarantined(gateway)) >= len(answered), "all that was answered is kept")
    kept = quarantined(gateway)
    mend(gateway, "late")
    replay = subprocess.Popen(
        [sys.executable, "-m", "gateway", "quarantine", "replay", "--all"],
        env=gateway.environment,
        cwd=gateway.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    eventually(lambda: len(quarantined(gateway)) < len(kept), "the replay has begun")
    _kill_all(gateway)
    gateway.wait()
    replay.communicate(timeout=20)
    left = quarantined(gateway)
    if left:  # what is in the quarantine is not in the history, and the other way round
        assert not set(map(int, left)) & set(history(gateway))
    gateway.start()
    gateway.command("quarantine", "replay", "--all")
    assert quarantined(gateway) == []
    assert history(gateway) == sorted(map(int, kept))


def test_a_flood_of_failures_keeps_no_good_uplink_out(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(GATEWAY_SPOOL_MAX_BYTES=str(1 << 18))
    url = gateway.add_integration("late", FAILING)
    good = gateway.add_demo("json")
    gateway.start()
    with gateway.held_database("devices.db"):  # nothing is delivered, so spools fill
        answered = flood(gateway, url, range(3000))
        assert len(answered) == 3000
        for _ in range(20):
            assert coap_client("-m", "post", good, payload=JSON) == ""
    eventually(lambda: quarantined(gateway), "those that found room are in the quarantine")
    kept = quarantined(gateway)
    assert 50 < len(kept) < 1000
    assert len(kept) == len(set(kept))
    assert coap_client("-m", "post", url, payload=b"9999").startswith("4.00")
    eventually(lambda: quarantined(gateway)[-1] == "9999", "there is room again")


def test_the_oldest_go_where_the_quarantine_is_full(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(GATEWAY_QUARANTINE_ROWS="10")
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    assert len(flood(gateway, url, range(300))) == 300
    eventually(lambda: quarantined(gateway) == [str(n) for n in range(290, 300)], "the newest ten are there")
    assert "the quarantine is full" in gateway.log


def test_a_blocked_disk_answers_no_4_00_before_it_is_kept(gateway: Gateway) -> None:
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    with gateway.held_database("spool-0.db"):
        assert flood(gateway, url, range(1), 1.0) == set()
    eventually(lambda: quarantined(gateway) == ["0"], "it is kept when the disk is back")


def test_a_stop_keeps_what_was_answered(gateway: Gateway) -> None:
    url = gateway.add_integration("late", FAILING)
    gateway.start()
    answered = flood(gateway, url, range(500))
    assert gateway.stop() == 0
    gateway.start()
    eventually(lambda: {int(n) for n in quarantined(gateway)} >= answered, "it is all there")
    assert "Traceback" not in gateway.log
    assert not (gateway.stop() or (gateway.data_dir / "gateway.sock").exists())


def _kill_all(gateway: Gateway) -> None:
    for pid in [gateway.pid, *gateway.worker_pids()]:
        os.kill(pid, signal.SIGKILL)
