"""Spools to sinks: reads what the workers stored and hands it on, in a thread of the supervisor.

The embedded device view is served here. Its position in each spool is kept in its own database, in the transaction
that applies the reports: each report is applied exactly once, whatever is killed when. Every other sink has a thread of
its own (`gateway.sinks.runner`), so that none waits for another; a batch leaves its spool when all of them have it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from gateway.command_socket import Commands
from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.metrics import DELIVERED_REPORTS_TOTAL, QUARANTINE_DROPPED_TOTAL, Metrics
from gateway.model import JsonValue, StoredReport
from gateway.settings import Settings
from gateway.sinks.registry import make_sinks
from gateway.sinks.runner import SinkHost, SinkRunner
from gateway.sinks.sink import Sink, SinkError, Trouble
from gateway.sinks.status import CONNECTED, Pulse, waiting_for
from gateway.storage.device_schema import FILE_NAME as DEVICES_FILE
from gateway.storage.devices import DeviceStore
from gateway.storage.sink_store import Position
from gateway.storage.spool import continue_after, empty_unused_spool, find_spools, prepare_spool, spool_path
from gateway.storage.spool_reader import SpoolReader
from gateway.storage.update_only_keys import UpdateOnlyKeys

IDLE_S = 0.05
"""How long to wait when there is nothing to deliver; what a device view is behind at the most."""

RETRY_S = 1.0
"""How long to wait when a database can't be read or written."""

READ_BATCHES = 512
"""Most batches handed on in one go."""

READ_BYTES = 2 << 20
"""Most bytes handed on in one go, so that memory stays bounded and a stop is quick."""

CATALOGUE_POLL_S = 0.25
"""How often it is looked whether the catalogue changed, as workers do."""

TRIM_INTERVAL_S = 0.5
HISTORY_INTERVAL_S = 1.0
HISTORY_ROUNDS = 16
"""How often old history is looked for, and most portions deleted then: more than can arrive in that time."""

DROPPED_INTERVAL_S = 60.0
"""Least time between two lines of the log that say that the quarantine is full."""

DEVICE_VIEW = "devices"
"""The device view's name among the sinks."""

T = TypeVar("T")

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

    def __init__(
        self, settings: Settings, *, on_delivered: Callable[[int, int], object], new_metrics: Callable[[], Metrics]
    ) -> None:
        """`on_delivered(worker, batch)` is called in the delivery's thread: its spool may be trimmed up to there.

        `new_metrics` gives each thread figures of its own.

        Raises ConfigurationError where `devices.db` can't be used.
        """
        self._settings = settings
        self._workers = settings.workers
        self._on_delivered = on_delivered
        self._new_metrics = new_metrics
        self._metrics = new_metrics()
        self._store = DeviceStore(
            settings.gateway_data_dir,
            keep_history=settings.gateway_history_days > 0,
            quarantine_rows=settings.gateway_quarantine_rows,
            quarantine_bytes=settings.gateway_quarantine_bytes,
        )
        self._jobs: SimpleQueue[tuple[Callable[[DeviceStore], Any], Future[Any]]] = SimpleQueue()
        self._next_warning_s = 0.0
        self._sources: dict[int, _Source] = {}
        self._stop = threading.Event()
        self._update_only = UpdateOnlyKeys(settings.gateway_data_dir)
        self._deadline_s = self._next_catalogue_s = self._next_trim_s = self._next_history_s = 0.0
        self._trimmed: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._failing = False
        self._pulse = Pulse(DEVICE_VIEW, DEVICES_FILE)
        self._runners = [self._runner(sink, host) for sink, host in self._make_sinks()]

    def start(self) -> None:
        """Begin to deliver. To be called before any worker starts.

        Raises ConfigurationError or UnavailableError where a spool can't be used.
        """
        data_dir = self._settings.gateway_data_dir
        own = {spool_path(data_dir, worker) for worker in range(self._workers)}
        for path in sorted(own.union(find_spools(data_dir).values())):
            prepare_spool(path)
        self._find_spools()
        for source in self._sources.values():
            begun = [source.position, *(runner.position(source.name).begun for runner in self._runners)]
            continue_after(spool_path(data_dir, source.index), max(begun))
        outbox = self._store.outbox_identity
        self._store.continue_outbox_after(max((runner.position(outbox).begun for runner in self._runners), default=0))
        self._thread.start()
        for runner in self._runners:
            runner.start()

    def _make_sinks(self) -> Iterator[tuple[Sink, SinkHost]]:
        hosts: dict[str, SinkHost] = {}

        def host_of(name: str) -> SinkHost:
            return hosts.setdefault(name, SinkHost(name, self._settings.gateway_data_dir, self._new_metrics()))

        for sink in make_sinks(self._settings, host_of):
            yield sink, hosts[sink.name]

    def _runner(self, sink: Sink, host: SinkHost) -> SinkRunner:
        return SinkRunner(
            sink,
            host,
            self._settings.gateway_data_dir,
            update_only=lambda: self._update_only.current,
            refuse=lambda report, reason: self.do(lambda store: self._refuse(store, report, sink.name, reason)),
        )

    def _refuse(self, store: DeviceStore, report: StoredReport, sink: str, reason: str) -> int:
        dropped = store.refuse(report, sink=sink, reason=reason)
        if dropped:
            self._warn_of_dropped()
        return dropped

    def do(self, job: Callable[[DeviceStore], T]) -> Future[T]:
        """Have something done to the device store in the delivery's thread, which is the one that writes it.

        May be called in any thread.
        """
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {"release": self._release, "sinks": self._tell_of_sinks}

    async def follow_catalogue(self) -> None:
        """Go by what the catalogue says now, when this returns. Raises UnavailableError where it can't be used."""
        await asyncio.wrap_future(self.do(lambda store: self._look_at_catalogue()))
        if self._update_only.error:
            raise UnavailableError(self._update_only.error, hint="see the log")

    async def _tell_of_sinks(self, of: JsonValue) -> JsonValue:
        """How the sinks are doing: an array of `SinkStatus.as_json`, the device view first."""
        return await asyncio.to_thread(self.statuses)

    def statuses(self) -> list[dict[str, JsonValue]]:
        """How the sinks are doing, the device view first. May be called in any thread; opens files."""
        positions = {source.name: Position(source.position + 1, 0) for source in tuple(self._sources.values())}
        told = [self._pulse.status.as_json(waiting_for(self._settings.gateway_data_dir, None, positions))]
        return told + [runner.status.as_json(runner.waiting()) for runner in self._runners]

    async def _release(self, of: JsonValue) -> JsonValue:
        """`DeviceStore.release`: `[[id, [report…]]…]` → `[id…]`."""
        converted = {int(id): [StoredReport(*report) for report in reports] for id, reports in of}
        return await asyncio.wrap_future(self.do(lambda store: store.release(converted)))

    def stop(self, timeout_s: float) -> None:
        """Deliver what is there, for at most `timeout_s`, and end; the rest is delivered after the next start."""
        self._deadline_s = time.monotonic() + timeout_s
        for runner in self._runners:
            runner.ask_to_stop()
        for runner in self._runners:  # before the device store, which they may want to put a refused report into
            runner.stop(max(0.0, self._deadline_s - time.monotonic()))
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._round())
        while time.monotonic() < self._deadline_s and self._round() == 0:
            pass
        for source in self._sources.values():
            source.reader.close()
        self._update_only.close()
        self._store.close()

    def _round(self) -> float:
        """Deliver a portion and tidy up; gives how long to wait before the next round, in seconds."""
        try:
            if time.monotonic() >= self._next_catalogue_s:
                self._look_at_catalogue()
            self._do_jobs()  # first: who waits for them must hear of it also where nothing can be delivered
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
            self._pulse.fail(SinkError(Trouble.MISCONFIGURED, "a bug of the gateway", hint="see the log"))
            return RETRY_S
        self._report(None)
        return 0.0 if moved else IDLE_S

    def _look_at_catalogue(self) -> None:
        self._next_catalogue_s = time.monotonic() + CATALOGUE_POLL_S
        self._update_only.follow()
        self._store.update_only = self._update_only.current

    def _deliver(self) -> bool:
        """Hand on one portion of each spool; whether there was any."""
        self._find_spools()
        moved = False
        for source in self._sources.values():
            deliveries = source.reader.read(after=source.position, max_batches=READ_BATCHES, max_bytes=READ_BYTES)
            if not deliveries:
                continue
            dropped = self._store.apply(source.name, deliveries)
            if dropped:
                self._metrics.count(QUARANTINE_DROPPED_TOTAL, by=dropped)
                self._warn_of_dropped()
            source.position = deliveries[-1].batch_id
            reports = sum(len(delivery.reports) for delivery in deliveries)
            self._metrics.count(DELIVERED_REPORTS_TOTAL, DEVICE_VIEW, by=reports)
            self._pulse.deliver(reports)
            moved = True
        return moved

    def _do_jobs(self) -> None:
        while True:
            try:
                job, future = self._jobs.get_nowait()
            except Empty:
                return
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job(self._store))
                except Exception as error:  # noqa: BLE001  whoever waits for it has to hear of it
                    future.set_exception(error)

    def _warn_of_dropped(self) -> None:
        if time.monotonic() >= self._next_warning_s:
            self._next_warning_s = time.monotonic() + DROPPED_INTERVAL_S
            _log.warning(
                "the quarantine is full: its oldest uplinks are deleted as new ones come; mend the converter and "
                "replay them (gateway quarantine replay), or raise GATEWAY_QUARANTINE_ROWS and _BYTES"
            )

    def _find_spools(self) -> None:
        """Workers make their spools when they start; and there may be spools of more workers than there are now."""
        if all(worker in self._sources for worker in range(self._workers)):
            return
        for worker, path in find_spools(self._settings.gateway_data_dir).items():
            if worker in self._sources:
                continue
            try:
                reader = SpoolReader(path)
            except NotFoundError:  # its worker is just making it
                continue
            self._sources[worker] = _Source(worker, reader, self._store.position(reader.identity))

    def _trim(self) -> None:
        for source in self._sources.values():
            done = min([source.position, *(runner.position(source.name).batch - 1 for runner in self._runners)])
            if source.index < self._workers:
                self._on_delivered(source.index, done)
            elif self._trimmed.get(source.index) != done:
                empty_unused_spool(spool_path(self._settings.gateway_data_dir, source.index), done)
                self._trimmed[source.index] = done
        outbox = self._store.outbox_identity
        self._store.trim_outbox({runner.name: runner.position(outbox).batch - 1 for runner in self._runners})

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
        if error is not None:
            self._pulse.fail(SinkError(Trouble.UNREACHABLE, error.message, hint=error.hint))
        else:
            self._pulse.enter(CONNECTED)
        if error is not None and not self._failing:
            _log.error("reports stay in the spools: %s; %s", error.message, error.hint)
        elif error is None and self._failing:
            _log.warning("reports are delivered again")
        self._failing = error is not None
