"""The memory of idle associations: a fresh process that is a server and nothing else; its clients are in another.

Each association is made by a handshake and carries one request and its response, as a device's does; then it is idle.
"""

import ctypes
import functools
import gc
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection

from benchmarks import processes, servers
from benchmarks.dtls_peers import AT_A_TIME, Case, Clients, Credentials, GatewayServer, Server
from benchmarks.servers import BenchError, Placement
from gateway.listeners.batch_socket import Datagram

BOUND_S = 120.0

_WARM_UP = 200
"""Associations before the first look at the memory, so that what the server needs anyway is there."""

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Job:
    """What a measuring process is asked for."""

    case: Case
    gateway: bool
    """Whether the server is the gateway's engine, or pyOpenSSL's."""
    associations: int
    server_cpu: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one idle association takes."""

    associations: int
    resident_bytes: float
    """By the growth of the process's RSS."""
    trimmed_bytes: float
    """The same when the C library was asked to give free memory back to the kernel (malloc_trim)."""


def measure(case: Case, placement: Placement, *, gateway: bool, associations: int) -> Memory:
    """Measure in a fresh process. Raises BenchError."""
    job = Job(case, gateway, associations, placement.server)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.dtls_memory"],
            input=json.dumps(asdict(job)).encode(),
            stdout=subprocess.PIPE,
            preexec_fn=functools.partial(servers.prepare_generator, placement),
            timeout=BOUND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"the measuring process did not end within {BOUND_S:.0f} s") from None
    if process.returncode:
        raise BenchError(f"the measuring process failed, exit code {process.returncode}")
    return Memory(**json.loads(process.stdout))


class _RemoteServer:
    """The server in the parent process, as a client calls it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def receive(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        return self._call("receive", datagrams)

    def answer_requests(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        return self._call("answer_requests", datagrams)

    def _call(self, method: str, datagrams: Sequence[Datagram]) -> list[Datagram]:
        self._pipe.send((method, datagrams))
        answers: list[Datagram] = self._pipe.recv()
        return answers


def _make_associations(pipe: Connection, job: Job, credentials: Credentials) -> None:
    """The other process: make associations, and have the server measured before and after."""
    server, clients = _RemoteServer(pipe), Clients(job.case, credentials)
    for count in (_WARM_UP, job.associations):
        for made in range(0, count, AT_A_TIME):
            clients.connect(server, min(AT_A_TIME, count - made))
            clients.check_answers(server.answer_requests(clients.requests(1)), 1)
        pipe.send(("measure", []))
        pipe.recv()
    pipe.send(("end", []))


def _resident() -> tuple[int, int]:
    """This process's RSS in bytes, and after it gave back what it does not use."""
    gc.collect()
    before = processes.resident_bytes(os.getpid())
    _libc.malloc_trim(0)
    return before, processes.resident_bytes(os.getpid())


def main() -> int:
    """Do the job on standard input; the result goes to standard output."""
    fields = json.load(sys.stdin)
    job = Job(**fields | {"case": Case(**fields["case"])})
    credentials = Credentials.make()
    pipe, client_pipe = multiprocessing.Pipe()
    client = multiprocessing.get_context("fork").Process(
        target=_make_associations, args=(client_pipe, job, credentials), daemon=True
    )
    client.start()
    client_pipe.close()
    processes.pin(os.getpid(), job.server_cpu)
    server = _server(job, credentials)
    # As the worker does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    measured = []
    try:
        while True:
            method, datagrams = pipe.recv()
            if method == "end":
                break
            if method == "measure":
                measured.append(_resident())
                pipe.send(None)
            else:
                pipe.send(getattr(server, method)(datagrams))
    except EOFError:  # the clients' process failed, and has said why
        return 1
    client.join()
    raw, trimmed = ((after - before) / job.associations for before, after in zip(*measured, strict=True))
    json.dump(asdict(Memory(job.associations, raw, trimmed)), sys.stdout)
    return 0


def _server(job: Job, credentials: Credentials) -> Server:
    if job.gateway:
        return GatewayServer(job.case, credentials)
    # pyOpenSSL is not to be in the memory of the process that has the gateway's engine.
    from benchmarks.dtls_pyopenssl import PyOpenSslServer

    return PyOpenSslServer(job.case, credentials)


if __name__ == "__main__":
    sys.exit(main())
