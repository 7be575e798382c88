"""Converters under watch: what runs into its limits again and again is blocked for a while, what is slow is reported.

A call that ends at its time limit has kept its worker from all other devices for that long. As in ThingsBoard, a
converter that fails three times in a row is blocked for 60 s; its uplinks are then refused at once, with the time that
is left. Here only failures by limit count: an error costs nobody else anything. Python has no limits, but a budget.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.converters.decoder import BoundDecoder, Decoder, LimitError, ResultReader
from gateway.converters.results import reports_of
from gateway.errors import UnavailableError
from gateway.logs import about
from gateway.metrics import CONVERTER_BLOCKS_TOTAL, CONVERTER_OVER_BUDGET_TOTAL, Metrics
from gateway.model import Converter, DeviceReport, Language

MAX_FAILURES: Final = 3
"""Failures by limit in a row that block a converter; only a success in between begins a new row."""

BLOCKED_S: Final = 60.0
"""How long it is blocked, in seconds."""

LOG_INTERVAL_S: Final = 10.0
"""Least time between two lines about one converter's slow calls, in seconds."""

_log = logging.getLogger(__name__)


class BlockingDecoder:
    """A decoder that refuses uplinks for a while after failures by limit in a row; belongs to one thread."""

    __slots__ = ("_blocked_until_s", "_clock_s", "_decoder", "_failures", "_metrics", "_name")

    def __init__(
        self, decoder: Decoder, name: str, metrics: Metrics, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`name` is the converter's, for log and metrics."""
        self._decoder = decoder
        self._name = name
        self._metrics = metrics
        self._clock_s = clock_s
        self._failures = 0
        self._blocked_until_s = 0.0
        """0 where it is not blocked."""

    def bind(self, metadata: Mapping[str, str], *, read: ResultReader = reports_of) -> BoundDecoder:
        """See `Decoder.bind`. The function also raises UnavailableError, with Max-Age: the converter is blocked.

        All bindings are blocked at once.
        """
        convert = self._decoder.bind(metadata, read=read)

        def decode(payload: bytes, received_ms: int) -> list[DeviceReport]:
            if self._blocked_until_s:
                self._refuse_or_unblock()
            try:
                reports = convert(payload, received_ms)
            except LimitError as error:
                self._failed(error)
                raise
            if self._failures:
                self._failures = 0
            return reports

        return decode

    def _refuse_or_unblock(self) -> None:
        left_s = self._blocked_until_s - self._clock_s()
        if left_s > 0:
            raise UnavailableError(
                f"the converter is blocked: it ran into its limits {MAX_FAILURES} times in a row",
                max_age_s=math.ceil(left_s),
            )
        self._blocked_until_s = 0.0
        self._metrics.count(CONVERTER_BLOCKS_TOTAL, self._name, "unblocked")
        _log.info("converter %s is no longer blocked", self._name, extra=about(converter=self._name))

    def _failed(self, error: LimitError) -> None:
        self._failures += 1
        if self._failures < MAX_FAILURES:
            return
        self._failures = 0
        self._blocked_until_s = self._clock_s() + BLOCKED_S
        self._metrics.count(CONVERTER_BLOCKS_TOTAL, self._name, "blocked")
        _log.warning(
            "converter %s is blocked for %g s: it ran into its limits %d times in a row",
            self._name,
            BLOCKED_S,
            MAX_FAILURES,
            extra=about(converter=self._name, error=error.message),
        )


class SlowCalls:
    """Counts and logs a Python converter's calls that took longer than the budget."""

    __slots__ = ("_budget_s", "_clock_s", "_left_out", "_metrics", "_name", "_next_line_s")

    def __init__(
        self, name: str, budget_s: float, metrics: Metrics, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`name` is the converter's."""
        self._name = name
        self._budget_s = budget_s
        self._metrics = metrics
        self._clock_s = clock_s
        self._next_line_s = -math.inf
        self._left_out = 0

    def report(self, taken_s: float) -> None:
        """One took so long, in seconds."""
        self._metrics.count(CONVERTER_OVER_BUDGET_TOTAL, self._name)
        now_s = self._clock_s()
        if now_s < self._next_line_s:
            self._left_out += 1
            return
        _log.warning(
            "converter %s took %.1f ms, its budget is %g ms: all devices of this worker waited%s",
            self._name,
            taken_s * 1000,
            self._budget_s * 1000,
            f" ({self._left_out} more such calls since the last line)" if self._left_out else "",
            extra=about(converter=self._name),
        )
        self._next_line_s, self._left_out = now_s + LOG_INTERVAL_S, 0


def watched(decoder: Decoder, converter: Converter, *, python_budget_ms: int, metrics: Metrics) -> Decoder:
    """The decoder under watch, as it befits its language. It raises UnavailableError where it is blocked."""
    if converter.language is Language.PYTHON:
        from gateway.converters.python import PythonDecoder

        assert isinstance(decoder, PythonDecoder)
        budget_s = python_budget_ms / 1000
        decoder.watch(budget_s, SlowCalls(converter.name, budget_s, metrics).report)
        return decoder
    return BlockingDecoder(decoder, converter.name, metrics)
