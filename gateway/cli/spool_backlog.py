"""What waits in the spools at one moment, and how much of it sinks still lack. Read from the files alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gateway.delivery import DEVICE_VIEW
from gateway.errors import NotFoundError
from gateway.storage.device_view import DeviceView
from gateway.storage.outbox import OutboxReader
from gateway.storage.sink_store import Position, SinkView
from gateway.storage.spool import find_spools
from gateway.storage.spool_reader import BatchReader, SpoolReader


def positions_of(data_dir: Path, sink: str) -> dict[str, Position]:
    """How far a sink, or the device view, got in each spool, by the spools' identities. Raises what views raise."""
    if sink == DEVICE_VIEW:
        with DeviceView(data_dir) as devices:
            return {spool: Position(batch + 1, 0) for spool, batch in devices.positions().items()}
    with SinkView(data_dir) as sinks:
        return sinks.positions(sink)


class Backlog:
    """What waits for some sinks now. What comes later is none of it.

    Every method raises ConfigurationError where a file can't be read.
    """

    def __init__(self, data_dir: Path, sinks: Sequence[str]) -> None:
        self._data_dir = data_dir
        self._heads: dict[str, dict[str, int]] = {}
        """For each sink the last batch that is there for it, by the spools' identities."""
        for sink in sinks:
            with _readers(data_dir, sink) as readers:
                self._heads[sink] = {reader.identity: reader.head() for reader in readers}
        self.total = {sink: self._left(sink) for sink in sinks}
        """How many uplinks that is, by sinks."""

    def left(self) -> dict[str, int]:
        """How many uplinks of it are not delivered, by sinks."""
        return {sink: min(total, self._left(sink)) if total else 0 for sink, total in self.total.items()}

    def _left(self, sink: str) -> int:
        heads, left = self._heads[sink], 0
        positions = positions_of(self._data_dir, sink)
        with _readers(self._data_dir, sink) as readers:
            for reader in readers:
                head = heads.get(reader.identity, 0)
                done = positions.get(reader.identity, Position(1, 0)).batch - 1
                if done < head:
                    later = reader.waiting(after=head).uplinks  # first: what comes meanwhile must not make up for it
                    left += reader.waiting(after=done).uplinks - later
        return left


@contextmanager
def _readers(data_dir: Path, sink: str) -> Iterator[list[BatchReader]]:
    """The spools, and the outbox where the sink reads it."""
    with ExitStack() as stack:
        readers: list[BatchReader] = []
        for path in find_spools(data_dir).values():
            with suppress(NotFoundError):  # its worker is just making it
                readers.append(SpoolReader(path))
                stack.callback(readers[-1].close)
        with suppress(NotFoundError):
            if sink != DEVICE_VIEW:
                readers.append(OutboxReader(data_dir, sink=sink))
                stack.callback(readers[-1].close)
        yield readers
