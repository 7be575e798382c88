"""The memory that idle sessions take in the whole worker: each made by a handshake and one uplink, then silent."""

import sys
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import forked, processes, secure_gateway
from benchmarks.dtls import CCM_8, PSK
from benchmarks.dtls_peers import Case, Credentials, client_config
from benchmarks.options import Options
from benchmarks.secure_devices import Devices
from benchmarks.servers import BenchError, Server
from benchmarks.uplinks import wait_until_idle
from gateway.dtls.config import Config

BUDGET_BYTES = 5120

WARM_UP = 500
"""Sessions before the first look at the memory, so that what the worker needs anyway is there."""

BOUND_S = 300.0

_SETTLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of session."""

    name: str
    title: str
    case: Case


@dataclass(frozen=True, slots=True)
class Idle:
    """What was measured."""

    sessions: int
    resident_bytes: float
    """What the worker's RSS grew by for each."""

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return asdict(self)


KINDS = (
    Kind("idle-psk", "idle session, PSK", Case(PSK, connection_id=True)),
    Kind("idle-client", "idle session, client certificate", Case(CCM_8, client_certificate=True, connection_id=True)),
)


def measure(options: Options) -> tuple[dict[str, Idle], dict[str, str]]:
    """Measure those that are wanted: what they gave, and why they gave nothing, each by name."""
    done: dict[str, Idle] = {}
    errors: dict[str, str] = {}
    credentials = Credentials.make()
    for kind in KINDS:
        if not options.wants(kind.name):
            continue
        print(f"{kind.name} …", file=sys.stderr, flush=True)
        sessions = options.idle_sessions
        try:
            with secure_gateway.started(options, credentials=credentials, psks=WARM_UP + sessions) as server:
                done[kind.name] = forked.run(options.placement, BOUND_S, _measure, kind, server, credentials, sessions)
        except (BenchError, OSError) as error:
            errors[kind.name] = str(error)
    return done, errors


def _measure(kind: Kind, server: Server, credentials: Credentials, sessions: int) -> Idle:
    def config_of(number: int) -> Config:
        return client_config(kind.case, credentials, psk=secure_gateway.psk(number), connection_id_bytes=0)

    devices = Devices(server.dtls_port, config_of, uplinks=True)
    devices.run_so_many(WARM_UP)
    before = _resident_bytes(server)
    devices.run_so_many(sessions)
    after = _resident_bytes(server)
    if devices.oldest is None or not devices.oldest.is_answered():
        raise BenchError("the oldest session is not there any more")
    return Idle(sessions, (after - before) / sessions)


def _resident_bytes(server: Server) -> int:
    """When what was stored is taken over, and the worker has been told so."""
    assert server.supervisor is not None
    wait_until_idle(server.supervisor, _SETTLE_S)
    return processes.resident_bytes(server.measured)
