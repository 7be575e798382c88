"""Keeps the workers' debug events: a thread of the supervisor that writes them to `events.db`.

Nobody waits for it. What comes faster than it can be written is counted and gone.
"""

import logging
import queue
import threading
import time
from typing import Any

from gateway.errors import GatewayError
from gateway.metrics import EVENTS_DROPPED_TOTAL, Metrics
from gateway.settings import Settings
from gateway.storage.events import EventStore

WAITING_PORTIONS = 64
"""Most portions of workers that wait to be written; each is a message, of at most a megabyte."""

TRIM_INTERVAL_S = 5.0
"""How often old events are looked for; how much there may be over the bounds follows from it."""

_log = logging.getLogger(__name__)


class EventKeeper:
    """The events of all workers, until stopped. `put` belongs to the supervisor's loop, as its metrics do."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Raises ConfigurationError where `events.db` can't be used."""
        self._settings = settings
        self._metrics = metrics
        self._store = EventStore(settings.gateway_data_dir)
        self._portions: queue.Queue[list[dict[str, Any]] | None] = queue.Queue(WAITING_PORTIONS)
        self._next_trim_s = 0.0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def put(self, events: list[dict[str, Any]]) -> None:
        """Take a portion of events from a worker."""
        try:
            self._portions.put_nowait(events)
        except queue.Full:
            self._metrics.count(EVENTS_DROPPED_TOTAL, "supervisor", by=len(events))

    def stop(self) -> None:
        """Write what is there and end."""
        self._portions.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                portion = self._portions.get(timeout=TRIM_INTERVAL_S)
            except queue.Empty:
                portion = []
            if portion is None:
                break
            try:
                self._keep(portion)
            except GatewayError as error:
                self._report(error)
            except Exception:  # noqa: BLE001  the thread must survive a bug of ours
                _log.exception("debug events could not be kept")
            else:
                self._report(None)
        self._store.close()

    def _keep(self, portion: list[dict[str, Any]]) -> None:
        if portion:
            self._store.add(portion)
        if time.monotonic() >= self._next_trim_s:
            self._next_trim_s = time.monotonic() + TRIM_INTERVAL_S
            self._store.trim(
                rows=self._settings.gateway_events_rows,
                days=self._settings.gateway_events_days,
                now_ms=time.time_ns() // 1_000_000,
            )

    def _report(self, error: GatewayError | None) -> None:
        """Log when keeping begins to fail and when it works again."""
        if error is not None and not self._failing:
            _log.error("debug events are lost: %s; %s", error.message, error.hint)
        elif error is None and self._failing:
            _log.warning("debug events are kept again")
        self._failing = error is not None
