"""Keeps one sink delivering: connects, hands over, tries again. A thread with a loop of its own."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError
from gateway.metrics import SINK_CONNECTED, SINK_ERRORS_TOTAL, Metrics
from gateway.model import JsonValue
from gateway.sinks.daemon_executor import DaemonExecutor
from gateway.sinks.handover import Handover, Refuse
from gateway.sinks.news import News
from gateway.sinks.sink import Sink, SinkError, Trouble
from gateway.sinks.status import CONNECTED, STOPPED, Pulse, SinkStatus, waiting_for
from gateway.sinks.stream import SpoolStream
from gateway.storage.sink_store import Position, SinkStore
from gateway.storage.spool_reader import Waiting
from gateway.storage.update_only import UpdateOnly

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""The pause before a new attempt doubles from the first to the longest; at random, half of it or more is waited."""

SEARCH_PAUSE_S: Final = 1.0
"""The longest pause while it is found out at which record the receiver closes the connection."""

STOP_PATIENCE_S: Final = 2.0
"""How long a sink may take to end once it has to: a disk may hang under what it just writes."""

STEADY_S: Final = 10.0
"""After a session that lasted so long, or delivered something, a failure is news even if it is the same as the last."""

_log = logging.getLogger(__name__)


class SinkHost:
    """See `gateway.sinks.sink.Host`."""

    def __init__(self, sink: str, data_dir: Path, metrics: Metrics) -> None:
        """Touches no file until something is to be kept."""
        self._sink = sink
        self._data_dir = data_dir
        self.metrics = metrics

    @cached_property
    def store(self) -> SinkStore:
        """The sink's store. Raises what `SinkStore` raises."""
        return SinkStore(self._data_dir, self._sink)

    def count(self, metric: str, *labels: str, by: int = 1) -> None:
        """Add to a metric of this sink."""
        self.metrics.count(metric, self._sink, *labels, by=by)

    def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
        """Remember shared attributes that the receiver set."""
        self.store.keep_shared_attributes(device, values, received_ms)

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """Remember a remote procedure call that the receiver made."""
        self.store.keep_rpc(device, request, received_ms)


class SinkRunner:
    """One sink at work, until stopped."""

    def __init__(
        self,
        sink: Sink,
        host: SinkHost,
        data_dir: Path,
        *,
        update_only: Callable[[], UpdateOnly],
        refuse: Refuse,
    ) -> None:
        """`host` belongs to the runner's thread from `start` on; `refuse` is called there.

        Raises ConfigurationError where `sinks.db` can't be used.
        """
        self._sink = sink
        self._data_dir = data_dir
        self._store = store = host.store
        self._metrics = metrics = host.metrics
        self._pulse = Pulse(sink.name, sink.destination)
        self._stream = SpoolStream(data_dir, sink.name, store.positions())
        self._handover = Handover(
            sink,
            store,
            self._stream,
            news=News(update_only),
            refuse=refuse,
            pulse=self._pulse,
            metrics=metrics,
            on_progress=self._progressed,
        )
        self._complaint = ""
        """What the log was told last; empty where all is well since."""
        self._has_said_connected = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    @property
    def name(self) -> str:
        """The sink's."""
        return self._sink.name

    @property
    def status(self) -> SinkStatus:
        """How it is doing."""
        return self._pulse.status

    def waiting(self) -> Waiting:
        """What it has still to deliver. Opens files: not for the loop of others."""
        return waiting_for(self._data_dir, self._sink.name, self._handover.positions)

    def position(self, spool: str) -> Position:
        """How far it got in a spool."""
        return self._handover.positions.get(spool, Position(0, 0))

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._ready.wait()

    def ask_to_stop(self) -> None:
        """Deliver what is there and end; `stop` bounds how long that may take."""
        self._handover.draining = True
        if self._pulse.status.state != CONNECTED:
            self._cancel()

    def stop(self, timeout_s: float) -> None:
        """End within `timeout_s`, or soon after; what is not confirmed by then is delivered after the next start."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._cancel()
            self._thread.join(STOP_PATIENCE_S)
        if self._thread.is_alive():
            _log.error("sink %s does not end; the gateway ends without waiting for it", self._sink.name)

    def _cancel(self) -> None:
        if self._loop is not None and self._work is not None:
            try:
                self._loop.call_soon_threadsafe(self._work.cancel)
            except RuntimeError:
                _log.debug("sink %s has ended already", self._sink.name)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as loop:
                loop.run(self._main())
        except Exception:  # noqa: BLE001  such as no file descriptor left for a loop: the others go on
            _log.exception("sink %s has ended; reports stay in the spools until the next start", self._sink.name)
        finally:
            self._ready.set()
            self._pulse.enter(STOPPED)
            self._stream.close()
            self._store.close()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(DaemonExecutor())
        self._work = asyncio.create_task(self._keep_delivering())
        self._ready.set()
        await asyncio.wait({self._work})
        self._metrics.set(SINK_CONNECTED, self._sink.name, value=0)

    async def _keep_delivering(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._handover.draining:
            error = await self._try()
            if error is None:
                return
            if not self._complaint:
                pause_s = FIRST_PAUSE_S
            self._complain(error)
            if self._handover.draining:
                return
            if error.retry_after_s is not None:
                await asyncio.sleep(max(FIRST_PAUSE_S, error.retry_after_s))
            else:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, SEARCH_PAUSE_S if self._handover.is_searching else LONGEST_PAUSE_S)

    async def _try(self) -> SinkError | None:
        """A session, from its beginning to its end; why it ended, None where it was asked to."""
        began_s = time.monotonic()
        try:
            async with self._sink.connect() as session:
                self._connected()
                await self._handover.serve(session)
        except SinkError as error:
            return error
        except GatewayError as error:
            return SinkError(Trouble.MISCONFIGURED, error.message, hint=error.hint)
        except Exception:  # noqa: BLE001  a bug of ours must not end the delivery: reports wait in the spools meanwhile
            _log.exception("sink %s failed; reports stay in the spools, and it is tried again", self._sink.name)
            return SinkError(Trouble.MISCONFIGURED, "a bug of the gateway", hint="see the log")
        finally:
            self._metrics.set(SINK_CONNECTED, self._sink.name, value=0)
            if time.monotonic() - began_s >= STEADY_S and self._has_said_connected:
                self._complaint = ""
        return None

    def _connected(self) -> None:
        self._pulse.enter(CONNECTED)
        self._metrics.set(SINK_CONNECTED, self._sink.name, value=1)
        if not self._has_said_connected:
            self._has_said_connected = True
            _log.info("sink %s is connected: %s", self._sink.name, self._sink.destination)

    def _progressed(self) -> None:
        if self._complaint:
            self._complaint = ""
            _log.warning("sink %s delivers again", self._sink.name)

    def _complain(self, error: SinkError) -> None:
        self._metrics.count(SINK_ERRORS_TOTAL, self._sink.name, error.trouble)
        self._pulse.fail(error)
        if error.message == self._complaint:
            return
        self._complaint, self._has_said_connected = error.message, False
        where = f"sink {self._sink.name} ({self._sink.destination})"
        cure = "; ".join(error.hint.splitlines())
        _log.error("%s is %s, reports stay in the spools: %s; %s", where, error.trouble, error.message, cure)
