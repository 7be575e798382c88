"""What can go wrong around a running gateway."""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3

from gateway.storage.catalogue import FILE_NAME

from .harness import JSON, Gateway, coap_client, eventually
from .test_lifecycle import COUNTING, Sender, stored


def test_a_worker_that_is_stuck_is_killed_and_replaced(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    (stuck,) = gateway.worker_pids()
    os.kill(stuck, signal.SIGSTOP)
    eventually(lambda: "is killed" in gateway.log, "the supervisor has noticed", patience_s=40)
    eventually(lambda: gateway.log.count("listens on") == 2, "there is another worker")
    assert stuck not in gateway.worker_pids()
    assert coap_client("-m", "post", url, payload=JSON) == ""


def test_a_worker_that_is_started_again_has_the_settings_of_its_supervisor(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    (gateway.folder / ".env").write_text("GATEWAY_MAX_BODY_BYTES=oops\nGATEWAY_HISTORY_DAYS=1\n")
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    eventually(lambda: gateway.log.count("listens on") == 2, "the worker is back")
    assert coap_client("-m", "post", url, payload=JSON) == ""


def test_a_worker_that_can_not_be_started_is_tried_again(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    eventually(lambda: "can't be started: Too many open files" in gateway.log, "it can't be started")
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limits)
    eventually(lambda: gateway.log.count("listens on") == 2, "the worker is back")
    assert coap_client("-m", "post", url, payload=JSON) == ""
    assert gateway.stop() == 0


def test_a_spool_that_was_restored_from_a_backup_delivers_what_comes_next(gateway: Gateway) -> None:
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    first = Sender(gateway, url, sockets=1, uplinks=1)
    first.run(20)
    eventually(lambda: stored(gateway, 1) == {(0, 0)}, "the first one is in the device view")
    backup = gateway.folder / "backup.db"
    with contextlib.closing(sqlite3.connect(gateway.data_dir / "spool-0.db")) as source:
        source.execute("VACUUM INTO ?", (str(backup),))
    for _ in range(4):
        coap_client("-m", "post", url, payload=b'{"socket": 7, "n": 0, "ts": 1795000000000}')
    gateway.stop()
    for name in ("spool-0.db-wal", "spool-0.db-shm"):
        (gateway.data_dir / name).unlink(missing_ok=True)
    shutil.copy(backup, gateway.data_dir / "spool-0.db")
    gateway.start()
    later = Sender(gateway, url, sockets=3, uplinks=30)
    later.run(20)
    assert len(later.acknowledged) == 30
    eventually(lambda: stored(gateway, 3) >= later.acknowledged, "what came after the restore is delivered")
    first.close()
    later.close()


def test_an_unknown_value_in_the_catalogue_leaves_the_integrations_as_they_were(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    with contextlib.closing(sqlite3.connect(gateway.data_dir / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE integrations SET security_mode = 'OSCORE'")
        eventually(lambda: "'OSCORE' is not a valid SecurityMode" in gateway.log, "it says so")
        assert coap_client("-m", "post", url, payload=JSON) == ""
        connection.execute("UPDATE integrations SET security_mode = 'NO SECURE', enabled = 0")
    eventually(
        lambda: coap_client("-m", "post", url, payload=JSON).startswith("4.04"), "it follows the catalogue again"
    )


def test_very_many_integrations_with_long_names_do_not_choke_the_supervisor(gateway: Gateway) -> None:
    gateway.command("converter", "create", "c", "--language", "javascript", "--file", "-", text="return [];")
    with contextlib.closing(sqlite3.connect(gateway.data_dir / FILE_NAME)) as connection:
        connection.executemany(
            "INSERT INTO integrations VALUES (?, 'c', ?, 1, 'NO SECURE', '', '{}', 'none', 0, 'off', 0)",
            [(f"{number:04}" + "é" * 240, f"key-{number}") for number in range(1000)],
        )
        connection.commit()
    gateway.start()
    with gateway.client() as sock:
        for number in range(1000):
            path = b"\xb1i" + _option(f"key-{number}".encode())
            sock.send(b"\x40\x02" + number.to_bytes(2, "big") + path + b"\xffx")
            assert sock.recv(100) == b"\x60\x41" + number.to_bytes(2, "big")
    assert gateway.stop() == 0
    assert "1000 x 2.01" in gateway.log
    assert "Traceback" not in gateway.log


def _option(value: bytes) -> bytes:
    """A further Uri-Path of at most 12 bytes."""
    return bytes((len(value),)) + value
