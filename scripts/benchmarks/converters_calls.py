"""What a call of a converter costs: the tutorial's payloads through each language, up to the validated reports.

In one process on one CPU, without sockets, storage or load. The converters are under watch as they are in a worker.
"""

import gc
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.servers import BenchError
from gateway.converters import BoundDecoder, compile_converter
from gateway.converters.blocking import watched
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.model import Converter, DeviceReport, Language
from gateway.settings import Settings

ROUNDS = 7
"""Each scenario is measured so often, in turn with the others, so that a disturbance hits them all."""

NO_BUDGET_MS = 10_000
"""Measured against, but not to be reached: the machine may be busy."""

RECEIVED_MS = 1_700_000_000_000

METADATA = {
    "Option:content-format": "50",
    "Option:uri": "/i/9d5e3a52-8d4d-4a53-9f5d-2f0f0c1c6d9b",
    "Option:location-path": "",
    "Option:location-query": "",
    "integrationName": "meters",
}
"""What an uplink over plain CoAP comes with."""

REPORT = DeviceReport(
    "device", "SN-001", "default", None, None, {}, [(RECEIVED_MS, {"temperature": 25.7, "humidity": 69})]
)
"""What each converter must make of each payload."""

PAYLOADS = {
    "json": b'{"deviceName": "SN-001", "deviceType": "default", "temperature": 25.7, "humidity": 69}',
    "text": b"SN-001,default,temperature,25.7,humidity,69\n",
    "binary": bytes.fromhex("534e2d30303164656661756c7432352e373639"),
    "cbor": bytes.fromhex(
        "a46a6465766963654e616d6566534e2d3030316a646576696365547970656764656661756c74"
        "6b74656d7065726174757265fb4039b333333333336868756d69646974791845"
    ),
}

SUFFIXES = {Language.PYTHON: "py", Language.JAVASCRIPT: "js", Language.TBEL: "tbel"}
TITLES = {Language.PYTHON: "Python", Language.JAVASCRIPT: "JavaScript", Language.TBEL: "TBEL"}

BUDGETS_US = {Language.PYTHON: 3.0, Language.JAVASCRIPT: 16.0, Language.TBEL: 20.0}
"""Most CPU time of a call with the JSON payload, in µs; other payloads are for information."""

SOURCES = Path(__file__).parent / "converters"
JSON_SOURCE = "uplink"
"""The converters for the JSON payload are those that the other suites use."""


@dataclass(slots=True)
class Measurement:
    """One converter and its payload."""

    language: Language
    kind: str
    decode: BoundDecoder
    calls: int = 64
    """How many make a round."""
    rounds_us: list[float] = field(default_factory=list)
    """CPU time of a call, in µs, by round."""

    @property
    def name(self) -> str:
        """As it is given on the command line."""
        return name_of(self.language, self.kind)

    @property
    def title(self) -> str:
        """As it stands in the table."""
        return f"{self.kind.upper() if self.kind in ('json', 'cbor') else self.kind} through {TITLES[self.language]}"

    @property
    def budget_us(self) -> float | None:
        """Most CPU time of a call, if it has a bound."""
        return BUDGETS_US[self.language] if self.kind == "json" else None

    @property
    def median_us(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds_us)

    def warm_up(self, warm_up_s: float, round_s: float) -> None:
        """Call it for a while, and find how many calls fill a round."""
        taken_s = 0.0
        while taken_s < warm_up_s:
            self.calls *= 2
            taken_s = self._cpu_s()
        self.calls = max(1, int(self.calls / taken_s * round_s))

    def measure(self) -> None:
        """Do a round."""
        self.rounds_us.append(self._cpu_s() / self.calls * 1e6)

    def _cpu_s(self) -> float:
        decode, payload = self.decode, PAYLOADS[self.kind]
        begun_s = time.process_time()
        for _ in range(self.calls):
            decode(payload, RECEIVED_MS)
        return time.process_time() - begun_s

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return {
            "name": self.name,
            "title": self.title,
            "per_round": self.calls,
            "rounds_us": self.rounds_us,
            "median_us": self.median_us,
        }


def name_of(language: Language, kind: str) -> str:
    """A scenario's name, such as `javascript-json`."""
    return f"{language.value.lower()}-{kind}"


def measure(options: Options) -> Report:
    """Run the suite."""
    options.placement.place_server(os.getpid())
    report = Report()
    measurements = list(_measurements(options, report))
    # As the worker does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    for measurement in measurements:
        measurement.warm_up(options.warm_up_s / 10, options.saturated_s / ROUNDS)
    for number in range(ROUNDS if measurements else 0):
        print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr, flush=True)
        for measurement in measurements:
            gc.collect()
            measurement.measure()
    if measurements:
        report.tables = [[("converter", "CPU µs a call", "budget"), *_rows(measurements)]]
        report.notes.append(f"CPU time: median / least of {ROUNDS} rounds. quickjs-ng {version('quickjs-ng')}.")
    for measurement in measurements:
        if measurement.budget_us is not None:
            report.verdicts.append(Verdict(measurement.title, measurement.median_us, measurement.budget_us, True, "µs"))
    report.results = [measurement.as_json() for measurement in measurements]
    return report


def _rows(measurements: list[Measurement]) -> Rows:
    return [
        (one.title, f"{one.median_us:.2f} / {min(one.rounds_us):.2f}", f"{one.budget_us:g}" if one.budget_us else "")
        for one in measurements
    ]


def _measurements(options: Options, report: Report) -> list[Measurement]:
    """Those that are wanted and can be had; what can't is an error in the report."""
    made = []
    for language, suffix in SUFFIXES.items():
        for kind in PAYLOADS:
            if not options.wants(name_of(language, kind)):
                continue
            try:
                file = SOURCES / f"{JSON_SOURCE if kind == 'json' else kind}.{suffix}"
                made.append(Measurement(language, kind, _bound(language, file, PAYLOADS[kind])))
            except (GatewayError, BenchError) as error:
                report.errors[name_of(language, kind)] = str(error)
    return made


def _bound(language: Language, file: Path, payload: bytes) -> BoundDecoder:
    """The converter as a worker has it. Raises GatewayError or BenchError where it can't do its work."""
    settings = Settings(_env_file=None)
    converter = Converter(file.name, language, file.read_text(encoding="utf-8"))
    compiled = compile_converter(
        converter,
        time_limit_ms=settings.gateway_javascript_time_limit_ms,
        memory_limit_bytes=settings.gateway_javascript_memory_limit_bytes,
    )
    decoder = watched(compiled, converter, python_budget_ms=NO_BUDGET_MS, metrics=Metrics())
    decode = decoder.bind(METADATA)
    reports = decode(payload, RECEIVED_MS)
    if reports != [REPORT]:
        raise BenchError(f"{file.name} made {reports} of its payload")
    return decode
