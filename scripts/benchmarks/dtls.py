"""What DTLS costs a server: records, handshakes, cookies and memory; the gateway's engine and pyOpenSSL side by side.

In one process on one CPU, in memory, without sockets. Only the CPU time of the server's calls counts, not the client's.
"""

import functools
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, TypeAlias

from cryptography.hazmat.backends.openssl import backend

from benchmarks import dtls_memory
from benchmarks.dtls_peers import Case, Clients, Credentials, GatewayServer, Server
from benchmarks.dtls_pyopenssl import PyOpenSslServer
from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.servers import BenchError

ROUNDS = 7
"""Each scenario is measured so often, in turn with the others, so that a disturbance hits them all."""

_MOST_PER_ROUND = 5000
"""More would only take memory: pyOpenSSL's 80 KB for each handshake."""

Work: TypeAlias = Callable[[Server, Clients, int], float]
"""Does something so many times, checks that it was done, and gives the CPU time in seconds that the server took."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work, to be done by each server that can."""

    name: str
    title: str
    case: Case
    work: Work
    budget_us: float
    """Most CPU time of one, in µs."""
    is_compared: bool = False
    """Whether the gateway must not be slower than pyOpenSSL."""


class Measurement:
    """One kind of work of one server."""

    def __init__(self, name: str, kind: Kind, make_server: Callable[[], Server], credentials: Credentials) -> None:
        self.name = name
        self._kind = kind
        self._make_server = make_server
        self._credentials = credentials
        self.per_round = 1
        """How often the work is done in a round."""
        self.rounds_us: list[float] = []
        """CPU time of one, in µs, by round."""

    def warm_up(self, warm_up_s: float, round_s: float) -> None:
        """Do it for a while, and find how often it can be done in a round."""
        count, taken_s = 4, 0.0
        while taken_s < warm_up_s:
            count *= 2
            begun_s = time.perf_counter()
            self._work(count)
            taken_s = time.perf_counter() - begun_s
        self.per_round = max(1, min(int(count / taken_s * round_s), _MOST_PER_ROUND))

    def measure(self) -> None:
        """Do a round."""
        self.rounds_us.append(self._work(self.per_round) / self.per_round * 1e6)

    def _work(self, count: int) -> float:
        clients = Clients(self._kind.case, self._credentials)
        return self._kind.work(self._make_server(), clients, count)

    @property
    def median_us(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds_us)

    def __str__(self) -> str:
        return f"{self.median_us:.2f} / {min(self.rounds_us):.2f}"

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return {
            "name": self.name,
            "title": self._kind.title,
            "per_round": self.per_round,
            "rounds_us": self.rounds_us,
            "median_us": self.median_us,
        }


def _records(server: Server, clients: Clients, count: int) -> float:
    clients.connect(server, 1)
    requests = clients.requests(count)
    begun_s = time.process_time()
    answers = server.answer_requests(requests)
    cpu_s = time.process_time() - begun_s
    clients.check_answers(answers, count)
    return cpu_s


def _handshakes(server: Server, clients: Clients, count: int) -> float:
    return clients.connect(server, count)[1]


def _resumptions(server: Server, clients: Clients, count: int) -> float:
    resumption, _ = clients.connect(server, 1)
    if not resumption.ticket:
        raise BenchError("the server gave no ticket")
    return clients.connect(server, count, resumption)[1]


def _cookies(server: Server, clients: Clients, count: int) -> float:
    clients.begin(count)
    hellos = clients.datagrams()
    begun_s = time.process_time()
    answers = server.receive(hellos)
    cpu_s = time.process_time() - begun_s
    clients.take(answers)
    if len(clients.datagrams()) != count:
        raise BenchError("not each hello was answered")
    return cpu_s


CCM_8, GCM = "ECDHE_ECDSA_WITH_AES_128_CCM_8", "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
PSK = "PSK_WITH_AES_128_CCM_8"

KINDS = (
    Kind("record-ccm8", "record round trip, AES_128_CCM_8", Case(CCM_8), _records, 6.0, is_compared=True),
    Kind(
        "record-ccm8-cid",
        "record round trip, AES_128_CCM_8, connection IDs",
        Case(CCM_8, connection_id=True),
        _records,
        6.0,
    ),
    Kind("record-gcm", "record round trip, AES_128_GCM", Case(GCM), _records, 6.0, is_compared=True),
    Kind(
        "record-gcm-cid", "record round trip, AES_128_GCM, connection IDs", Case(GCM, connection_id=True), _records, 6.0
    ),
    Kind("handshake-ecdhe", "handshake, ECDHE-ECDSA", Case(CCM_8), _handshakes, 350.0),
    Kind(
        "handshake-client",
        "handshake, ECDHE-ECDSA with client certificate",
        Case(CCM_8, client_certificate=True),
        _handshakes,
        700.0,
    ),
    Kind("handshake-psk", "handshake, PSK", Case(PSK), _handshakes, 140.0),
    Kind("resumption", "resumption by ticket", Case(CCM_8), _resumptions, 120.0),
    Kind("cookie", "answer to a hello without cookie", Case(CCM_8), _cookies, 15.0),
)

IDLE = (
    ("memory-psk", "idle association, PSK, AES_128_CCM_8", Case(PSK, connection_id=True)),
    (
        "memory-ccm8",
        "idle association, client certificate, AES_128_CCM_8",
        Case(CCM_8, client_certificate=True, connection_id=True),
    ),
    (
        "memory-gcm",
        "idle association, client certificate, AES_128_GCM",
        Case(GCM, client_certificate=True, connection_id=True),
    ),
)
IDLE_COMPARED = "memory-gcm"
"""The one of them that is measured with pyOpenSSL too, a tenth as many."""

IDLE_BUDGET_BYTES = 4096


def measure(options: Options) -> Report:
    """Run the suite."""
    options.placement.place_server(os.getpid())
    # As the worker does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    report = Report()
    rows = [*_measure_time(options, report), *_measure_memory(options, report)]
    if rows:
        report.tables = [[("scenario", "unit", "gateway", "pyOpenSSL", "budget"), *rows]]
        report.notes = [
            f"CPU time: median / least of {ROUNDS} rounds.",
            f"cryptography {version('cryptography')} and pyOpenSSL {version('pyOpenSSL')}, "
            f"both with {backend.openssl_version_text()}.",
        ]
    return report


def _measure_time(options: Options, report: Report) -> Rows:
    """Adds to the report all but the table's rows, which it gives."""
    rows: Rows = []
    kinds = [kind for kind in KINDS if options.wants(kind.name)]
    credentials = Credentials.make()
    ours = {kind.name: _measurement(kind, credentials, GatewayServer) for kind in kinds}
    theirs = {
        kind.name: _measurement(kind, credentials, PyOpenSslServer) for kind in kinds if PyOpenSslServer.can(kind.case)
    }
    measurements = [one for kind in kinds for one in (ours[kind.name], theirs.get(kind.name)) if one is not None]
    for measurement in measurements:
        measurement.warm_up(options.warm_up_s / 4, options.saturated_s / ROUNDS)
    for number in range(ROUNDS if measurements else 0):
        print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr, flush=True)
        for measurement in measurements:
            gc.collect()
            measurement.measure()
    for kind in kinds:
        mine, other = ours[kind.name], theirs.get(kind.name)
        rows.append((kind.title, "µs", str(mine), str(other or ""), f"{kind.budget_us:g}"))
        report.verdicts.append(Verdict(kind.title, mine.median_us, kind.budget_us, True, "µs"))
        if other is not None and kind.is_compared:
            ratio = mine.median_us / other.median_us
            report.verdicts.append(Verdict(f"{kind.title}, to pyOpenSSL's", ratio, 1.0, True, "times"))
    report.results += [measurement.as_json() for measurement in measurements]
    return rows


def _measurement(kind: Kind, credentials: Credentials, server: type[GatewayServer | PyOpenSslServer]) -> Measurement:
    name = kind.name if server is GatewayServer else f"{kind.name}-pyopenssl"
    return Measurement(name, kind, functools.partial(server, kind.case, credentials), credentials)


def _measure_memory(options: Options, report: Report) -> Rows:
    """Likewise."""
    rows: Rows = []
    for name, title, case in IDLE:
        if not options.wants(name):
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        count = options.idle_associations
        try:
            mine = dtls_memory.measure(case, options.placement, gateway=True, associations=count)
            report.results.append({"name": name, "title": title} | asdict(mine))
            other = None
            if name == IDLE_COMPARED:
                case = replace(case, connection_id=False)
                other = dtls_memory.measure(case, options.placement, gateway=False, associations=count // 10)
                report.results.append({"name": f"{name}-pyopenssl", "title": title} | asdict(other))
        except BenchError as error:
            report.errors[name] = str(error)
            continue
        theirs = f"{other.resident_bytes:,.0f}" if other else ""
        rows.append((title, "bytes", f"{mine.resident_bytes:,.0f}", theirs, f"{IDLE_BUDGET_BYTES:,}"))
        report.verdicts.append(Verdict(title, mine.resident_bytes, IDLE_BUDGET_BYTES, True, "bytes"))
    return rows
