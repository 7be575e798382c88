"""What a suite gave: a table, verdicts on budgets, and all figures as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import processes


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


Rows: TypeAlias = list[tuple[str, ...]]
"""A table, its head first."""


@dataclass(slots=True)
class Report:
    """What a suite gave."""

    tables: list[Rows] = field(default_factory=list)
    """One for all that has the same columns; none where nothing was measured."""
    notes: list[str] = field(default_factory=list)
    """What to know when reading the tables."""
    verdicts: list[Verdict] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    """Each scenario's figures, for the results file."""
    errors: dict[str, str] = field(default_factory=dict)
    """Why a scenario gave nothing, by its name."""

    def as_json(self, suite: str, machine_: dict[str, Any]) -> dict[str, Any]:
        """All there is, for the results file."""
        return {
            "suite": suite,
            "machine": machine_,
            "notes": self.notes,
            "results": self.results,
            "budgets": [asdict(verdict) | {"met": verdict.met} for verdict in self.verdicts],
        }


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as a Markdown table; the first is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


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
