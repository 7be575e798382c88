"""Floods of lines are folded: whoever can make the gateway complain must not fill the disk, nor hide what else it says.

Lines are of one kind where logger, level and template are the same, and who and what they are about: a device that
fails all the time is folded for itself, and the failure of another one next to it still has its line.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TextIO

WINDOW_S: Final = 10.0
"""How long lines are counted together, from the first one on."""

LINES_PER_WINDOW: Final = 20
"""Most lines of a kind that are written in a window."""

STACKS_PER_WINDOW: Final = 3
"""The same of lines with the stack of an exception, which are long."""

KINDS: Final = 1_000
"""Most kinds of lines that are told apart by their fields; beyond, the template alone counts. Beyond twice as many the
logger and the level alone do: libraries put into templates what others say."""

LINES_PER_SECOND: Final = 20
"""Most lines a second of a `LineBound`."""


class Kind(NamedTuple):
    """What lines are folded by."""

    logger: str
    level: int
    template: str
    fields: tuple[tuple[str, str], ...] = ()


class Folded(NamedTuple):
    """What a window left out."""

    kind: Kind
    lines: int
    example: str
    """The message of the first line that was left out."""


class _Window:
    __slots__ = ("began_s", "example", "left_out", "written")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.written = 0
        self.left_out = 0
        self.example = ""


class Folding:
    """Says which lines are written, and how many were not. Has no clock: `now_s` is a monotonic time."""

    def __init__(self) -> None:
        self._windows: dict[Kind, _Window] = {}

    def admits(self, kind: Kind, now_s: float, *, most: int, message: Callable[[], str]) -> bool:
        """Whether one more line may be written; counts it where not. `take(now_s)` must have been called before."""
        if kind not in self._windows and len(self._windows) >= KINDS:
            kind = kind._replace(fields=())
        if kind not in self._windows and len(self._windows) >= 2 * KINDS:
            kind = kind._replace(template="")
        window = self._windows.get(kind)
        if window is None:
            window = self._windows[kind] = _Window(now_s)
        if window.written < most:
            window.written += 1
            return True
        if not window.left_out:
            window.example = message()
        window.left_out += 1
        return False

    def take(self, now_s: float) -> list[Folded]:
        """What the windows left out that are over by now; those are forgotten."""
        over = []
        for kind, window in self._windows.items():  # in the order in which they began
            if now_s - window.began_s < WINDOW_S:
                break
            over.append((kind, window))
        for kind, _ in over:
            del self._windows[kind]
        return [Folded(kind, window.left_out, window.example) for kind, window in over if window.left_out]

    def next_due_s(self) -> float | None:
        """When the first window is over that left something out; None where none did."""
        return next((window.began_s + WINDOW_S for window in self._windows.values() if window.left_out), None)


class FoldingHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream, folded. What was left out is said when its window is over, or at the end."""

    def __init__(self, stream: TextIO, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock_s = clock_s
        self._folding = Folding()
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. The caller holds the handler's lock."""
        now_s = self._clock_s()
        self._say(self._folding.take(now_s))
        most = STACKS_PER_WINDOW if record.exc_info else LINES_PER_WINDOW
        if self._folding.admits(_kind(record), now_s, most=most, message=record.getMessage):
            super().emit(record)
        elif self._timer is None:
            self._wait(now_s)

    def close(self) -> None:
        """Say what was left out so far."""
        with self._locked():
            if self._timer is not None:
                self._timer.cancel()
            self._say(self._folding.take(float("inf")))
        super().close()

    def _wait(self, now_s: float) -> None:
        """Have it said also where no further line comes."""
        due_s = self._folding.next_due_s()
        self._timer = None
        if due_s is not None:
            self._timer = threading.Timer(due_s - now_s, self._catch_up)
            self._timer.daemon = True
            self._timer.start()

    def _catch_up(self) -> None:
        with self._locked():
            now_s = self._clock_s()
            self._say(self._folding.take(now_s))
            self._wait(now_s)

    def _say(self, folded: list[Folded]) -> None:
        for kind, lines, example in folded:
            text = f"… {lines} more of these in the last {WINDOW_S:.0f} s: %s"
            record = logging.LogRecord(kind.logger, kind.level, "", 0, text, (example,), None)
            record.fields = dict(kind.fields)
            super().emit(record)

    def _locked(self) -> threading.RLock:
        assert self.lock is not None
        return self.lock


class LineBound:
    """At most so many lines in a second about one thing, where even to make a line for each would cost too much."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        """`what` the lines are about, such as `sessions`; `log` gets the line that says how many were left out."""
        self._log = log
        self._what = what
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def admits(self, now_s: float) -> bool:
        """Whether one more line may be written; counts it where not."""
        self.catch_up(now_s)
        self._lines += 1
        if self._lines <= LINES_PER_SECOND:
            return True
        self._left_out += 1
        return False

    def catch_up(self, now_s: float) -> None:
        """Say how many lines were left out, if their second is over. To be called now and then."""
        if int(now_s) != self._second:
            self.finish()
            self._second, self._lines = int(now_s), 0

    def finish(self) -> None:
        """Say how many lines were left out, at the end."""
        if self._left_out:
            self._log.info("… and %d more lines about %s", self._left_out, self._what)
            self._left_out = 0


def _kind(record: logging.LogRecord) -> Kind:
    fields: Mapping[str, str] = getattr(record, "fields", {})
    return Kind(record.name, record.levelno, str(record.msg), tuple(_who(fields)))


def _who(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The fields apart from what a peer can make different each time: its port, and what it provokes."""
    for name, value in fields.items():
        if name != "error":
            yield name, value.rpartition(":")[0] if name == "peer" else value
