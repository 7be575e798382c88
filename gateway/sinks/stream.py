"""All spools as one stream of records, in the order of receipt.

Each worker has a spool of its own, and a device whose port changes may come to another worker, so that its reports may
lie in several. What is read here is in the order that a device can have caused: if it sent a report only after an
earlier one was acknowledged, the earlier one comes first. Why that holds:

- A report is committed before it is acknowledged. So if the later one is in its spool at some moment, the earlier one
  is in its own.
- All spools' heads are looked at first, and then what they have is read. Of what was committed in between, only that
  is given out which was received no later than something that the heads have.
- Where a spool has more than is read in one go, nothing is given out that was received after the last that was read.

A spool's own order stands, whatever the clock does: a record counts as received no earlier than those before it.
"""

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Final

from gateway.errors import NotFoundError
from gateway.sinks.sink import Record
from gateway.storage.outbox import OutboxReader
from gateway.storage.sink_store import Position
from gateway.storage.spool import find_spools
from gateway.storage.spool_reader import BatchReader, SpoolReader

READ_BATCHES: Final = 512
"""Most batches of a spool that are read in one go."""

LEAST_READ_BYTES: Final = 64 << 10
"""A spool's share of what is read in one go, at least."""


class Portion:
    """Some records, and how far each spool is done when the first n of them are."""

    def __init__(self, records: list[Record], sizes: Mapping[tuple[str, int], int], after: dict[str, Position]) -> None:
        """`sizes` has the number of reports of each batch, `after` the positions when all records are done."""
        self.records = records
        self.after = after
        self._sizes = sizes
        self._counted = 0
        self._positions: dict[str, Position] = {}

    def positions(self, taken: int) -> dict[str, Position]:
        """The positions when the first `taken` records are done; never less than at the last call."""
        if taken == len(self.records):
            return self.after
        for spool, batch, number, _ in self.records[self._counted : taken]:
            whole = number + 1 == self._sizes[spool, batch]
            self._positions[spool] = Position(batch + 1, 0) if whole else Position(batch, number + 1)
        self._counted = max(self._counted, taken)
        return self._positions

    def first(self, number: int) -> "Portion":
        """Its first records, as a portion of their own."""
        after = dict(Portion(self.records, self._sizes, self.after).positions(number))
        return Portion(self.records[:number], self._sizes, after)


class _Source:
    """One spool, or the outbox: what was read of it and not given out yet."""

    def __init__(self, reader: BatchReader, position: Position) -> None:
        self.reader = reader
        self.records: deque[tuple[int, Record]] = deque()
        """With the time by which they are ordered."""
        self.sizes: dict[tuple[str, int], int] = {}
        """The number of reports of each batch that `records` are of."""
        self.go_to(position)

    def go_to(self, position: Position) -> None:
        """Begin anew at this position."""
        self.records.clear()
        self.sizes.clear()
        self._clock_ms = 0
        self._begin = position
        self._read_to = position.batch - 1

    @property
    def position(self) -> Position:
        """Of the first record that was not given out."""
        if self.records:
            record = self.records[0][1]
            return Position(record.batch, record.number)
        next_batch = self._read_to + 1
        return self._begin if next_batch == self._begin.batch else Position(next_batch, 0)

    def fill(self, max_bytes: int) -> tuple[bool, bool]:
        """Read on; whether there was something, and whether that was all."""
        deliveries = self.reader.read(after=self._read_to, max_batches=READ_BATCHES, max_bytes=max_bytes)
        if not deliveries:
            return False, True
        spool, clock_ms, records = self.reader.identity, self._clock_ms, self.records
        for delivery in deliveries:
            batch = delivery.batch_id
            self.sizes[spool, batch] = len(delivery.reports)
            done = self._begin.number if batch == self._begin.batch else 0
            for number, report in enumerate(delivery.reports[done:] if done else delivery.reports, done):
                if report.received_ms > clock_ms:
                    clock_ms = report.received_ms
                records.append((clock_ms, Record(spool, batch, number, report)))
        self._read_to = deliveries[-1].batch_id
        self._clock_ms = clock_ms
        return True, self.reader.head() <= self._read_to

    def last_ms_up_to(self, head: int) -> int:
        """When the last of its records was received that is no newer than batch `head`; -1 where there is none."""
        return next((received_ms for received_ms, one in reversed(self.records) if one.batch <= head), -1)

    def forget_sizes(self) -> None:
        """Of batches that are given out whole."""
        if not self.records:
            self.sizes.clear()
            return
        first = self.records[0][1].batch
        for key in [key for key in self.sizes if key[1] < first]:
            del self.sizes[key]

    def take(self, until_ms: int) -> Iterator[tuple[int, Record]]:
        """What was received until then."""
        records = self.records
        while records and records[0][0] <= until_ms:
            yield records.popleft()


class SpoolStream:
    """What one sink has to deliver; for one thread.

    Raises what `BatchReader` raises; it may be called again then.
    """

    def __init__(self, data_dir: Path, sink: str, positions: Mapping[str, Position]) -> None:
        self._data_dir = data_dir
        self._sink = sink
        self._positions = positions
        self._sources: dict[Path, _Source] = {}

    def read(self, max_bytes: int) -> Portion | None:
        """The next records, about `max_bytes` of the spools; None where nothing waits.

        A portion may have no records, where what waits is of no concern to sinks: its positions count all the same.
        """
        self._find_sources()
        heads = {path: source.reader.head() for path, source in self._sources.items()}
        share = max(LEAST_READ_BYTES, max_bytes // max(1, len(self._sources)))
        safe_ms, cut_ms, moved = -1, sys.maxsize, False
        for path, source in self._sources.items():
            whole = False
            if not source.records:
                something, whole = source.fill(share)
                moved = moved or something
            if source.records:
                safe_ms = max(safe_ms, source.last_ms_up_to(heads[path]))
                if not whole:
                    cut_ms = min(cut_ms, source.records[-1][0])
        return self._give_out(min(safe_ms, cut_ms)) if moved or safe_ms >= 0 else None

    def _give_out(self, until_ms: int) -> Portion:
        parts = [list(source.take(until_ms)) for source in self._sources.values()]
        ordered = [one for part in parts for one in part]
        if sum(1 for part in parts if part) > 1:
            ordered.sort(key=itemgetter(0))
        sizes: dict[tuple[str, int], int] = {}
        for source in self._sources.values():
            sizes.update(source.sizes)
            source.forget_sizes()
        after = {source.reader.identity: source.position for source in self._sources.values()}
        return Portion([record for _, record in ordered], sizes, after)

    def rewind(self, positions: Mapping[str, Position]) -> None:
        """Begin anew from here: what was given out behind it is given out once more."""
        self._positions = positions
        for source in self._sources.values():
            source.go_to(positions.get(source.reader.identity, Position(0, 0)))

    def close(self) -> None:
        """Close the files."""
        for source in self._sources.values():
            source.reader.close()

    def _find_sources(self) -> None:
        """Workers make their spools when they start; and there may be spools of more workers than there are now."""
        for path in find_spools(self._data_dir).values():
            if path not in self._sources:
                with suppress(NotFoundError):  # its worker is just making it
                    self._add(path, SpoolReader(path))
        outbox = self._data_dir / "outbox"  # no file: a table of another
        if outbox not in self._sources:
            with suppress(NotFoundError):
                self._add(outbox, OutboxReader(self._data_dir, sink=self._sink))

    def _add(self, path: Path, reader: BatchReader) -> None:
        self._sources[path] = _Source(reader, self._positions.get(reader.identity, Position(0, 0)))
