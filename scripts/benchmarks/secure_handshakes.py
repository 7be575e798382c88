"""Handshakes with the running gateway, over sockets: how many a second, and what each costs the worker."""

import gc
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import forked, processes, secure_gateway
from benchmarks.dtls import CCM_8, PSK
from benchmarks.dtls_peers import Case, Credentials, client_config
from benchmarks.options import Options
from benchmarks.secure_devices import Devices
from benchmarks.servers import BenchError, Server
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config

BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of handshake."""

    name: str
    title: str
    case: Case
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class Handshakes:
    """What was measured."""

    count: int
    seconds: float
    cpu_s: float
    """Of the worker."""
    client_cpu_s: float

    @property
    def per_s(self) -> float:
        """How many there were a second, of however fast the clients were."""
        return self.count / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of the worker for one."""
        return self.cpu_s / self.count * 1e6

    @property
    def client_cpu_us(self) -> float:
        """CPU time of the clients for one."""
        return self.client_cpu_s / self.count * 1e6

    @property
    def busy(self) -> float:
        """Which share of its CPU the worker took."""
        return self.cpu_s / self.seconds

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return asdict(self) | {"per_s": self.per_s, "cpu_us": self.cpu_us, "client_cpu_us": self.client_cpu_us}


KINDS = (
    Kind("handshake-psk", "handshake, PSK", Case(PSK)),
    Kind("handshake-ecdhe", "handshake, ECDHE-ECDSA", Case(CCM_8)),
    Kind("handshake-client", "handshake, ECDHE-ECDSA with client certificate", Case(CCM_8, client_certificate=True)),
    Kind("resumption", "resumption by ticket, client certificate", Case(CCM_8, client_certificate=True), resumes=True),
)


def measure(options: Options) -> tuple[dict[str, Handshakes], dict[str, str]]:
    """Measure those that are wanted: what they gave, and why they gave nothing, each by name."""
    done: dict[str, Handshakes] = {}
    errors: dict[str, str] = {}
    credentials = Credentials.make()
    for kind in KINDS:
        if not options.wants(kind.name):
            continue
        print(f"{kind.name} …", file=sys.stderr, flush=True)
        bound_s = options.warm_up_s + options.saturated_s + BOUND_S
        try:
            with secure_gateway.started(options, credentials=credentials) as server:
                done[kind.name] = forked.run(options.placement, bound_s, _measure, kind, server, credentials, options)
        except (BenchError, OSError) as error:
            errors[kind.name] = str(error)
    return done, errors


def _measure(kind: Kind, server: Server, credentials: Credentials, options: Options) -> Handshakes:
    config = client_config(kind.case, credentials, psk=secure_gateway.psk(0), connection_id_bytes=None)
    first = Devices(server.dtls_port, lambda number: config)
    first.run_so_many(1)
    resumption = first.oldest.resumption if kind.resumes and first.oldest else None
    _run(server, config, resumption, options.warm_up_s)
    gc.collect()
    return _run(server, config, resumption, options.saturated_s)


def _run(server: Server, config: Config, resumption: Resumption | None, seconds: float) -> Handshakes:
    devices = Devices(server.dtls_port, lambda number: config, resumption=resumption)
    before_s, own_before_s = processes.cpu_seconds(server.measured), time.process_time()
    begun_s = time.monotonic()
    devices.run(lambda: time.monotonic() - begun_s < seconds)
    return Handshakes(
        count=devices.done,
        seconds=time.monotonic() - begun_s,
        cpu_s=processes.cpu_seconds(server.measured) - before_s,
        client_cpu_s=time.process_time() - own_before_s,
    )
