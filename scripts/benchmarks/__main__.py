"""The command line of the benchmarks."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report, uplinks_report
from benchmarks.options import Options
from benchmarks.servers import find_placement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Suite:
    """Scenarios that are measured together."""

    measure: Callable[[Options], report.Report]
    json: Path
    """Where its figures go, unless told otherwise."""
    has_load: bool
    """Whether it puts load on servers that store, so that the disk and a CPU beside the server's matter."""


def _measure_dtls(options: Options) -> report.Report:
    from benchmarks import dtls  # with it comes pyOpenSSL, which is in no other suite

    return dtls.measure(options)


def _measure_secure(options: Options) -> report.Report:
    from benchmarks import secure

    return secure.measure(options)


def _measure_converters(options: Options) -> report.Report:
    from benchmarks import converters_calls

    return converters_calls.measure(options)


def _measure_delivery(options: Options) -> report.Report:
    from benchmarks import delivery  # with it comes paho

    return delivery.measure(options)


def _measure_console(options: Options) -> report.Report:
    from benchmarks import console  # with it comes playwright

    return console.measure(options)


SUITES = {
    "uplinks": Suite(uplinks_report.measure, Path("bench-results.json"), has_load=True),
    "dtls": Suite(_measure_dtls, Path("bench-dtls-results.json"), has_load=False),
    "converters": Suite(_measure_converters, Path("bench-converters-results.json"), has_load=False),
    "delivery": Suite(_measure_delivery, Path("bench-delivery-results.json"), has_load=True),
    "secure": Suite(_measure_secure, Path("bench-secure-results.json"), has_load=True),
    "console": Suite(_measure_console, Path("bench-console-results.json"), has_load=True),
}

_IN_MEMORY = ("tmpfs", "ramfs")


def main() -> int:
    """Measure as the command line says; gives the exit code."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers are ended
    arguments.data_dir.mkdir(parents=True, exist_ok=True)
    machine = report.machine(arguments.data_dir) | {"realtime": arguments.realtime}
    options = _options(arguments)
    suite = SUITES[arguments.suite]
    if suite.has_load and machine["data_file_system"] in _IN_MEMORY:
        _warn(f"{arguments.data_dir} is in memory: what storing costs will look too low; see --data-dir")
    if suite.has_load and options.placement.server == options.placement.generator:
        _warn("there is only one CPU: throughput and latency are those of server and generator together")
    os.sched_setaffinity(0, {options.placement.generator})
    try:
        measured = suite.measure(options)
    except KeyboardInterrupt:
        return 130
    for name, error in measured.errors.items():
        _warn(f"{name}: {error}")
    if measured.tables:
        _show(measured, machine, arguments, arguments.json or suite.json)
    elif not measured.errors:
        _warn(f"no scenario is called {' or '.join(arguments.only)}")
        return 2
    return 1 if measured.errors else 0


def _show(measured: report.Report, machine: dict[str, Any], arguments: argparse.Namespace, file: Path) -> None:
    print(
        f"{machine['cpus']} CPUs, {machine['cpu']}, {machine['system']}, kernel {machine['kernel']}, "
        f"Python {machine['python']}, data on {machine['data_file_system']}"
        f"{', realtime scheduling' if arguments.realtime else ''}\n"
    )
    for rows in measured.tables:
        print(report.table(rows) + "\n")
    for note in measured.notes:
        print(note + "\n")
    for verdict in measured.verdicts:
        print(verdict)
    document = measured.as_json(arguments.suite, machine)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"\nall figures: {file}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the gateway on this machine. See docs/benchmarks.md.",
    )
    parser.add_argument("suite", nargs="?", choices=sorted(SUITES), default="uplinks")
    parser.add_argument("--quick", action="store_true", help="a second for each scenario; the figures are rough")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each is measured, if with load at full (%(default)s)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="scenarios by name or its beginning, such as ack-con or record",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help=f"where the figures go ({', '.join(str(suite.json) for suite in SUITES.values())})",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=ROOT / "var",
        metavar="DIR",
        help="folder on a real disk for the data (%(default)s)",
    )
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="put server and generator before all other programs: for a machine that others use meanwhile, as root",
    )
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= 60:
        parser.error("--seconds must be above 0 and at most 60")
    if arguments.realtime and os.geteuid() != 0:
        parser.error("--realtime needs root")
    return arguments


def _options(arguments: argparse.Namespace) -> Options:
    quick: bool = arguments.quick
    return Options(
        placement=find_placement(realtime=arguments.realtime),
        only=tuple(arguments.only),
        warm_up_s=0.2 if quick else 1.0,
        paced_s=0.2 if quick else 2.0,
        saturated_s=0.4 if quick else arguments.seconds,
        drain_s=5.0 if quick else 60.0,
        data_dir=arguments.data_dir,
        idle_associations=200 if quick else 10_000,
        idle_sessions=200 if quick else 20_000,
        backlog=20_000 if quick else 1_000_000,
    )


def _warn(text: str) -> None:
    print(f"scripts/bench: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
