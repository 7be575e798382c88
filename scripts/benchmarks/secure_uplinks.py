"""What an uplink over an established DTLS session costs, and the same over plain CoAP."""

import functools
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks import secure_gateway, uplinks
from benchmarks.load import Dtls
from benchmarks.options import Options
from benchmarks.servers import BenchError, Server
from benchmarks.uplinks import Kind, Run
from gateway.model import Language

SESSIONS = 16

BUDGET_US = 18.0
"""Of one, with or without connection ID."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of uplink, and whether it is confirmable."""

    name: str
    kind: Kind
    confirmable: bool = True


def _gateway(language: Language, options: Options) -> AbstractContextManager[Server]:
    return secure_gateway.started(options, language=language)


def _kind(
    name: str,
    title: str,
    *,
    language: Language = Language.PYTHON,
    dtls: Dtls | None = None,
    budget_us: float | None = None,
) -> Kind:
    return Kind(
        name=name,
        title=title,
        start=functools.partial(_gateway, language),
        sockets=SESSIONS,
        window=64,
        dtls=dtls,
        budget_us=budget_us,
    )


def _dtls(*, connection_id: bool) -> Dtls:
    psk = secure_gateway.psk(0)
    return Dtls(psk.identity.decode(), psk.key.hex(), connection_id)


PSK = _kind("psk", "PSK session, JSON through Python, stored", dtls=_dtls(connection_id=False), budget_us=BUDGET_US)
_PSK_CID = _kind(
    "psk-cid",
    "PSK session with connection ID, JSON through Python, stored",
    dtls=_dtls(connection_id=True),
    budget_us=BUDGET_US,
)
_PSK_JAVASCRIPT = _kind(
    "psk-javascript",
    "PSK session, JSON through JavaScript, stored",
    language=Language.JAVASCRIPT,
    dtls=_dtls(connection_id=False),
)
_PLAIN = _kind("python", "plain CoAP, JSON through Python, stored")

PLAIN = "python-con"
COMPARED = "psk-con"
"""The one whose costs are compared with those of plain CoAP."""

SCENARIOS = (
    Scenario(PLAIN, _PLAIN),
    Scenario(COMPARED, PSK),
    Scenario("psk-con-cid", _PSK_CID),
    Scenario("psk-non", PSK, confirmable=False),
    Scenario("psk-javascript", _PSK_JAVASCRIPT),
)


def run(options: Options) -> Run:
    """Run the scenarios one after the other; one that can't be run does not keep the others from it."""
    done = Run()
    for scenario in SCENARIOS:
        if not options.wants(scenario.name):
            continue
        try:
            done.results.append(uplinks.measure(scenario.kind, scenario.name, scenario.confirmable, options))
        except (BenchError, OSError) as error:
            done.errors[scenario.name] = str(error)
    return done
