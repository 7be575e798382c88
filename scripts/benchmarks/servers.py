"""The servers that are measured: each is started on a free loopback port, pinned to a CPU, and ended again."""

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks import processes
from gateway.model import Converter, Integration, Language, SecurityMode
from gateway.storage.catalogue import Catalogue

HOST = "127.0.0.1"

ROUTING_KEY = "5a1f8c1e-7f0e-4f0c-9b7e-0d6a1d2b3c4d"
"""Of the integration that the measured gateway has."""

LIBCOAP_PROGRAM = "coap-server-notls"
LIBCOAP_RESOURCE = "example_data"
"""Takes a PUT of any payload, keeps it in memory, answers 2.04 Changed: as little as that server does for a payload."""

START_S = 30.0
"""How long a server may take to answer its first message."""

STOP_S = 6.0
"""How long a server may take to end; then it is killed."""

SUPERVISOR_NICENESS = 10
"""The supervisor shares its CPU with the load generator, to which it gives way."""

_PING = b"\x40\x00\x00\x00"
"""An empty confirmable message: any server answers RST (RFC 7252 §4.3)."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """Something that keeps a benchmark from running; said in one line."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where processes run."""

    server: int
    """The CPU of the measured process."""
    generator: int
    """The CPU of the load generator, of the gateway's supervisor and of the benchmark itself."""
    realtime: bool = False
    """Whether the measured process and the load generator go before all other programs of the machine."""

    def place_server(self, pid: int) -> None:
        """Put a running process where the measured one belongs."""
        processes.pin(pid, self.server)
        if self.realtime:
            processes.be_realtime(pid)

    def place_generator(self) -> None:
        """Put this process where the load generator belongs."""
        processes.pin(os.getpid(), self.generator)
        if self.realtime:
            processes.be_realtime(os.getpid())


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    port: int
    measured: int
    """The process that handles the requests."""
    supervisor: int | None = None
    """The process beside it that takes over what it stored."""
    dtls_port: int = 0
    """Where it serves DTLS; 0: nowhere."""
    data_dir: Path | None = None
    """Where a gateway keeps its data."""

    @property
    def watched(self) -> list[int]:
        """Whose CPU time is wanted, the measured process first."""
        return [self.measured] if self.supervisor is None else [self.measured, self.supervisor]


def find_placement(*, realtime: bool) -> Placement:
    """The first and the last CPU that this process may use; they are the same where it has but one."""
    available = sorted(os.sched_getaffinity(0))
    return Placement(server=available[0], generator=available[-1], realtime=realtime)


@contextlib.contextmanager
def acknowledge(placement: Placement) -> Iterator[Server]:
    """The gateway's packet loop with a handler that does nothing."""
    port = free_port()
    with started([sys.executable, "-m", "benchmarks.acknowledge_server", HOST, str(port)], port) as pid:
        placement.place_server(pid)
        yield Server(port, pid)


@contextlib.contextmanager
def aiocoap(placement: Placement) -> Iterator[Server]:
    """aiocoap's server."""
    port = free_port()
    path = "/".join(("i", ROUTING_KEY))
    with started([sys.executable, "-m", "benchmarks.aiocoap_server", HOST, str(port), path], port) as pid:
        placement.place_server(pid)
        yield Server(port, pid)


def has_libcoap() -> bool:
    """Whether libcoap's server is installed."""
    return shutil.which(LIBCOAP_PROGRAM) is not None


@contextlib.contextmanager
def libcoap(placement: Placement) -> Iterator[Server]:
    """libcoap's example server."""
    port = free_port()
    with started([LIBCOAP_PROGRAM, "-A", HOST, "-p", str(port), "-v", "0"], port) as pid:
        placement.place_server(pid)
        yield Server(port, pid)


Prepare: TypeAlias = Callable[[Path, Catalogue], Mapping[str, str]]
"""Puts into a gateway's data directory and catalogue what it needs for DTLS; gives the settings for it."""


@contextlib.contextmanager
def gateway(
    placement: Placement,
    converter: Converter,
    data_parent: Path,
    prepare_dtls: Prepare | None = None,
    *,
    http_port: int = 0,
) -> Iterator[Server]:
    """The whole gateway with one worker, in a data directory of its own under `data_parent`.

    `http_port` is where it serves the REST API and the console; 0: nowhere.
    """
    port, dtls_port = free_port(), 0
    data_dir = Path(tempfile.mkdtemp(prefix="bench-", dir=data_parent))
    environment = {
        "COAP_BIND_ADDRESS": HOST,
        "COAP_BIND_PORT": str(port),
        "GATEWAY_DATA_DIR": str(data_dir),
        "GATEWAY_WORKERS": "1",
        "GATEWAY_HTTP_ENABLED": "true" if http_port else "false",
        "GATEWAY_LOG_LEVEL": "WARNING",
    }
    if http_port:
        environment["GATEWAY_HTTP_BIND_PORT"] = str(http_port)
    try:
        with Catalogue(data_dir) as catalogue:
            catalogue.add_converter(converter)
            catalogue.add_integration(
                Integration(
                    name="bench",
                    converter=converter.name,
                    routing_key=ROUTING_KEY,
                    security_mode=SecurityMode.MIXED if prepare_dtls else SecurityMode.NO_SECURE,
                )
            )
            if prepare_dtls:
                dtls_port = free_port()
                environment |= {"COAP_DTLS_BIND_ADDRESS": HOST, "COAP_DTLS_BIND_PORT": str(dtls_port)}
                environment |= prepare_dtls(data_dir, catalogue)
        command = [sys.executable, "-m", "gateway", "serve"]
        with started(command, port, environment=environment) as supervisor:
            workers = [pid for pid in processes.children(supervisor) if "gateway.worker" in processes.command_line(pid)]
            if len(workers) != 1:
                raise BenchError(f"the gateway has {len(workers)} workers instead of one")
            processes.pin(supervisor, placement.generator)
            processes.be_nice(supervisor, SUPERVISOR_NICENESS)
            placement.place_server(workers[0])
            yield Server(port, workers[0], supervisor, dtls_port, data_dir)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def uplink_converter(language: Language) -> Converter:
    """The converter of that language that the gateway is measured with."""
    name = {Language.PYTHON: "uplink.py", Language.JAVASCRIPT: "uplink.js"}[language]
    source = (Path(__file__).parent / "converters" / name).read_text(encoding="utf-8")
    return Converter(name="bench", language=language, source=source)


@contextlib.contextmanager
def started(command: list[str], port: int, *, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Start a server and wait until it answers; its process ID. It is ended with the context."""
    process = subprocess.Popen(
        command,
        env=clean_environment() | dict(environment or {}),
        cwd="/",  # where there is no .env
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=end_with_parent,
    )
    try:
        _wait_for_answer(process, port)
        try:
            yield process.pid
        except (BenchError, OSError):
            _check_runs(process)  # what failed may have failed because of that
            raise
        _check_runs(process)
    finally:
        end(process)


def _check_runs(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise BenchError(f"{_name(process)} ended while it was measured, exit code {process.returncode}") from None


def _wait_for_answer(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + START_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ping:
        ping.settimeout(0.1)
        ping.connect((HOST, port))
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise BenchError(f"{_name(process)} ended at once, exit code {process.returncode}")
            try:
                ping.send(_PING)
                ping.recv(64)
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
            except TimeoutError:
                continue
    raise BenchError(f"{_name(process)} did not answer within {START_S:.0f} s")


def _name(process: subprocess.Popen[bytes]) -> str:
    return shlex.join(process.args) if isinstance(process.args, list) else str(process.args)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_with_parent() -> None:
    """Runs in the child: a benchmark that is killed leaves nothing behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def prepare_generator(placement: Placement) -> None:
    """To be called in the load generator's process before it begins."""
    end_with_parent()
    placement.place_generator()


def clean_environment() -> dict[str, str]:
    """This process's environment without the settings of a gateway that may run here."""
    foreign = ("COAP_", "TB_", "GATEWAY_", "AIOCOAP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
