"""Runs the real gateway as its users do: as a process, configured by environment variables, steered by its commands."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.ports import free_port

DEMO = Path(__file__).parents[2] / "scripts" / "demo"
TEXT = b"SN-001,default,temperature,25.7,humidity,69\n"
JSON = b'{"deviceName": "SN-001", "deviceType": "default", "temperature": 25.7, "humidity": 69}'
BINARY = bytes.fromhex("534e2d30303164656661756c7432352e373639")
PATIENCE_S = 20.0
START_S = 60.0
"""How long a gateway may take to start: it makes its files, on a disk that other tests write to as well."""


def eventually(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds; fails after `patience_s`."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {patience_s} s in vain: {what}"
        time.sleep(0.02)


class Gateway:
    """A gateway on a data directory and ports of its own."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = free_port()
        self.dtls_port = free_port()
        known = ("COAP_", "TB_", "GATEWAY_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(known)},
            "GATEWAY_DATA_DIR": str(self.data_dir),
            "COAP_BIND_ADDRESS": "127.0.0.1",
            "COAP_BIND_PORT": str(self.port),
            "COAP_DTLS_BIND_ADDRESS": "127.0.0.1",
            "COAP_DTLS_BIND_PORT": str(self.dtls_port),
            "GATEWAY_WORKERS": "1",
            "GATEWAY_HTTP_ENABLED": "false",
            **settings,
        }
        self.log_file = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str, code: int = 0, text: str | None = None) -> str:
        """Run `gateway …`; gives what it printed, its errors too where it is expected to fail."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=text,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout + (done.stderr if code else "")

    def json(self, *arguments: str) -> Any:
        """Run `gateway … --format json`; gives what it printed."""
        return json.loads(self.command(*arguments, "--format", "json"))

    def add_integration(self, name: str, source: str, *options: str, language: str = "javascript") -> str:
        """Create a converter and an integration of one name; gives the endpoint URL."""
        self.command("converter", "create", name, "--language", language, "--file", "-", text=source)
        created = self.json("integration", "create", name, "--converter", name, *options)
        return str(created["endpoints"][0])

    def add_demo(self, name: str) -> str:
        """Create the tutorial's integration for `text`, `json` or `binary`; gives the endpoint URL."""
        return self.add_integration(name, (DEMO / f"{name}.js").read_text())

    def start(self) -> None:
        """Start it and wait until all its workers listen."""
        seen = self.log.count("listens on")
        self.launch()
        workers = int(self.environment["GATEWAY_WORKERS"])
        eventually(lambda: self.log.count("listens on") >= seen + workers, "the workers listen", START_S)

    def launch(self) -> None:
        """Start it without waiting."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                env=self.environment,
                cwd=self.folder,
                stderr=log,
                stdout=log,
            )

    @property
    def log(self) -> str:
        """All that it logged."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self.process is not None
        return self.process.pid

    def worker_pids(self) -> list[int]:
        """The workers' processes."""
        return self._children("gateway.worker")

    def api_pid(self) -> int:
        """The process of the REST API."""
        (pid,) = self._children("gateway.api")
        return pid

    def _children(self, module: str) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(child) for child in children.split() if _runs(int(child), module)]

    def worker_pid(self, index: int) -> int:
        """The process of one worker, by its number."""
        marked = f"--index\0{index}\0"
        (pid,) = (pid for pid in self.worker_pids() if marked in Path(f"/proc/{pid}/cmdline").read_text())
        return pid

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end; gives the exit code."""
        assert self.process is not None
        return self.process.wait(patience_s)

    def stop(self) -> int:
        """Ask it to stop; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End whatever still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def device(self, name: str, *options: str) -> Any:
        """`gateway device show`, waiting until there is such a device."""
        eventually(lambda: name in {device["name"] for device in self.json("device", "list")}, f"device {name}")
        return self.json("device", "show", name, *options)

    @contextlib.contextmanager
    def held_database(self, name: str) -> Iterator[None]:
        """Keep everyone from writing one of its databases, as a stalled disk does."""
        eventually((self.data_dir / name).exists, f"{name} exists")
        with contextlib.closing(sqlite3.connect(self.data_dir / name, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def client(self) -> socket.socket:
        """A socket connected to it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", self.port))
        return sock


def _runs(pid: int, module: str) -> bool:
    try:
        return f"\0{module}\0" in Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:  # it has ended in this moment
        return False


def coap_client(*arguments: str, payload: bytes | None = None, wait_s: int = 5) -> str:
    """Run libcoap's client without TLS; gives what it printed."""
    done = subprocess.run(
        ["coap-client-notls", "-B", str(wait_s), *arguments] + (["-f", "-"] if payload is not None else []),
        input=payload,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")
