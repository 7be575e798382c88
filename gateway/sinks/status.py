"""How a sink is doing, for people and for metrics."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import NotFoundError
from gateway.model import JsonValue
from gateway.sinks.sink import SinkError
from gateway.storage.outbox import OutboxReader
from gateway.storage.sink_store import Position
from gateway.storage.spool import find_spools
from gateway.storage.spool_reader import BatchReader, SpoolReader, Waiting

RATE_WINDOW_S: Final = 10.0
"""Over how long a rate is taken."""

CONNECTED: Final = "connected"
CONNECTING: Final = "connecting"
STOPPED: Final = "stopped"


@dataclass(frozen=True, slots=True)
class LastError:
    """What went wrong last, whether or not it still does."""

    trouble: str
    message: str
    hint: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink is doing now."""

    name: str
    destination: str
    state: str
    """connected, connecting, stopped, or a `Trouble`."""
    since_ms: int
    """Since when, in milliseconds since 1970."""
    delivered: int
    """Reports that were confirmed since the gateway started."""
    refused: int
    """Reports that the receiver would not take, since then."""
    rate_per_s: float
    """Reports confirmed per second, over the last ten."""
    last_error: LastError | None

    def as_json(self, waiting: Waiting) -> dict[str, JsonValue]:
        """The shape that scripts rely on."""
        error = self.last_error
        return {
            "name": self.name,
            "destination": self.destination,
            "state": self.state,
            "since_ts": self.since_ms,
            "delivered": self.delivered,
            "refused": self.refused,
            "rate_per_s": round(self.rate_per_s, 1),
            "waiting_uplinks": waiting.uplinks,
            "waiting_bytes": waiting.bytes,
            "oldest_ts": waiting.oldest_ms,
            "last_error": error
            and {"trouble": error.trouble, "message": error.message, "hint": error.hint, "ts": error.at_ms},
        }


class Pulse:
    """Keeps the figures of one sink's status. Written in the sink's thread, read in any."""

    def __init__(self, name: str, destination: str) -> None:
        self._name = name
        self._destination = destination
        self._state = CONNECTING
        self._since_ms = _now_ms()
        self._delivered = 0
        self._refused = 0
        self._last_error: LastError | None = None
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        """(second, delivered by then), about one a second."""

    def enter(self, state: str) -> None:
        """Another state."""
        if state != self._state:
            self._state, self._since_ms = state, _now_ms()

    def fail(self, error: SinkError) -> None:
        """It can't deliver now."""
        self._last_error = LastError(error.trouble, error.message, error.hint, _now_ms())
        self.enter(error.trouble)

    def deliver(self, reports: int) -> None:
        """So many reports were confirmed."""
        self._delivered += reports
        now_s = time.monotonic()
        if now_s - self._marks[-1][0] >= 1.0:
            self._marks.append((now_s, self._delivered))
            while len(self._marks) > 2 and now_s - self._marks[1][0] >= RATE_WINDOW_S:
                self._marks.popleft()

    def refuse(self) -> None:
        """A report was refused for good."""
        self._refused += 1

    @property
    def status(self) -> SinkStatus:
        """As it stands."""
        now_s = time.monotonic()
        begin_s, before = next(
            (mark for mark in tuple(self._marks) if now_s - mark[0] <= RATE_WINDOW_S), (now_s, self._delivered)
        )
        seconds = max(1.0, now_s - begin_s)
        return SinkStatus(
            name=self._name,
            destination=self._destination,
            state=self._state,
            since_ms=self._since_ms,
            delivered=self._delivered,
            refused=self._refused,
            rate_per_s=(self._delivered - before) / seconds,
            last_error=self._last_error,
        )


def waiting_for(data_dir: Path, sink: str | None, positions: Mapping[str, Position]) -> Waiting:
    """What waits for a sink (None: the device view) in all spools and its outbox. Raises what `BatchReader` raises."""
    found: list[Waiting] = []
    with ExitStack() as stack:
        readers: list[BatchReader] = []
        for path in find_spools(data_dir).values():
            with suppress(NotFoundError):  # its worker is just making it
                readers.append(SpoolReader(path))
                stack.callback(readers[-1].close)
        with suppress(NotFoundError):
            if sink is not None:
                readers.append(OutboxReader(data_dir, sink=sink))
                stack.callback(readers[-1].close)
        for reader in readers:
            position = positions.get(reader.identity, Position(1, 0))
            found.append(reader.waiting(after=position.batch - 1))
    times = [one.oldest_ms for one in found if one.oldest_ms is not None]
    return Waiting(sum(one.uplinks for one in found), sum(one.bytes for one in found), min(times) if times else None)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
