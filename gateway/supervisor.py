"""The parent process: binds the sockets, starts and watches the workers and the API, runs the delivery."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.api_process import ApiProcess, welcome_first_user
from gateway.binding import bind_http_socket, bind_worker_sockets, raise_file_limit
from gateway.children import Restarts, ending, start, wait_for_end
from gateway.command_socket import HasCommands, serving
from gateway.delivery import Delivery
from gateway.durable import lock
from gateway.errors import ConfigurationError, UsageError
from gateway.event_keeper import EventKeeper
from gateway.figures import Figures
from gateway.following import Following
from gateway.integrations.endpoints import check_integration
from gateway.listeners.dtls_policy import DtlsPolicy, load_key_file
from gateway.logs import configure_logging
from gateway.metrics import UPLINKS_TOTAL, WORKER_RESTARTS_TOTAL
from gateway.questions import Questions
from gateway.readiness import Readiness
from gateway.service import Service
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.systemd import Notifier
from gateway.worker import WorkerSockets, session_files

LOCK_FILE = "gateway.lock"
"""Held by the one gateway that runs on a data directory."""

DRAIN_PATIENCE_S = 1.0
"""How long the delivery may go on after the workers ended."""

SILENCE_S = 15.0
"""A worker says something each second. One that says nothing for this long is killed: a converter, say, is stuck."""

LOCK_PATIENCE_S = 0.5
"""How long the lock may be taken at the start: `gateway check` looks at it for a moment."""

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Run the gateway until SIGTERM or SIGINT; gives the exit code.

    Raises ConfigurationError for what must be mended before it can run: a taken port, an unusable data
    directory, another gateway on it.
    """
    configure_logging(settings, "gateway")
    if not (settings.plain_listener or settings.dtls_listener):
        raise ConfigurationError(
            "no listener is enabled", hint="set COAP_SECURITY_MODE=MIXED, or COAP_SERVER_ENABLED=true"
        )
    if settings.ports_collide:
        raise ConfigurationError(
            f"COAP_BIND_PORT and COAP_DTLS_BIND_PORT are the same, {settings.coap_bind_port}",
            hint="choose another for one of them; 5683 and 5684 are usual",
        )
    raise_file_limit()
    # Delivering makes and drops records by the ten thousand, none in cycles: with the usual thresholds, half of its
    # time would go into looking for some.
    gc.set_threshold(100_000, 50, 100)
    with exclusive(settings.gateway_data_dir):
        with Catalogue(settings.gateway_data_dir) as catalogue:  # makes or migrates it, before any worker looks
            if settings.dtls_listener:
                _prepare_dtls(settings, catalogue)
            _warn_of_unreachable(settings, catalogue)
        http = bind_http_socket(settings) if settings.gateway_http_enabled else None
        sockets = bind_worker_sockets(settings)
        if http is not None:
            welcome_first_user(settings)
        figures = Figures(settings.workers)
        events = EventKeeper(settings, figures.metrics)
        supervisor = _Supervisor(settings, sockets, ApiProcess(settings, http) if http else None, figures, events)
        delivery = Delivery(settings, on_delivered=supervisor.let_trim, new_metrics=figures.of_another_thread)
        delivery.start()
        try:
            return asyncio.run(supervisor.run(delivery))
        finally:
            events.stop()
            delivery.stop(DRAIN_PATIENCE_S)


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock. Raises ConfigurationError where it is held, or can't be written."""
    cure = "set GATEWAY_DATA_DIR to a folder that this user can write and that has room, or change its owner"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(data_dir / LOCK_FILE, "a+", encoding="ascii") as file:
            if not lock(file.fileno(), patience_s=LOCK_PATIENCE_S):
                file.seek(0)
                raise ConfigurationError(
                    f"another gateway (process {file.read().strip() or 'unknown'}) runs on {data_dir}",
                    hint="stop it, or give this one a folder of its own with GATEWAY_DATA_DIR",
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            # Held by the descriptor alone: leaving the block here must not take the errors of what follows for ours.
            held = os.dup(file.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {data_dir} can't be written: {error.strerror}", hint=cure
        ) from error
    try:
        yield
    finally:
        os.close(held)


def _warn_of_unreachable(settings: Settings, catalogue: Catalogue) -> None:
    for integration in catalogue.integrations():
        try:
            if integration.enabled:
                check_integration(integration, settings)
        except UsageError as error:
            _log.warning("%s; %s", error.message, "; ".join(error.hint.splitlines()))


def _prepare_dtls(settings: Settings, catalogue: Catalogue) -> None:
    """Find out before any worker does whether the credentials can be used, and say what there is to say of them."""
    key_file = load_key_file(settings, catalogue.credentials, make=True)
    assert key_file is not None
    policy = DtlsPolicy(settings, catalogue, key_file)
    for note in policy.server.notes:
        _log.debug("%s", note)
    for finding in policy.findings:
        _log.warning("%s", finding)
    _log.info("the server's certificate: %s", policy.server.source)
    try:
        moved = session_files(settings, key_file).regroup(settings.workers)
    except OSError as error:
        _log.error("the sessions of before can't be read, devices have to resume them: %s", error.strerror)
    else:
        if moved:
            _log.info("%d sessions were shared out among another number of workers", moved)


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        sockets: list[WorkerSockets],
        api: ApiProcess | None,
        figures: Figures,
        events: EventKeeper,
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._api = api
        self._figures = figures
        self._events = events
        self._controls: dict[int, asyncio.StreamWriter] = {}
        self._questions = Questions(self._tell)
        self._sessions = Sessions(
            settings.gateway_data_dir,
            workers=len(sockets),
            questions=self._questions,
            tell=self._tell,
            count=figures.count_sessions,
        )
        self._service = Service(settings, Notifier.from_environment(), workers=len(sockets), tell=self._tell)
        self._readiness = Readiness(len(sockets))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._has_served = [False for _ in sockets]
        """Of each worker, whether it was ever ready: what fails later, such as a file that is just being replaced, must
        not end the others."""

    async def run(self, delivery: Delivery) -> int:
        """Serve until told to stop; gives the exit code. `delivery` runs in threads of its own."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)
        following = Following(len(self._sockets), self._questions, delivery.follow_catalogue)
        asked: tuple[HasCommands, ...] = (delivery, following, self._figures, self._sessions, self._readiness)
        commands = {name: command for one in asked for name, command in one.commands.items()}
        async with (
            serving(self._settings.gateway_data_dir, commands),
            self._service.running(self._stopping),
            asyncio.TaskGroup() as watchers,
        ):
            for index in range(len(self._sockets)):
                watchers.create_task(self._keep_worker(index))
            if self._api is not None:
                watchers.create_task(self._api.keep(self._stopping))
        for sockets in self._sockets:
            for sock in sockets.all():
                sock.close()
        self._log_totals()
        return self._exit_code

    def let_trim(self, worker: int, batch: int) -> None:
        """Tell a worker that every sink has its spool's batches up to this one. May be called in any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
                self._loop.call_soon_threadsafe(self._tell, worker, {"trim": batch})

    async def _keep_worker(self, index: int) -> None:
        """Have this worker run until the gateway stops."""
        restarts = Restarts()
        while True:
            started_s = time.monotonic()
            try:
                code = await self._run_worker(index)
            except OSError as error:  # no more processes, descriptors or memory: it may pass
                _log.error("worker %d can't be started: %s", index, error.strerror)
                code = 1
                restarts.slow_down()
            self._figures.worker_ended(index)
            self._questions.worker_ended(index)
            self._service.worker_ended(index)
            self._readiness.worker_ended(index)
            if self._stopping.is_set():
                return
            if code == ConfigurationError.exit_code and not self._has_served[index]:
                self._exit_code = code
                self._stopping.set()
                return
            self._figures.metrics.count(WORKER_RESTARTS_TOTAL)
            _log.error("worker %d ended unasked (%s); it is started again", index, ending(code))
            await restarts.wait(time.monotonic() - started_s, self._stopping)
            if self._stopping.is_set():
                return

    async def _run_worker(self, index: int) -> int:
        """Run a worker's process to its end; gives its exit code."""
        ours, theirs = socket.socketpair()
        sockets = self._sockets[index]
        with theirs:
            process = await start(
                "gateway.worker",
                (
                    *("--index", str(index)),
                    *("--workers", str(len(self._sockets))),
                    *("--control-fd", str(theirs.fileno())),
                    *sockets.descriptors(),
                ),
                (theirs, *sockets.all()),
                self._settings,
            )
        reader, self._controls[index] = await asyncio.open_connection(sock=ours, limit=1 << 20)
        listening = asyncio.create_task(self._listen(index, reader, process))
        code = await wait_for_end(process, f"worker {index}", self._stopping)
        await listening  # to the end: its last figures may wait there still
        self._controls.pop(index).close()
        return code

    async def _listen(self, index: int, reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> None:
        """Take a worker's messages, to its end. One that falls silent is stuck, and killed."""
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), SILENCE_S)
            except ConnectionError:
                return
            except TimeoutError:
                _log.error("worker %d has been stuck for %.0f s and is killed", index, SILENCE_S)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                continue
            if not line:
                return
            self._take(index, json.loads(line))

    def _take(self, index: int, message: dict[str, Any]) -> None:
        if "statistics" in message:
            self._figures.take(index, message["statistics"])
        elif "events" in message:
            self._events.put(message["events"])
        elif "answer" in message:
            self._questions.take(message)
        elif "ready" in message:
            self._has_served[index] = True
            self._sessions.worker_serves(index)
            _log.info("worker %d listens on %s", index, " and ".join(_listeners(self._settings)))
            self._service.worker_serves(index)
            self._readiness.worker_serves(index)
        elif "spool" in message:
            self._readiness.spool_is(index, message["spool"])
        elif "reloaded" in message:
            self._service.worker_reloaded(index)

    def _tell(self, worker: int, message: Mapping[str, object]) -> bool:
        """Send a message to a worker; whether it runs."""
        control = self._controls.get(worker)
        if control is None or control.is_closing():
            return False
        control.write(json.dumps(message).encode() + b"\n")
        return True

    def _log_totals(self) -> None:
        totals: Counter[str] = Counter()
        for (name, *labels), value in self._figures.totals().items():
            if name == UPLINKS_TOTAL:
                totals[labels[1]] += int(value)
        counted = ", ".join(f"{count} x {code}" for code, count in sorted(totals.items()))
        _log.info("stopped; uplinks answered: %s", counted or "none")


def _listeners(settings: Settings) -> Iterator[str]:
    if settings.plain_listener:
        yield f"{settings.coap_bind_address} port {settings.coap_bind_port}, UDP"
    if settings.dtls_listener:
        yield f"{settings.coap_dtls_bind_address} port {settings.coap_dtls_bind_port}, DTLS"
