"""How long established devices wait for their answers while others flood the gateway with ClientHellos."""

import gc
import os
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Any, Protocol

from benchmarks import forked, secure_gateway, servers, uplinks
from benchmarks.dtls import CCM_8
from benchmarks.dtls_peers import SERVER, Case, Credentials, client_config
from benchmarks.generator import Generator
from benchmarks.load import Job, Phase
from benchmarks.options import Options
from benchmarks.secure_devices import host_of
from benchmarks.secure_uplinks import PSK
from benchmarks.servers import HOST, BenchError, Placement
from benchmarks.wire import open_wire
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.record import HEADER_BYTES

UPLINKS_PER_S = 500
HELLOS_PER_S = 500

ROUNDS = 10
"""Of each, quiet and flooded in turn, so that a disturbance hits both."""

MOST_RATIO = 2.0
"""Of the p99 under forged hellos to the quiet one."""

_BOUND_S = 60.0
_OPEN = 400
"""So many of the flood's sockets are open at a time; what comes back to them is not read."""
_RANDOM_AT = HEADER_BYTES + 12 + 2
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of flood."""

    name: str
    title: str
    has_cookie: bool
    """Whether each hello comes again with the cookie that it was answered with: a handshake begins, and stays so."""
    budget: float | None = None


KINDS = (
    Kind("flood-forged", f"{HELLOS_PER_S} forged ClientHellos a second", has_cookie=False, budget=MOST_RATIO),
    Kind("flood-half-open", f"{HELLOS_PER_S} half-open handshakes a second", has_cookie=True),
)


@dataclass(slots=True)
class Latencies:
    """How long answers took in rounds of one kind."""

    rounds: list[tuple[float, float]] = field(default_factory=list)
    """p50 and p99 of each, in µs."""
    answers: int = 0
    failures: int = 0

    def add(self, latencies_s: Sequence[float], phase: Phase) -> None:
        """Count a round in. Raises BenchError where there was no answer."""
        ordered = sorted(latencies_s)
        if not ordered:
            raise BenchError("no uplink was answered")
        p50_s, p99_s = (ordered[len(ordered) * percent // 100] for percent in (50, 99))
        self.rounds.append((p50_s * 1e6, p99_s * 1e6))
        self.answers += len(ordered)
        self.failures += phase.unanswered + sum(phase.other.values())

    @property
    def p50_us(self) -> float:
        """The median of the rounds'."""
        return statistics.median(p50_us for p50_us, _ in self.rounds)

    @property
    def p99_us(self) -> float:
        """The median of the rounds': a stall of the disk that few rounds had is not in it."""
        return statistics.median(p99_us for _, p99_us in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return asdict(self) | {"p50_us": self.p50_us, "p99_us": self.p99_us}


@dataclass(frozen=True, slots=True)
class Flood:
    """What was measured."""

    hellos_per_s: float
    quiet: Latencies
    flooded: Latencies

    @property
    def ratio(self) -> float:
        """Of the p99s."""
        return self.flooded.p99_us / self.quiet.p99_us

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return {
            "hellos_per_s": self.hellos_per_s,
            "quiet": self.quiet.as_json(),
            "flooded": self.flooded.as_json(),
            "ratio": self.ratio,
        }


def measure(options: Options) -> tuple[dict[str, Flood], dict[str, str]]:
    """Measure those that are wanted: what they gave, and why they gave nothing, each by name."""
    done: dict[str, Flood] = {}
    errors: dict[str, str] = {}
    for kind in KINDS:
        if not options.wants(kind.name):
            continue
        print(f"{kind.name} …", file=sys.stderr, flush=True)
        try:
            done[kind.name] = _measure(kind, options)
        except (BenchError, OSError) as error:
            errors[kind.name] = str(error)
    return done, errors


def _measure(kind: Kind, options: Options) -> Flood:
    round_s = options.saturated_s / 5
    flooding, sent = forked.CONTEXT.Event(), forked.CONTEXT.Value("L", 0)
    with (
        secure_gateway.started(options) as server,
        _flooder(options.placement, kind, server.dtls_port, flooding, sent),
    ):
        job = uplinks.job_of(PSK, server, options, paced_rate=UPLINKS_PER_S)
        quiet, flooded = forked.run(
            options.placement, 2 * ROUNDS * round_s + _BOUND_S, _measure_rounds, job, flooding, round_s
        )
    return Flood(sent.value / (ROUNDS * round_s), quiet, flooded)


def _measure_rounds(job: Job, flooding: Event, round_s: float) -> tuple[Latencies, Latencies]:
    """In the load generator's process: uplinks at an even pace. Gives the quiet rounds and the flooded ones."""
    generator = Generator(job, open_wire(job))
    gc.collect()
    gc.disable()
    measured = Latencies(), Latencies()
    generator.measure_paced(job.warm_up_s)
    for _ in range(ROUNDS):
        for is_flooded, latencies in enumerate(measured):
            if is_flooded:
                flooding.set()
            phase = generator.measure_paced(round_s)
            flooding.clear()
            latencies.add(generator.latencies_s, phase)
    return measured


# -- the flood -----------------------------------------------------------------------------------


class _Hellos(Protocol):
    def send_one(self) -> None:
        """Send a hello, from an address that had none before."""


class _Sockets:
    """The latest of many sockets, each bound to an address of its own."""

    def __init__(self, port: int) -> None:
        self._server = HOST, port
        self._number = 0
        self._open: deque[socket.socket] = deque()

    def new(self) -> socket.socket:
        self._number += 1
        if len(self._open) == _OPEN:
            self._open.popleft().close()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind((host_of(self._number), 0))
        sock.connect(self._server)
        self._open.append(sock)
        return sock


class _Forged:
    """Hellos without a cookie, each with another random, whose answers nobody reads."""

    def __init__(self, port: int) -> None:
        self._sockets = _Sockets(port)
        self._hello = bytearray(_begin()[1])

    def send_one(self) -> None:
        self._hello[_RANDOM_AT : _RANDOM_AT + _RANDOM_BYTES] = os.urandom(_RANDOM_BYTES)
        self._sockets.new().send(self._hello)


class _HalfOpen:
    """Handshakes that are begun with a valid cookie, and go no further."""

    def __init__(self, port: int) -> None:
        self._sockets = _Sockets(port)
        self._waiting: deque[tuple[Endpoint, socket.socket]] = deque(maxlen=_OPEN // 2)
        """Those whose hello has not been answered yet."""

    def send_one(self) -> None:
        self._go_on()
        endpoint, hello = _begin()
        sock = self._sockets.new()
        sock.send(hello)
        self._waiting.append((endpoint, sock))

    def _go_on(self) -> None:
        while self._waiting:
            endpoint, sock = self._waiting[0]
            try:
                answer = sock.recv(65536)
            except BlockingIOError:
                return
            self._waiting.popleft()
            endpoint.receive_datagram(answer, SERVER, time.monotonic(), time.time())
            for datagram, _ in endpoint.datagrams_to_send():
                sock.send(datagram)


def _begin() -> tuple[Endpoint, bytes]:
    """A client, and its first hello."""
    endpoint = Endpoint(_CLIENT)
    endpoint.connect(SERVER, time.monotonic())
    ((hello, _),) = endpoint.datagrams_to_send()
    return endpoint, hello


_CLIENT = client_config(Case(CCM_8), Credentials.make(), connection_id_bytes=0)


@contextmanager
def _flooder(placement: Placement, kind: Kind, port: int, flooding: Event, sent: "Synchronized[int]") -> Iterator[None]:
    """A process that floods whenever it is told to, and counts what it sends."""
    process = forked.CONTEXT.Process(target=_flood, args=(placement, kind, port, flooding, sent))
    process.start()
    try:
        yield
        if process.exitcode is not None:
            raise BenchError(f"the flood ended, exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _flood(placement: Placement, kind: Kind, port: int, flooding: Event, sent: "Synchronized[int]") -> None:
    servers.prepare_generator(placement)
    hellos: _Hellos = _HalfOpen(port) if kind.has_cookie else _Forged(port)
    while flooding.wait():
        next_s = time.perf_counter()
        while flooding.is_set():
            hellos.send_one()
            sent.value += 1
            next_s += 1 / HELLOS_PER_S
            time.sleep(max(0.0, next_s - time.perf_counter()))
