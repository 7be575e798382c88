"""The figures of all processes, added up so that a worker that ends takes back nothing that it has counted.

Asked for by the command `figures`, which answers `{"ts": when, in milliseconds since 1970, "figures": [[name, label…,
value]…]}`; see `gateway.metrics.Key`. The API's process adds its own.
"""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import gateway
from gateway.command_socket import Commands
from gateway.metrics import BUILD_INFO, DTLS_SESSIONS, METRICS, Key, Kind, Metrics
from gateway.model import JsonValue
from gateway.process_figures import measure_process

PROCESS: Final = "supervisor"
"""What the parent process is called in the figures."""


class Figures:
    """The figures of the workers, as they tell them, and of the supervisor's own parts."""

    def __init__(self, workers: int) -> None:
        self.metrics = Metrics()
        """Those of the thread that all of this belongs to."""
        self._others: list[Metrics] = []
        self._running: list[dict[Key, float]] = [{} for _ in range(workers)]
        self._ended: dict[Key, float] = {}
        """What the workers have counted that are no more."""
        self.metrics.set(BUILD_INFO, gateway.__version__, platform.python_version(), value=1)

    def of_another_thread(self) -> Metrics:
        """Figures for another thread of this process to count with; they are added up with the others."""
        self._others.append(Metrics())
        return self._others[-1]

    def take(self, worker: int, statistics: Iterable[Sequence[JsonValue]]) -> None:
        """Note what a worker says: `[name, label…, value]` for each figure that changed, null for one that is gone."""
        figures = self._running[worker]
        for name, *labels, value in statistics:
            if value is None:
                figures.pop((name, *labels), None)
            else:
                figures[(name, *labels)] = value

    def worker_ended(self, worker: int) -> None:
        """Keep what a worker has counted, forget how it stood."""
        for key, value in self._running[worker].items():
            if key[0] in METRICS and METRICS[key[0]].kind is not Kind.GAUGE:
                self._ended[key] = self._ended.get(key, 0) + value
        self._running[worker] = {}

    def totals(self) -> dict[Key, float]:
        """All of them as they stand, each made one by the rule of its metric."""
        measure_process(self.metrics, PROCESS)
        own = (metrics.snapshot() for metrics in (self.metrics, *self._others))
        return added_up([self._ended, *self._running, *own])

    def count_sessions(self) -> int:
        """How many DTLS sessions there are."""
        return int(sum(figures.get((DTLS_SESSIONS,), 0) for figures in self._running))

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {"figures": self._answer}

    async def _answer(self, of: JsonValue) -> JsonValue:
        return {"ts": time.time_ns() // 1_000_000, "figures": [[*key, value] for key, value in self.totals().items()]}


def figures_of(answer: JsonValue) -> dict[Key, float]:
    """The figures in an answer to the command `figures`."""
    return {(name, *labels): value for name, *labels, value in answer["figures"]}


def added_up(parts: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    """The figures of several processes as those of one, without those of metrics that are not known here."""
    values: dict[Key, list[float]] = {}
    for part in parts:
        for key, value in part.items():
            values.setdefault(key, []).append(value)
    return {key: METRICS[key[0]].of_all(several) for key, several in values.items() if key[0] in METRICS}
