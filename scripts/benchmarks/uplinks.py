"""What an uplink costs over plain CoAP: message layer alone, converted and stored durably, and with other servers."""

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import orjson

from benchmarks import processes, servers
from benchmarks.load import LOST_AFTER_S, Dtls, Job, Load, Phase
from benchmarks.options import Options
from benchmarks.servers import BenchError, Server
from gateway.coap.codec import Option, OptionNumber, Type, encode_message
from gateway.model import Code, Language

DEVICES = 64
"""Different device names among the payloads."""

PACED_RATE = 2000
"""Requests per second of the phase that measures latency at moderate load."""

UPLINK_PATH = ("i", servers.ROUTING_KEY)

_JSON_FORMAT = 50  # application/json, in CoAP's content-format registry (RFC 7252 §12.3)

_IDLE_CHECK_S = 0.5
_IDLE_BELOW = 0.04  # of a CPU; the supervisor looks for work 20 times a second

StartServer: TypeAlias = Callable[[Options], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A server, and what is sent to it, confirmable or not."""

    name: str
    title: str
    start: StartServer
    sockets: int = 4
    window: int = 64
    """Requests under way per socket at full load: enough to keep the server busy, not more than its buffer holds."""
    method: Code = Code.POST
    path: tuple[str, ...] = UPLINK_PATH
    expected: Code = Code.CREATED
    budget_us: float | None = None
    """Most CPU time of one request, in µs."""
    dtls: Dtls | None = None
    """How the requests are secured; None: not at all."""


@dataclass(slots=True)
class Result:
    """What a scenario gave."""

    name: str
    title: str
    confirmable: bool
    budget_us: float | None
    expected: str
    sockets: int
    window: int
    paced: Phase
    saturated: Phase
    supervisor_cpu_us: float | None
    """CPU time of the supervisor per successful request, until it had nothing left to do."""
    requests_per_s: float = field(init=False)
    cpu_us: float = field(init=False)
    """CPU time of the measured process per successful request."""
    busy: float = field(init=False)
    """Which share of its CPU the measured process took, 1.0 being all of it."""
    generator_busy: float = field(init=False)
    others_busy: float = field(init=False)
    """Which share of a CPU went to programs that have no part in this, and to other virtual machines."""

    def __post_init__(self) -> None:
        phase = self.saturated
        succeeded = max(phase.succeeded, 1)
        self.requests_per_s = phase.succeeded / phase.seconds
        self.cpu_us = phase.cpu_s[0] / succeeded * 1e6
        self.busy = phase.cpu_s[0] / phase.seconds
        self.generator_busy = phase.generator_cpu_s / phase.seconds
        ours_s = sum(phase.cpu_s) + phase.generator_cpu_s
        self.others_busy = max(phase.machine_cpu_s - ours_s, 0.0) / phase.seconds

    @property
    def failures(self) -> dict[str, int]:
        """Requests of both phases that were not answered as they should, by code or kind."""
        found: dict[str, int] = {}
        for phase in (self.paced, self.saturated):
            for kind, count in phase.other.items():
                found[kind] = found.get(kind, 0) + count
            if phase.unanswered:
                found["unanswered"] = found.get("unanswered", 0) + phase.unanswered
        return found

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return asdict(self) | {"failures": self.failures}


@dataclass(slots=True)
class Run:
    """What a run of several scenarios gave."""

    results: list[Result] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    """Why a scenario gave nothing, by its name."""


def _gateway(language: Language, options: Options) -> AbstractContextManager[Server]:
    return servers.gateway(options.placement, servers.uplink_converter(language), options.data_dir)


KINDS = (
    Kind(
        "ack",
        "gateway, acknowledge only",
        lambda options: servers.acknowledge(options.placement),
        budget_us=6.0,
    ),
    Kind(
        "python",
        "gateway, JSON through Python, stored",
        functools.partial(_gateway, Language.PYTHON),
        window=256,
        budget_us=10.0,
    ),
    Kind(
        "javascript",
        "gateway, JSON through JavaScript, stored",
        functools.partial(_gateway, Language.JAVASCRIPT),
        window=256,
        budget_us=28.0,
    ),
    Kind("aiocoap", "aiocoap, acknowledge only", lambda options: servers.aiocoap(options.placement), window=16),
    Kind(
        "libcoap",
        "libcoap, PUT to a resource in memory",
        lambda options: servers.libcoap(options.placement),
        window=32,
        method=Code.PUT,
        path=(servers.LIBCOAP_RESOURCE,),
        expected=Code.CHANGED,
    ),
)


def run(options: Options) -> Run:
    """Run the scenarios one after the other; one that can't be run does not keep the others from it."""
    done = Run()
    for kind in KINDS:
        for confirmable in (True, False):
            name = f"{kind.name}-{'con' if confirmable else 'non'}"
            if not options.wants(name):
                continue
            if kind.name == "libcoap" and not servers.has_libcoap():
                print(f"{name}: {servers.LIBCOAP_PROGRAM} is not installed (Debian: libcoap3-bin)", file=sys.stderr)
                continue
            try:
                done.results.append(measure(kind, name, confirmable, options))
            except (BenchError, OSError) as error:
                done.errors[name] = str(error)
    return done


def measure(kind: Kind, name: str, confirmable: bool, options: Options) -> Result:
    """Measure one kind. Raises BenchError and OSError."""
    print(f"{name} …", file=sys.stderr, flush=True)
    with kind.start(options) as server:
        job = job_of(kind, server, options, confirmable=confirmable)
        before_s = processes.cpu_seconds(server.supervisor) if server.supervisor else 0.0
        load = _generate(job, options)
        supervisor_cpu_us = None
        if server.supervisor and wait_until_idle(server.supervisor, options.drain_s):
            supervisor_s = processes.cpu_seconds(server.supervisor) - before_s
            supervisor_cpu_us = supervisor_s / max(load.succeeded, 1) * 1e6
    return Result(
        name=name,
        title=f"{kind.title}, {'CON' if confirmable else 'NON'}",
        confirmable=confirmable,
        budget_us=kind.budget_us,
        expected=kind.expected.dotted,
        sockets=kind.sockets,
        window=kind.window,
        paced=load.paced,
        saturated=load.saturated,
        supervisor_cpu_us=supervisor_cpu_us,
    )


def job_of(
    kind: Kind, server: Server, options: Options, *, confirmable: bool = True, paced_rate: int = PACED_RATE
) -> Job:
    """What the load generator is to do."""
    return Job(
        host=servers.HOST,
        port=server.dtls_port if kind.dtls else server.port,
        confirmable=confirmable,
        method=kind.method,
        tails=[tail.hex() for tail in _tails(kind)],
        expected_code=kind.expected,
        sockets=kind.sockets,
        window=kind.window,
        paced_rate=paced_rate,
        warm_up_s=options.warm_up_s,
        paced_s=options.paced_s,
        saturated_s=options.saturated_s,
        watched=server.watched,
        dtls=kind.dtls,
    )


def wait_until_idle(pid: int, bound_s: float) -> bool:
    """Wait until a process takes next to no CPU time; whether it came to that within the bound."""
    deadline_s = time.monotonic() + bound_s
    while time.monotonic() < deadline_s:
        before_s = processes.cpu_seconds(pid)
        time.sleep(_IDLE_CHECK_S)
        if processes.cpu_seconds(pid) - before_s <= _IDLE_BELOW * _IDLE_CHECK_S:
            return True
    return False


def _tails(kind: Kind) -> list[bytes]:
    """What follows the token of each request: the tutorial's JSON from several devices."""
    return [encode_uplink(f"SN-{number:03}", kind.method, kind.path)[4:] for number in range(1, DEVICES + 1)]


def encode_uplink(
    device: str, method: Code = Code.POST, path: tuple[str, ...] = UPLINK_PATH, *, mid: int = 0, token: bytes = b""
) -> bytes:
    """The tutorial's JSON from a device, as a confirmable request."""
    options: list[Option] = [(OptionNumber.URI_PATH, segment.encode()) for segment in path]
    options.append((OptionNumber.CONTENT_FORMAT, bytes((_JSON_FORMAT,))))
    payload = orjson.dumps({"deviceName": device, "deviceType": "default", "temperature": 25.7, "humidity": 69})
    return encode_message(Type.CON, method, mid, token, options, payload)


def _generate(job: Job, options: Options) -> Load:
    """Do a job in the load generator's process, on its CPU."""
    # Each of the three settlings may have to wait for what is lost.
    bound_s = 1.5 * job.warm_up_s + job.paced_s + job.saturated_s + 3 * LOST_AFTER_S + 20
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.generator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=functools.partial(servers.prepare_generator, options.placement),
    )
    try:
        output, _ = process.communicate(json.dumps(asdict(job)).encode(), timeout=bound_s)
    except subprocess.TimeoutExpired:
        raise BenchError(f"the load generator did not end within {bound_s:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        raise BenchError(f"the load generator failed, exit code {process.returncode}")
    return Load.from_json(json.loads(output))
