"""Telemetry history summed up by intervals of time, as ThingsBoard's REST API does."""

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.model import JsonValue

INTERVALS_MAX: Final = 1_000
"""Most intervals that one question may ask for."""


class Aggregation(StrEnum):
    """What becomes of the samples in an interval."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"


class Aggregated(NamedTuple):
    """What the samples of one interval make."""

    ts: int
    """The middle of the interval, in milliseconds since 1970, as in ThingsBoard."""
    value: float


class _Interval:
    """Running figures of the samples that are in it so far."""

    __slots__ = ("count", "greatest", "numbers", "smallest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.numbers = 0
        self.total: float = 0
        self.smallest: float = 0
        self.greatest: float = 0

    def add(self, value: JsonValue) -> None:
        self.count += 1
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        self.smallest = min(self.smallest, value) if self.numbers else value
        self.greatest = max(self.greatest, value) if self.numbers else value
        self.total += value
        self.numbers += 1

    def result(self, how: Aggregation) -> float | None:
        """None where there is nothing to say: none is a number, or their sum is beyond what JSON can hold."""
        if how is Aggregation.COUNT:
            return self.count
        if not self.numbers:
            return None
        figures = {
            Aggregation.AVG: self.total / self.numbers,
            Aggregation.MIN: self.smallest,
            Aggregation.MAX: self.greatest,
            Aggregation.SUM: self.total,
        }
        return figures[how] if math.isfinite(figures[how]) else None


def aggregate(
    samples: Iterable[tuple[int, JsonValue]], how: Aggregation, *, start_ms: int, end_ms: int, interval_ms: int
) -> list[Aggregated]:
    """One value for each interval that has any, ascending by time.

    `samples` are (time, value), all of them from `start_ms` on and before `end_ms`. Intervals begin at `start_ms`, the
    last one ends with `end_ms`. Only numbers are summed up, everything is counted.
    """
    intervals: dict[int, _Interval] = {}
    for ts, value in samples:
        number = (ts - start_ms) // interval_ms
        interval = intervals.get(number)
        if interval is None:
            interval = intervals[number] = _Interval()
        interval.add(value)
    found = []
    for number, interval in sorted(intervals.items()):
        value = interval.result(how)
        if value is not None:
            begin_ms = start_ms + number * interval_ms
            found.append(Aggregated(begin_ms + (min(begin_ms + interval_ms, end_ms) - begin_ms) // 2, value))
    return found
