"""The gateway as systemd runs it: what it is told, and what a reload changes."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dtls.certificates import server

from .harness import PATIENCE_S, Gateway, eventually
from .secure import secure, validity, write_certificate, write_key


class Manager:
    """The socket at which systemd hears."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE_S)
        self.heard: list[str] = []
        """All messages so far."""

    def until(self, beginning: str) -> None:
        """Wait for a message that begins so."""
        while not (self.heard and self.heard[-1].startswith(beginning)):
            self.heard.append(self.socket.recv(4096).decode())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    with made.socket:
        yield made


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway], manager: Manager) -> Gateway:
    made = make_gateway(GATEWAY_WORKERS="2")
    made.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    return made


def test_systemd_hears_when_it_is_ready_alive_and_ends(gateway: Gateway, manager: Manager) -> None:
    gateway.launch()
    manager.until("READY=1")
    assert manager.heard[-1] == "READY=1\nSTATUS=2 of 2 workers serve"
    assert gateway.log.count("listens on") == 2
    manager.until("WATCHDOG=1")
    victim = gateway.worker_pid(1)
    os.kill(victim, signal.SIGKILL)
    manager.until("STATUS=1 of 2 workers serve")
    manager.until("READY=1\nSTATUS=2 of 2 workers serve")
    os.kill(gateway.pid, signal.SIGTERM)
    manager.until("STOPPING=1")
    assert gateway.wait() == 0


def test_its_children_can_not_speak_for_it(gateway: Gateway, manager: Manager) -> None:
    gateway.launch()
    manager.until("READY=1")
    for pid in gateway.worker_pids():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environment
        assert b"WATCHDOG_USEC" not in environment


def test_one_that_can_not_be_ready_is_not_said_to_be(gateway: Gateway, manager: Manager) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", gateway.port))
        gateway.launch()
        assert gateway.wait() == 78
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(4096)


def test_sighup_takes_a_new_certificate_at_once_and_ends_nothing(gateway: Gateway, manager: Manager) -> None:
    secure(gateway, TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_ENABLED="false")
    gateway.launch()
    manager.until("READY=1")
    workers = gateway.worker_pids()
    later = server("localhost", **validity(last_day=400))
    write_certificate(gateway.folder / "coapserver.pem", later)
    write_key(gateway.folder / "coapserver_key.pem", later)
    (gateway.folder / ".env").write_text("GATEWAY_HISTORY_DAYS=1\n")
    os.kill(gateway.pid, signal.SIGHUP)
    manager.until("RELOADING=1\nMONOTONIC_USEC=")
    manager.until("READY=1")
    assert gateway.log.count("new handshakes use the certificate of now") == 2
    eventually(lambda: "reloaded: 2 of 2 workers have looked at the files" in gateway.log, "it says what was done")
    eventually(lambda: "wait for a restart: GATEWAY_HISTORY_DAYS" in gateway.log, "it says what was not")
    assert gateway.worker_pids() == workers
    assert gateway.stop() == 0


def test_a_certificate_that_can_not_be_used_leaves_the_old_one(gateway: Gateway, manager: Manager) -> None:
    secure(gateway)
    gateway.launch()
    manager.until("READY=1")
    (gateway.folder / "coapserver.pem").write_text("oops")
    os.kill(gateway.pid, signal.SIGHUP)
    manager.until("RELOADING=1")
    manager.until("READY=1")
    assert gateway.log.count("the server's certificate stays as it was") >= 2
    assert gateway.stop() == 0
