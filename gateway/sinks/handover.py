"""What one sink has to hand over, over any number of sessions: portions of the stream, and what becomes of refusals.

As the sink confirms records, their positions are recorded; after any failure the stream goes back to what is recorded,
so that at most what was under way is sent again.

Records that the receiver refuses are sent in halves, until it is known which they are; those go to the quarantine, and
the rest goes on, all in order. A receiver that can say no only by closing the connection (MQTT 3.1.1) is dealt with in
the same way: when it has closed twice without having taken anything, portions get small, down to the one record that it
closes at.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import takewhile
from typing import Final, TypeAlias

from gateway.errors import GatewayError
from gateway.metrics import (
    DELIVERED_REPORTS_TOTAL,
    QUARANTINE_DROPPED_TOTAL,
    SINK_REFUSED_REPORTS_TOTAL,
    SINK_REPEATED_REPORTS_TOTAL,
    Metrics,
)
from gateway.model import StoredReport
from gateway.sinks.news import News
from gateway.sinks.sink import FailedAtRecord, Record, RefusedRecords, Session, Sink, SinkError, Trouble
from gateway.sinks.status import Pulse
from gateway.sinks.stream import Portion, SpoolStream
from gateway.storage.sink_store import Position, SinkStore

IDLE_S: Final = 0.05
"""How long to wait when there is nothing to deliver."""

PATIENCE_WITH_LOSS: Final = 2
"""How often a connection may be lost in a row, with nothing taken, before portions get small."""

STRIKES: Final = 3
"""How often the receiver must close the connection at one and the same record before that is taken for refused.

Twice as often for each further one with nothing taken in between: what closes at whatever comes is out of order."""

MOST_STRIKES: Final = 384
"""The doubling ends here, which takes some minutes, so that a long row of such records gets through all the same."""

CAUTION: Final = 8
"""By how much portions shrink each time that the connection is lost, and grow each time that one is taken."""

MOST_LIMIT: Final = 1 << 16
NO_LIMIT: Final = sys.maxsize
"""Portions that may have more records than the first are not limited at all."""

Refuse: TypeAlias = Callable[[StoredReport, str], "Future[int]"]
"""Puts a refused report into the quarantine, durably; gives how many the quarantine's bounds kept or drove out."""


class Handover:
    """Belongs to the sink's loop."""

    def __init__(
        self,
        sink: Sink,
        store: SinkStore,
        stream: SpoolStream,
        *,
        news: News,
        refuse: Refuse,
        pulse: Pulse,
        metrics: Metrics,
        on_progress: Callable[[], object],
    ) -> None:
        """`on_progress` is called when a session takes the first records."""
        self._sink = sink
        self._store = store
        self._stream = stream
        self._news = news
        self._refuse = refuse
        self._pulse = pulse
        self._metrics = metrics
        self._on_progress = on_progress
        self.positions = store.positions()
        """How far the sink got, by spools' identities; replaced whole with each change."""
        self.draining = False
        """Whether to end as soon as there is nothing to deliver."""
        self._limit = NO_LIMIT
        """Most records in a portion."""
        self._losses = 0
        """How often in a row a connection was lost with nothing taken."""
        self._given_up = 0
        """How many records in a row were taken for refused because of that."""
        self._progress = False
        """Whether this session has taken anything."""
        self._careful = False
        """Whether the next portion is handed over alone, because something in it was refused."""
        self._under_way: deque[tuple[Portion, asyncio.Task[None]]] = deque()
        self._passed_by: dict[str, Position] = {}
        """Where the stream is behind what is under way, and behind what was read since that has no records."""
        self._taken: dict[Portion, int] = {}
        self._failed: asyncio.Future[None] | None = None

    @property
    def is_searching(self) -> bool:
        """Whether portions are small, to find the record at which the receiver closes the connection."""
        return self._limit < NO_LIMIT

    async def serve(self, session: Session) -> None:
        """Hand over what there is and what comes, until `draining` and nothing is left.

        Raises SinkError where the session is of no more use, other GatewayErrors where a file can't be used.
        """
        self._store.try_out()  # what can't be recorded must not be delivered, again and again
        self._progress = False
        self._failed = asyncio.get_running_loop().create_future()
        lost = asyncio.create_task(session.closed())
        try:
            while await self._step(session, lost):
                pass
        except SinkError as error:
            await self._count_loss(error)
            raise
        finally:
            await _end(lost, *(task for _, task in self._under_way))
            self._go_back()

    async def _step(self, session: Session, lost: asyncio.Task[None]) -> bool:
        """Get a little further; whether to go on."""
        assert self._failed is not None
        if self._failed.done():
            await self._failed
        overlap = 1 if self._careful or self.is_searching else self._sink.overlap
        while len(self._under_way) < overlap and (portion := self._next_portion()) is not None:
            self._begin(session, portion)
        if not self._under_way:
            if self.draining:
                return False
            await asyncio.wait({lost}, timeout=IDLE_S)
            if lost.done():
                await lost
            return True
        portion, first = self._under_way[0]
        await asyncio.wait({first, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            await self._failed
        try:
            await first
        except RefusedRecords as refused:
            await self._settle(session, portion, refused)
        else:
            self._finish(portion)
        return True

    def _next_portion(self) -> Portion | None:
        """The next one that has records; what has none is recorded on the way, or behind what is under way."""
        while (portion := self._stream.read(self._sink.portion_bytes)) is not None:
            if portion.records:
                return portion
            if self._under_way:
                self._passed_by = portion.after
            else:
                self._save(portion.after)
        return None

    def _begin(self, session: Session, portion: Portion) -> None:
        if len(portion.records) > self._limit:
            portion = portion.first(self._limit)
            self._stream.rewind({**self.positions, **portion.after})
        records = [self._only_news(record) for record in portion.records]
        self._taken[portion] = 0
        self._passed_by = {}
        delivery = session.deliver(records, partial(self._record, portion))
        self._under_way.append((portion, asyncio.create_task(delivery)))

    def _only_news(self, record: Record) -> Record:
        report = self._news.of(record.report)
        return record if report is record.report else record._replace(report=report)

    def _finish(self, portion: Portion) -> None:
        """A portion was taken whole."""
        if self._taken[portion] < len(portion.records):  # otherwise, a later one may have gone on from there
            self._record(portion, len(portion.records))
        self._under_way.popleft()
        del self._taken[portion]
        if self._passed_by and not self._under_way:
            self._save(self._passed_by)
            self._passed_by = {}
        self._losses = 0
        self._careful = False
        self._limit = self._limit * CAUTION if self._limit < MOST_LIMIT else NO_LIMIT

    def _record(self, portion: Portion, taken: int, *, refused: int = 0) -> None:
        """The first `taken` records of a portion are done, the last `refused` of them because nobody takes them."""
        if self._must_wait(portion) or not self._save(portion.positions(taken)):
            return
        new = taken - refused - self._taken.get(portion, 0)
        self._taken[portion] = max(taken, self._taken.get(portion, 0))
        if new > 0:
            self._given_up = 0
            if not self._progress:
                self._progress = True
                self._on_progress()
            self._pulse.deliver(new)
            self._metrics.count(DELIVERED_REPORTS_TOTAL, self._sink.name, by=new)

    def _must_wait(self, portion: Portion) -> bool:
        """Whether something before it is not done: whatever a sink says, nothing must be left behind a position."""
        before = takewhile(lambda other: other is not portion, (other for other, _ in self._under_way))
        return any(self._taken[other] < len(other.records) for other in before)

    def _save(self, changed: Mapping[str, Position]) -> bool:
        """Whether these positions are on record; where they can't be, the session ends."""
        positions = {**self.positions, **changed}
        try:
            self._store.record(positions)
        except GatewayError as error:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error)
            return False
        self.positions = positions
        return True

    def _go_back(self) -> None:
        """Forget what was under way: it is read again."""
        repeated = sum(len(portion.records) - self._taken[portion] for portion, _ in self._under_way)
        if repeated:
            self._metrics.count(SINK_REPEATED_REPORTS_TOTAL, self._sink.name, by=repeated)
        self._under_way.clear()
        self._taken.clear()
        self._passed_by = {}
        self._news.forget()
        self._stream.rewind(self.positions)

    # -- refusals --------------------------------------------------------------------------------

    async def _settle(self, session: Session, portion: Portion, refused: RefusedRecords) -> None:
        """Find out which of the refused records it is, then go on behind them."""
        await _end(*(task for _, task in list(self._under_way)[1:]))
        start, end = refused.start, refused.end
        self._record(portion, start)
        if end - start == 1:
            await self._quarantine(portion, start, refused.reason)
        else:
            middle = (start + end) // 2
            await self._hand_over(session, portion, start, middle)
            await self._hand_over(session, portion, middle, end)
        self._go_back()
        self._careful = True

    async def _hand_over(self, session: Session, portion: Portion, start: int, end: int) -> None:
        """Records of a portion on their own; in halves where they are refused."""
        while start < end:
            self._news.forget()  # they were news already when they were handed over the first time
            records = [self._only_news(record) for record in portion.records[start:end]]
            try:
                await session.deliver(records, partial(self._record_behind, portion, start))
            except RefusedRecords as refused:
                first, last = start + refused.start, start + refused.end
                self._record(portion, first)
                if last - first == 1:
                    await self._quarantine(portion, first, refused.reason)
                else:
                    middle = (first + last) // 2
                    await self._hand_over(session, portion, first, middle)
                    await self._hand_over(session, portion, middle, last)
                start = last
            else:
                self._record(portion, end)
                return

    def _record_behind(self, portion: Portion, start: int, taken: int) -> None:
        self._record(portion, start + taken)

    async def _quarantine(self, portion: Portion, number: int, reason: str) -> None:
        dropped = await asyncio.wrap_future(self._refuse(portion.records[number].report, reason))
        self._record(portion, number + 1, refused=1)
        self._pulse.refuse()
        self._metrics.count(SINK_REFUSED_REPORTS_TOTAL, self._sink.name)
        if dropped:
            self._metrics.count(QUARANTINE_DROPPED_TOTAL, by=dropped)

    async def _count_loss(self, error: SinkError) -> None:
        """Get careful where the connection is lost again and again at the same place."""
        if error.trouble is not Trouble.UNREACHABLE or not self._under_way or self._progress:
            self._losses = 0
            if isinstance(error, FailedAtRecord) and self._under_way:  # to find out, others have to be there
                self._limit = NO_LIMIT
            return
        self._losses += 1
        if self._limit == 1 and self._losses >= min(STRIKES << self._given_up, MOST_STRIKES):
            portion, _ = self._under_way[0]
            reason = f"the connection was closed {self._losses} times when this was sent: {error.message}"
            await self._quarantine(portion, 0, reason)
            self._losses = 0
            self._given_up += 1
        elif self._losses >= PATIENCE_WITH_LOSS and self._limit > 1:
            portion, _ = self._under_way[0]
            self._limit = max(1, min(self._limit, len(portion.records)) // CAUTION)
            if self._limit == 1:
                self._losses = 0


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel them and wait until they are gone, whatever they have to say."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)
