"""Whether the gateway can take uplinks: every worker listens, and what it takes can be stored.

Asked for by the command `ready`, which answers `{"ready": whether, "reasons": [what is in the way…]}`.
"""

from gateway.command_socket import Commands
from gateway.model import JsonValue


class Readiness:
    """Of all workers, as they tell it."""

    def __init__(self, workers: int) -> None:
        self._missing = set(range(workers))
        self._spools: dict[int, str] = {}
        """What is wrong with the spools of the workers that can't write theirs."""

    def worker_serves(self, worker: int) -> None:
        """A worker listens."""
        self._missing.discard(worker)

    def worker_ended(self, worker: int) -> None:
        """A worker is no more."""
        self._missing.add(worker)
        self._spools.pop(worker, None)

    def spool_is(self, worker: int, trouble: str) -> None:
        """How a worker's last commit went; empty: well."""
        if trouble:
            self._spools[worker] = trouble
        else:
            self._spools.pop(worker, None)

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {"ready": self._answer}

    async def _answer(self, of: JsonValue) -> JsonValue:
        reasons = [f"worker {worker} does not listen" for worker in sorted(self._missing)]
        reasons += [trouble for _, trouble in sorted(self._spools.items())]
        return {"ready": not reasons, "reasons": reasons}
