"""Who takes part in the benchmark of delivery: a gateway with a backlog, and Mosquitto."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes, servers
from benchmarks.servers import HOST, BenchError, Placement

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Debian has Mosquitto where only root's PATH leads."""


def free_tcp_port() -> int:
    """One that nobody holds now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mosquitto(placement: Placement, port: int) -> Iterator[int]:
    """A broker that has no subscriber; its process ID."""
    program = shutil.which("mosquitto", path=_PATH)
    if program is None:
        raise BenchError("mosquitto is not installed (Debian: mosquitto)")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write(f"listener {port} {HOST}\nallow_anonymous true\nlog_type error\nset_tcp_nodelay true\n")
        configuration.flush()
        process = subprocess.Popen(
            [program, "-c", configuration.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=servers.end_with_parent,
        )
        try:
            _wait_until_it_listens(process, port)
            processes.pin(process.pid, placement.generator)
            yield process.pid
        finally:
            servers.end(process)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + servers.START_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise BenchError("Mosquitto does not listen")


@contextlib.contextmanager
def gateway(placement: Placement, data_dir: Path, broker_port: int) -> Iterator[int]:
    """A gateway that delivers to that port; its supervisor, which has the measured CPU."""
    port = servers.free_port()
    environment = {
        "COAP_BIND_ADDRESS": HOST,
        "COAP_BIND_PORT": str(port),
        "GATEWAY_DATA_DIR": str(data_dir),
        "GATEWAY_WORKERS": "1",
        "GATEWAY_LOG_LEVEL": "ERROR",
        "TB_HOST": HOST,
        "TB_PORT": str(broker_port),
        "TB_ACCESS_TOKEN": "bench",
        "TB_MQTT_ACK_TIMEOUT_MS": "600000",  # Mosquitto stands still for a while
        "TB_MQTT_KEEP_ALIVE_SECONDS": "3600",
    }
    os.sched_setaffinity(0, {placement.server})  # which it inherits
    try:
        with servers.started([sys.executable, "-m", "gateway", "serve"], port, environment=environment) as supervisor:
            os.sched_setaffinity(0, {placement.generator})
            placement.place_server(supervisor)
            for worker in processes.children(supervisor):
                processes.pin(worker, placement.generator)
            yield supervisor
    finally:
        os.sched_setaffinity(0, {placement.generator})


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a process for a while (SIGSTOP)."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
