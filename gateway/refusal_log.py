"""What the log says of requests that were refused: a line each, with who it was and why, in a bounded number.

So a device that gets nothing through is found in the log by its address, its principal or its integration.
"""

import logging
import time
from collections.abc import Callable

from gateway.log_folding import LineBound
from gateway.logs import about
from gateway.model import Code, Outcome, Principal

_log = logging.getLogger(__name__)


class RefusalLog:
    """Writes the lines, at most `log_folding.LINES_PER_SECOND`; the rest are counted, and their number is said."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._bound = LineBound(_log, "refused requests")

    def admits(self) -> bool:
        """Whether there may be one more line; to be asked first, for what a line says takes time to find out."""
        return self._bound.admits(self._clock_s())

    def refused(
        self, outcome: Outcome, *, peer: str, principal: Principal | None, integration: str = "", warn: bool = False
    ) -> None:
        """A request got this outcome. `warn` where somebody should look into it; so always where it was our fault."""
        level = logging.WARNING if warn or outcome.code >= Code.INTERNAL_SERVER_ERROR else logging.INFO
        fields = about(
            peer=peer,
            principal=principal,
            integration=integration,
            code=outcome.code.dotted,
            error=outcome.diagnostic,
        )
        _log.log(level, "request refused", extra=fields)

    def catch_up(self) -> None:
        """Say how many lines were left out, if their second is over. To be called now and then."""
        self._bound.catch_up(self._clock_s())

    def finish(self) -> None:
        """Say how many lines were left out, at the end."""
        self._bound.finish()
