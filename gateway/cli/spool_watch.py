"""How far a drain has got: bars on a terminal, a line now and then elsewhere; always on standard error."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.cli.output import print_note
from gateway.cli.spool_backlog import Backlog
from gateway.errors import UnavailableError
from gateway.model import JsonValue
from gateway.sinks.sink import Trouble
from gateway.sinks.status import STOPPED

POLL_S: Final = 0.1
"""How often it is looked how much is left; less often where looking takes longer than that."""

STATUS_S: Final = 1.0
"""How often it is asked how sinks are doing."""

LINE_S: Final = 5.0
"""Time between two lines where there is no terminal."""

Statuses: TypeAlias = Callable[[], Sequence[Mapping[str, JsonValue]] | None]
"""How sinks are doing, as `SinkStatus.as_json` tells it; None where no gateway runs at the moment."""

Show: TypeAlias = Callable[[Mapping[str, int], Mapping[str, str]], object]
"""Shows, by sinks, how much is left and in which state each is."""


@dataclass(slots=True)
class Drained:
    """What a drain came to."""

    total: Mapping[str, int]
    """Uplinks that there were at first, by sinks."""
    left: Mapping[str, int]
    """Those that are not delivered."""
    statuses: Mapping[str, Mapping[str, JsonValue]]
    """How sinks were doing at last; empty where nothing had to be waited for, or the gateway has ended."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left."""
        return not any(self.left.values())

    def as_json(self) -> list[dict[str, JsonValue]]:
        """The shape that scripts rely on."""
        return [
            {
                "name": name,
                "uplinks": uplinks,
                "left_uplinks": self.left[name],
                "state": self.statuses.get(name, {}).get("state"),
                "last_error": self.statuses.get(name, {}).get("last_error"),
            }
            for name, uplinks in self.total.items()
        ]


def watch(backlog: Backlog, statuses: Statuses, *, deadline_s: float) -> Drained:
    """Wait until the backlog is delivered, or until then on the monotonic clock."""
    told: dict[str, Mapping[str, JsonValue]] = {}
    next_status_s = 0.0
    with _progress(backlog.total) as show:
        while True:
            began_s = time.monotonic()
            left = backlog.left()
            ends = began_s >= deadline_s or not any(left.values())
            if ends or began_s >= next_status_s:
                told = {status["name"]: status for status in statuses() or ()}
                next_status_s = began_s + STATUS_S
            show(left, {name: told[name]["state"] if name in told else STOPPED for name in left})
            if ends:
                return Drained(backlog.total, left, told)
            took_s = time.monotonic() - began_s
            time.sleep(max(POLL_S, took_s))


def complain(drained: Drained, timeout_s: float) -> UnavailableError:
    """What is left, why, and what cures it."""
    lines, hints = [], []
    for name, left in drained.left.items():
        if left:
            why, cure = _reason(drained.statuses.get(name))
            lines.append(
                f"{name}: {left:,} of {drained.total[name]:,} uplinks are not delivered after {timeout_s:g} s{why}"
            )
            hints.append(cure)
    return UnavailableError("\n".join(lines), hint="\n".join(dict.fromkeys(hints)))


def _reason(status: Mapping[str, JsonValue] | None) -> tuple[str, str]:
    if status is None:
        return ", and the gateway has ended", "start it, or run this command again"
    error = status["last_error"]
    if error is None or status["state"] not in list(Trouble):
        return "", "give it longer with --timeout; what is left stays in the spools"
    return f"; it is {status['state']}: {error['message']}", error["hint"]


@contextmanager
def _progress(total: Mapping[str, int]) -> Iterator[Show]:
    if not any(total.values()):
        yield lambda left, states: None
    elif not sys.stderr.isatty():
        yield _Lines(total).show
    else:
        with _bars(total) as show:
            yield show


class _Lines:
    """A line at the beginning, another where something has changed since."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self._total = total
        self._said: list[str] = []
        self._next_s = 0.0

    def show(self, left: Mapping[str, int], states: Mapping[str, str]) -> None:
        """See `Show`."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + LINE_S
        lines = [
            f"{name}, {states[name]}: {uplinks - left[name]:,} of {uplinks:,} uplinks delivered"
            for name, uplinks in self._total.items()
            if uplinks
        ]
        if lines != self._said:
            self._said = lines
            for line in lines:
                print_note(line)


@contextmanager
def _bars(total: Mapping[str, int]) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as progress:
        tasks = {name: progress.add_task(name, total=uplinks) for name, uplinks in total.items() if uplinks}

        def show(left: Mapping[str, int], states: Mapping[str, str]) -> None:
            for name, task in tasks.items():
                progress.update(task, completed=total[name] - left[name], description=f"{name}, {states[name]}")

        yield show
