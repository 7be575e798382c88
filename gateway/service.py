"""The gateway as a service: what its manager is told of it, and what a reload does.

A reload (SIGHUP) has every worker look at its files now: the server's certificate and key, trust store, revocation
lists. The catalogue is followed at any time. Everything else comes from settings, and settings wait for a restart.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping

from gateway.errors import ConfigurationError
from gateway.settings import Settings, load_settings
from gateway.systemd import Notifier

RELOAD_PATIENCE_S = 5.0
"""How long the workers may take to reload before it is said that they did not."""

_log = logging.getLogger(__name__)


class Service:
    """Belongs to the supervisor's loop."""

    def __init__(
        self,
        settings: Settings,
        notifier: Notifier,
        *,
        workers: int,
        tell: Callable[[int, Mapping[str, object]], object],
    ) -> None:
        """`tell(worker, message)` sends a message to a worker, if that runs."""
        self._settings = settings
        self._notifier = notifier
        self._workers = workers
        self._tell = tell
        self._serving: set[int] = set()
        self._has_started = False
        self._reloading: set[int] = set()
        """Workers that have not reloaded yet."""
        self._reloaded = asyncio.Event()
        self._reload: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self, stopping: asyncio.Event) -> AsyncIterator[None]:
        """Tell the manager of it, and reload when asked to, for as long as the block runs.

        SIGHUP is the end of the terminal for a gateway that was started in one: then it sets `stopping`.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, stopping.set if sys.stderr.isatty() else self._begin_reload)
        tasks = [asyncio.create_task(self._tell_of_the_end(stopping))]
        if self._notifier.watchdog_s is not None:
            tasks.append(asyncio.create_task(self._show_life(self._notifier.watchdog_s / 2)))
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for task in (*tasks, self._reload):
                if task is not None:
                    task.cancel()

    def worker_serves(self, worker: int) -> None:
        """A worker is ready."""
        self._serving.add(worker)
        if self._has_started or len(self._serving) == self._workers:
            self._has_started = True
            self._notifier.ready(self._status)

    def worker_ended(self, worker: int) -> None:
        """A worker is no more. Its successor reads all files by itself."""
        self._serving.discard(worker)
        self.worker_reloaded(worker)
        if self._has_started:
            self._notifier.tell(STATUS=self._status)

    def worker_reloaded(self, worker: int) -> None:
        """A worker has done what `{"reload": true}` asks for."""
        self._reloading.discard(worker)
        if not self._reloading:
            self._reloaded.set()

    @property
    def _status(self) -> str:
        return f"{len(self._serving)} of {self._workers} workers serve"

    async def _tell_of_the_end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._notifier.stopping()

    async def _show_life(self, interval_s: float) -> None:
        while True:
            self._notifier.alive()
            await asyncio.sleep(interval_s)

    def _begin_reload(self) -> None:
        if self._reload is None or self._reload.done():
            self._reload = asyncio.create_task(self.reload())

    async def reload(self) -> None:
        """Have all workers look at their files, and say what came of it."""
        self._notifier.reloading()
        asked = set(self._serving)
        self._reloading = set(asked)
        self._reloaded.clear()
        for worker in asked:
            self._tell(worker, {"reload": True})
        if asked:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reloaded.wait(), RELOAD_PATIENCE_S)
        for worker in sorted(self._reloading):
            _log.error("worker %d has not reloaded within %.0f s", worker, RELOAD_PATIENCE_S)
        _log.info(
            "reloaded: %d of %d workers have looked at the files of certificate, key, trust store and revocation lists "
            "(the catalogue is followed at any time)",
            len(asked - self._reloading),
            self._workers,
        )
        self._warn_of_settings()
        self._notifier.ready(self._status)

    def _warn_of_settings(self) -> None:
        """Say which settings a restart would change. What the process was started with can't change under it."""
        try:
            now = load_settings()
        except ConfigurationError as error:
            _log.error("a restart would fail: %s", "; ".join(error.message.splitlines()))
            return
        names = sorted(Settings.model_fields)
        changed = [name.upper() for name in names if getattr(now, name) != getattr(self._settings, name)]
        if changed:
            _log.warning("settings that are others in .env now wait for a restart: %s", ", ".join(changed))
        else:
            _log.info("no setting has changed in .env; variables of the environment are read at a start alone")
