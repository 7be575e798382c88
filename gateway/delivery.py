"""Spools to sinks: reads what the workers stored and hands it on, in a thread of the supervisor.

Today's one sink is the embedded device view. Its position in each spool is kept in its own database, in the
transaction that applies the reports: each report is applied exactly once, whatever is killed when.
"""

import logging
import re
import threading
import time
from collections.abc import Callable

from gateway.errors import GatewayError, NotFoundError
from gateway.metrics import DELIVERED_REPORTS_TOTAL, Metrics
from gateway.settings import Settings
from gateway.storage.devices import DeviceStore
from gateway.storage.spool import SpoolReader, continue_after, empty_unused_spool, spool_path

IDLE_S = 0.05
"""How long to wait when there is nothing to deliver; what a device view is behind at the most."""

RETRY_S = 1.0
"""How long to wait when a database can't be read or written."""

READ_BATCHES = 512
"""Most batches handed on in one go."""

READ_BYTES = 2 << 20
"""Most bytes handed on in one go, so that memory stays bounded and a stop is quick."""

TRIM_INTERVAL_S = 0.5
HISTORY_INTERVAL_S = 1.0
HISTORY_ROUNDS = 16
"""How often old history is looked for, and most portions deleted then: more than can arrive in that time."""


_SPOOL_NAME = re.compile(r"spool-(\d+)\.db")

_log = logging.getLogger(__name__)


class _Source:
    """One spool and how far its reports got."""

    def __init__(self, index: int, reader: SpoolReader, position: int) -> None:
        self.index = index
        self.reader = reader
        self.name = reader.identity
        self.position = position


class Delivery:
    """Moves reports from every spool of the data directory into the device view, until stopped."""

    def __init__(self, settings: Settings, *, on_delivered: Callable[[int, int], object], metrics: Metrics) -> None:
        """`on_delivered(worker, batch)` is called in the delivery's thread: its spool may be trimmed up to there.

        Raises ConfigurationError where `devices.db` can't be used.
        """
        self._settings = settings
        self._workers = settings.workers
        self._on_delivered = on_delivered
        self._metrics = metrics
        self._store = DeviceStore(settings.gateway_data_dir, keep_history=settings.gateway_history_days > 0)
        self._sources: dict[int, _Source] = {}
        self._stop = threading.Event()
        self._deadline_s = self._next_trim_s = self._next_history_s = 0.0
        self._trimmed: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._failing = False

    def start(self) -> None:
        """Begin to deliver. To be called before any worker starts.

        Raises ConfigurationError or UnavailableError where a spool can't be used.
        """
        self._find_spools()
        for source in self._sources.values():
            continue_after(spool_path(self._settings.gateway_data_dir, source.index), source.position)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Deliver what is there, for at most `timeout_s`, and end; the rest is delivered after the next start."""
        self._deadline_s = time.monotonic() + timeout_s
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._round())
        while time.monotonic() < self._deadline_s and self._round() == 0:
            pass
        for source in self._sources.values():
            source.reader.close()
        self._store.close()

    def _round(self) -> float:
        """Deliver a portion and tidy up; gives how long to wait before the next round, in seconds."""
        try:
            moved = self._deliver()
            now_s = time.monotonic()
            if now_s >= self._next_trim_s:
                self._next_trim_s = now_s + TRIM_INTERVAL_S
                self._trim()
            if now_s >= self._next_history_s:
                self._next_history_s = now_s + HISTORY_INTERVAL_S
                self._trim_history()
        except GatewayError as error:
            self._report(error)
            return RETRY_S
        except Exception:  # noqa: BLE001  the delivery must survive a bug of ours: reports wait in the spools meanwhile
            _log.exception("reports could not be delivered; they stay in the spools, and it is tried again")
            return RETRY_S
        self._report(None)
        return 0.0 if moved else IDLE_S

    def _deliver(self) -> bool:
        """Hand on one portion of each spool; whether there was any."""
        self._find_spools()
        moved = False
        for source in self._sources.values():
            deliveries = source.reader.read(after=source.position, max_batches=READ_BATCHES, max_bytes=READ_BYTES)
            if not deliveries:
                continue
            self._store.apply(source.name, deliveries)
            source.position = deliveries[-1].batch_id
            reports = sum(len(delivery.reports) for delivery in deliveries)
            self._metrics.count(DELIVERED_REPORTS_TOTAL, "devices", by=reports)
            moved = True
        return moved

    def _find_spools(self) -> None:
        """Workers make their spools when they start; and there may be spools of more workers than there are now."""
        if all(worker in self._sources for worker in range(self._workers)):
            return
        for path in self._settings.gateway_data_dir.glob("spool-*.db"):
            match = _SPOOL_NAME.fullmatch(path.name)
            if match is None or int(match[1]) in self._sources:
                continue
            try:
                reader = SpoolReader(path)
            except NotFoundError:  # its worker is just making it
                continue
            self._sources[int(match[1])] = _Source(int(match[1]), reader, self._store.position(reader.identity))

    def _trim(self) -> None:
        for source in self._sources.values():
            if source.index < self._workers:
                self._on_delivered(source.index, source.position)
            elif self._trimmed.get(source.index) != source.position:
                empty_unused_spool(spool_path(self._settings.gateway_data_dir, source.index), source.position)
                self._trimmed[source.index] = source.position

    def _trim_history(self) -> None:
        for _ in range(HISTORY_ROUNDS):
            deleted = self._store.trim_history(
                now_ms=time.time_ns() // 1_000_000,
                days=self._settings.gateway_history_days,
                rows=self._settings.gateway_history_rows,
            )
            if not deleted:
                return

    def _report(self, error: GatewayError | None) -> None:
        """Log when delivering begins to fail and when it works again."""
        if error is not None and not self._failing:
            _log.error("reports stay in the spools: %s; %s", error.message, error.hint)
        elif error is None and self._failing:
            _log.warning("reports are delivered again")
        self._failing = error is not None
