"""What DTLS costs a server: records, handshakes, cookies and memory; the gateway's engine and pyOpenSSL side by side.

All in one process on one CPU, in memory, no sockets: the CPU time in the server's calls counts, the client's does not.
"""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

from cryptography.hazmat.backends.openssl import backend

from benchmarks import dtls_memory
from benchmarks.dtls_peers import Case, Client, Credentials, GatewayServer, Server
from benchmarks.options import Options
from benchmarks.report import Report, Verdict
from benchmarks.servers import BenchError

ROUNDS = 7
"""Each scenario is measured so many times, in turn with the others, so that a disturbance hits all of them."""

CCM_8, GCM = "ECDHE_ECDSA_WITH_AES_128_CCM_8", "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
PSK_CCM_8 = "PSK_WITH_AES_128_CCM_8"

IDLE_BUDGET_BYTES = 4096

MakeServer = Callable[[Case, Credentials], Server]
Run = Callable[[int], float]
"""Does the work so many times; gives the CPU time in seconds that the server took."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work of one server."""

    name: str
    title: str
    case: Case
    make_server: MakeServer
    make_run: Callable[[Client, MakeServer, Case, Credentials], Run]
    budget_us: float | None = None
    """Most CPU time of one, in µs."""
    rival: str | None = None
    """The scenario that it must not be slower than."""


@dataclass(slots=True)
class Result:
    """What a scenario gave."""

    name: str
    title: str
    per_round: int
    """How often the work was done in a round."""
    rounds_us: list[float] = field(default_factory=list)
    """CPU time of one, in µs, by round."""

    @property
    def median_us(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds_us)


def measure(options: Options) -> Report:
    """Run the suite."""
    options.placement.place_server(os.getpid())
    report = Report()
    results = _measure(options, report)
    memory = _measure_memory(options, report)
    if results or memory:
        report.notes.append(
            f"cryptography {version('cryptography')} with {backend.openssl_version_text()}, "
            f"pyOpenSSL {version('pyOpenSSL')} with the same"
        )
    return report
