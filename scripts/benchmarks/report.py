"""Results as a table, as verdicts on the budgets, and as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.uplinks import PACED_RATE, Result

LEAST_RATIO_TO_AIOCOAP = 18.0
"""Acknowledge only, the gateway's throughput to aiocoap's, in the same run."""


DISTURBED_FROM = 0.1
"""From which share of a CPU on other programs are said to disturb."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure and the budget that it must keep."""

    what: str
    figure: float
    budget: float
    at_most: bool
    unit: str

    @property
    def met(self) -> bool:
        """Whether the budget is kept."""
        return self.figure <= self.budget if self.at_most else self.figure >= self.budget

    def __str__(self) -> str:
        relation = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "MISSED"
        return f"{verdict:6}  {self.what}: {self.figure:.2f} {self.unit} ({relation} {self.budget:g})"


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """The budgets that these results speak to."""
    found = [
        Verdict(f"{result.title}, CPU per request", result.cpu_us, result.budget_us, True, "µs")
        for result in results
        if result.budget_us is not None
    ]
    by_name = {result.name: result for result in results}
    for mode in ("con", "non"):
        ours, theirs = by_name.get(f"ack-{mode}"), by_name.get(f"aiocoap-{mode}")
        if ours and theirs:
            ratio = ours.requests_per_s / max(theirs.requests_per_s, 1.0)
            found.append(
                Verdict(f"throughput to aiocoap's, {mode.upper()}", ratio, LEAST_RATIO_TO_AIOCOAP, False, "times")
            )
    return found


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table."""
    rows = [
        (
            "scenario",
            "requests/s",
            "CPU µs/request",
            "supervisor µs/request",
            "CPU busy",
            "p50 / p99 at full load, ms",
            f"p50 / p99 at {PACED_RATE}/s, µs",
            "memory, MB",
            "failures",
        )
    ]
    for result in results:
        full, paced = result.saturated, result.paced
        rows.append(
            (
                result.title,
                f"{result.requests_per_s:,.0f}",
                f"{result.cpu_us:.2f}",
                "" if result.supervisor_cpu_us is None else f"{result.supervisor_cpu_us:.2f}",
                f"{result.busy:.0%}",
                f"{full.p50_us / 1000:.2f} / {full.p99_us / 1000:.2f}",
                f"{paced.p50_us:.0f} / {paced.p99_us:.0f}",
                f"{full.resident_bytes[0] / 1e6:.0f}",
                ", ".join(f"{count} of {kind}" for kind, count in sorted(result.failures.items())) or "none",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def disturbance(results: Sequence[Result]) -> str:
    """A line that says so where other programs took CPU time; empty where none did to speak of."""
    most = max(results, key=lambda result: result.others_busy)
    if most.others_busy < DISTURBED_FROM:
        return ""
    return (
        f"Other programs took up to {most.others_busy:.0%} of a CPU ({most.name}): throughput and latency "
        "are worse than this machine's, CPU times somewhat."
    )


def machine(data_dir: Path) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": processes.cpu_model(),
        "memory_bytes": processes.memory_bytes(),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "data_file_system": processes.file_system(data_dir),
    }


def as_json(suite: str, machine_: dict[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """All there is, for the results file."""
    return {
        "suite": suite,
        "machine": machine_,
        "results": [result.as_json() for result in results],
        "budgets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(results)],
    }
