"""What a run of the benchmarks is asked for."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Placement


@dataclass(frozen=True, slots=True)
class Options:
    """The command line's choices, the same for all suites."""

    placement: Placement
    only: tuple[str, ...]
    """Run the scenarios with these names, or whose names begin so; empty: all."""
    warm_up_s: float
    paced_s: float
    """Of each scenario's phase at a fixed rate."""
    saturated_s: float
    """Of each scenario's phase at full load; for one without phases, of all its rounds."""
    drain_s: float
    """How long a gateway's supervisor may take, after the load, to finish with what was stored."""
    data_dir: Path
    """Where measured gateways keep their data."""
    idle_associations: int
    """How many DTLS associations of an engine alone are held at a time where their memory is measured."""
    idle_sessions: int
    """The same of a whole gateway."""
    backlog: int
    """How many records wait in a spool when delivery begins."""

    def wants(self, name: str) -> bool:
        """Whether the scenario of that name is to be run."""
        return not self.only or name.startswith(self.only)
