"""A backup of a gateway under load, put back after all was lost: what had been acknowledged is there, and once."""

import contextlib
import os
import shutil
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code
from gateway.storage.quarantine import QuarantineView

from .harness import Gateway, eventually
from .test_lifecycle import COUNTING, Sender, stored

FAILING = "throw 'no good';"


class Failing:
    """A device whose uplinks all fail, one after the other, each with a payload of its own."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self.options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
        self.socket = gateway.client()
        self.refused: list[bytes] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.stop.is_set():
            number = len(self.refused)
            self.socket.send(encode_message(Type.CON, Code.POST, number, b"", self.options, b"%d" % number))
            with contextlib.suppress(ConnectionRefusedError, socket.timeout):
                if parse_message(self.socket.recv(2048)).code == Code.BAD_REQUEST:
                    self.refused.append(b"%d" % number)

    def __enter__(self) -> "Failing":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self.socket.close()


def lose_everything(gateway: Gateway) -> None:
    """End it as a power failure does, and take away its disk."""
    for pid in [gateway.pid, *gateway.worker_pids()]:
        os.kill(pid, signal.SIGKILL)
    gateway.wait()
    shutil.rmtree(gateway.data_dir)


def quarantined(gateway: Gateway) -> Counter[bytes]:
    """How often each failed uplink was kept."""
    with contextlib.closing(QuarantineView(gateway.data_dir)) as view:
        return Counter(one.uplink.payload for one in view.uplinks(limit=100_000))


def test_what_was_acknowledged_before_a_backup_under_load_is_in_it_once(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="2")
    url = gateway.add_integration("count", COUNTING)
    bad_url = gateway.add_integration("bad", FAILING)
    gateway.start()
    sender = Sender(gateway, url, sockets=20, uplinks=20_000)
    sending = threading.Thread(target=sender.run, args=(3.0,))
    with Failing(gateway, bad_url) as failing:
        sending.start()
        eventually(lambda: len(sender.acknowledged) > 500 and len(failing.refused) > 20, "uplinks are acknowledged")
        acknowledged, refused = set(sender.acknowledged), list(failing.refused)
        gateway.command("backup", "backup")
        assert sending.is_alive()  # it was under load all the time
    lose_everything(gateway)
    sending.join()
    sender.close()
    gateway.command("restore", "backup")
    gateway.start()
    eventually(lambda: stored(gateway, 20) >= acknowledged, "what was acknowledged before it is there")
    kept = quarantined(gateway)
    assert kept.keys() >= set(refused)
    assert set(kept.values()) == {1}
    later = Sender(gateway, url, sockets=25, uplinks=100)
    later.run(20.0)
    later.close()
    assert len(later.acknowledged) == 100
    eventually(lambda: stored(gateway, 25) >= later.acknowledged, "what comes after it is delivered")


def test_what_waits_in_the_spools_is_in_the_backup(gateway: Gateway) -> None:
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    sender = Sender(gateway, url, sockets=4, uplinks=200)
    with gateway.held_database("devices.db"):
        sender.run(20.0)
        gateway.command("backup", "backup")
        lose_everything(gateway)
    sender.close()
    gateway.command("restore", "backup")
    assert stored(gateway, 4) == set()
    gateway.start()
    assert len(sender.acknowledged) == 200
    eventually(lambda: stored(gateway, 4) == sender.acknowledged, "all of it is delivered")


def test_a_running_gateway_is_not_restored(gateway: Gateway) -> None:
    gateway.add_integration("count", COUNTING)
    gateway.start()
    gateway.command("backup", "backup")
    assert f"another gateway (process {gateway.pid})" in gateway.command("restore", "backup", "--replace", code=78)
