"""A sink whose receiver does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from gateway.sinks.sink import Record, RefusedRecords, SinkError, Taken, Trouble


class ScriptedSink:
    """Takes records five at a time, and keeps what it took."""

    name = "scripted"
    destination = "nowhere"
    overlap = 2
    portion_bytes = 1 << 20
    parcel = 5

    def __init__(self) -> None:
        self.arrived: list[str] = []
        """The names of all devices that anything arrived of, repetitions too."""
        self.reports: list[Record] = []
        self.sessions = 0
        self.calls: list[int] = []
        """How many records each call had."""
        self.refused: set[str] = set()
        self.closes_at: set[str] = set()
        self.loses_after = -1
        """After how many parcels the connection is lost; counts down."""
        self.unreachable: SinkError | None = None
        self.confirms = True
        self.before_parcel: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["ScriptedSession"]:
        if self.unreachable is not None:
            raise self.unreachable
        self.sessions += 1
        yield ScriptedSession(self)


def lost() -> SinkError:
    return SinkError(Trouble.UNREACHABLE, "the connection was lost", hint="look there")


class ScriptedSession:
    def __init__(self, sink: ScriptedSink) -> None:
        self._sink = sink
        self._sending = asyncio.Lock()
        self._broken = False

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        sink = self._sink
        sink.calls.append(len(records))
        async with self._sending:
            for start in range(0, len(records), sink.parcel):
                parcel = records[start : start + sink.parcel]
                sink.before_parcel()
                await asyncio.sleep(0)
                if self._broken or sink.loses_after == 0 or sink.closes_at & {one.report.name for one in parcel}:
                    sink.loses_after, self._broken = -1, True
                    raise lost()
                if sink.refused & {one.report.name for one in parcel}:
                    raise RefusedRecords(start, start + len(parcel), "it is poison")
                sink.loses_after -= 1 if sink.loses_after > 0 else 0
                sink.arrived += [one.report.name for one in parcel]
                sink.reports += parcel
                if not sink.confirms:
                    await asyncio.get_running_loop().create_future()
                taken(start + len(parcel))

    async def closed(self) -> None:
        while not self._broken:
            await asyncio.sleep(0.01)
        raise lost()
