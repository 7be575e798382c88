"""The command line of the benchmarks."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report, uplinks
from benchmarks.options import Options
from benchmarks.servers import placement

ROOT = Path(__file__).parents[2]

SUITES = {"uplinks": uplinks.run}

_IN_MEMORY = ("tmpfs", "ramfs")


def main() -> int:
    """Measure as the command line says; gives the exit code."""
    arguments = _parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers are ended
    arguments.data_dir.mkdir(parents=True, exist_ok=True)
    machine = report.machine(arguments.data_dir)
    options = _options(arguments)
    if machine["data_file_system"] in _IN_MEMORY:
        _warn(f"{arguments.data_dir} is in memory: what storing costs will look too low; see --data-dir")
    if options.placement.server == options.placement.generator:
        _warn("there is only one CPU: throughput and latency are those of server and generator together")
    else:
        os.sched_setaffinity(0, {options.placement.generator})
    try:
        run = SUITES[arguments.suite](options)
    except KeyboardInterrupt:
        return 130
    for name, error in run.errors.items():
        _warn(f"{name}: {error}")
    if run.results:
        _report(run.results, machine, arguments)
    elif not run.errors:
        _warn(f"no scenario is called {' or '.join(arguments.only)}")
        return 2
    return 1 if run.errors else 0


def _report(results: Sequence[uplinks.Result], machine: dict[str, Any], arguments: argparse.Namespace) -> None:
    print(
        f"{machine['cpus']} CPUs, {machine['cpu']}, {machine['system']}, kernel {machine['kernel']}, "
        f"Python {machine['python']}, data on {machine['data_file_system']}\n"
    )
    print(report.table(results))
    print(f"\n{report.disturbance(results)}".rstrip() + "\n")
    for verdict in report.verdicts(results):
        print(verdict)
    arguments.json.write_text(
        json.dumps(report.as_json(arguments.suite, machine, results), indent=2) + "\n", encoding="utf-8"
    )
    print(f"\nall figures: {arguments.json}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the gateway on this machine, over loopback. See docs/benchmarks.md.",
    )
    parser.add_argument("suite", nargs="?", choices=sorted(SUITES), default="uplinks")
    parser.add_argument("--quick", action="store_true", help="a second for each scenario; the figures are rough")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each is measured at full load (%(default)s)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="scenarios by name or its beginning, such as ack-con",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("bench-results.json"),
        metavar="FILE",
        help="where the figures go (%(default)s)",
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
    return arguments


def _options(arguments: argparse.Namespace) -> Options:
    quick: bool = arguments.quick
    return Options(
        placement=placement(realtime=arguments.realtime),
        only=tuple(arguments.only),
        warm_up_s=0.2 if quick else 1.0,
        paced_s=0.2 if quick else 2.0,
        saturated_s=0.4 if quick else arguments.seconds,
        drain_s=5.0 if quick else 60.0,
        data_dir=arguments.data_dir,
    )


def _warn(text: str) -> None:
    print(f"scripts/bench: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
