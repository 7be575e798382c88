"""Overviews for whoever looks: the figures are fetched each second, for as long as somebody does."""

import asyncio
import logging
import time
from collections import deque
from typing import Annotated, Final

from fastapi import Depends, Request

from gateway.api.backend import Backend
from gateway.api.overview import Overview, Snapshot, overview
from gateway.errors import GatewayError, UnavailableError
from gateway.figures import added_up, figures_of
from gateway.metrics import PROCESS_START_TIMESTAMP_SECONDS, Key, Metrics
from gateway.process_figures import measure_process

SAMPLE_S: Final = 1.0
"""How often the figures are fetched."""

WINDOW_S: Final = 10.0
"""What rates and percentiles are of, once somebody has looked for so long."""

IDLE_S: Final = 15.0
"""So long after the last look nothing is fetched any more."""

PROCESS: Final = "api"
"""What this process is called in the figures."""

_log = logging.getLogger(__name__)


class Overviews:
    """Of one app; belongs to its loop."""

    def __init__(self, backend: Backend, *, sample_s: float = SAMPLE_S, idle_s: float = IDLE_S) -> None:
        self._backend = backend
        self._sample_s = sample_s
        self._idle_s = idle_s
        self._metrics = Metrics()
        self._snapshots: deque[Snapshot] = deque()
        self._current: Overview | GatewayError | None = None
        self._renewed = asyncio.Event()
        """Set, and replaced, when there is another one."""
        self._task: asyncio.Task[None] | None = None
        self._looked_s = 0.0

    async def figures(self) -> Snapshot:
        """All figures of now, with those of this process. Raises UnavailableError where no gateway runs."""
        answer = await self._backend.ask_soon("figures")
        measure_process(self._metrics, PROCESS)
        return Snapshot(answer["ts"], added_up((figures_of(answer), self._metrics.snapshot())))

    async def current(self) -> Overview:
        """The overview of the last second. Raises UnavailableError where no gateway runs."""
        self._look()
        while self._current is None:
            await self._renewed.wait()
        return _said(self._current)

    async def next(self) -> Overview:
        """The one that comes next. Raises likewise."""
        self._look()
        await self._renewed.wait()
        assert self._current is not None
        return _said(self._current)

    def stop(self) -> None:
        """Fetch nothing any more."""
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while time.monotonic() - self._looked_s < self._idle_s:
                began_s = time.monotonic()
                self._current = await self._renew()
                renewed, self._renewed = self._renewed, asyncio.Event()
                renewed.set()
                await asyncio.sleep(max(0.0, began_s + self._sample_s - time.monotonic()))
        finally:
            self._task = self._current = None
            self._snapshots.clear()

    async def _renew(self) -> Overview | GatewayError:
        try:
            snapshot = await self.figures()
            quarantined = await asyncio.to_thread(self._count_quarantined)
            if self._snapshots and _start_of(self._snapshots[-1]) != _start_of(snapshot):
                self._snapshots.clear()  # another gateway, which counts from 0
            self._snapshots.append(snapshot)
            # The one before the oldest of the window stays until that is wide enough.
            while len(self._snapshots) > 1 and snapshot.ts_ms - self._snapshots[1].ts_ms >= WINDOW_S * 1000:
                self._snapshots.popleft()
            return overview(self._snapshots[0], snapshot, self._backend.settings, quarantined=quarantined)
        except GatewayError as error:
            self._snapshots.clear()
            return error
        except Exception:  # noqa: BLE001  whoever waits has to hear of it, and it is tried again
            _log.exception("the overview failed")
            return UnavailableError("the overview can't be made", hint="the log says why")

    def _count_quarantined(self) -> int:
        with self._backend.quarantine() as view:
            return view.size()


def _start_of(snapshot: Snapshot) -> float | None:
    key: Key = (PROCESS_START_TIMESTAMP_SECONDS, "supervisor")
    return snapshot.figures.get(key)


def _said(what: Overview | GatewayError) -> Overview:
    if isinstance(what, GatewayError):
        raise what
    return what


def _of_app(request: Request) -> Overviews:
    overviews = request.app.state.overviews
    assert isinstance(overviews, Overviews)
    return overviews


OverviewsOfApp = Annotated[Overviews, Depends(_of_app)]
"""As a route's parameter."""
