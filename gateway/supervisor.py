"""The parent process: binds the sockets, starts and watches the workers, runs the delivery."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import gateway
from gateway.command_socket import Commands, serving
from gateway.delivery import Delivery
from gateway.errors import ConfigurationError, UsageError
from gateway.event_keeper import EventKeeper
from gateway.integrations.endpoints import check_integration
from gateway.listeners.batch_socket import bind_group
from gateway.listeners.dtls_policy import DtlsPolicy, load_key_file
from gateway.listeners.relay import relay_pair
from gateway.logs import configure_logging
from gateway.metrics import UPLINKS_TOTAL, WORKER_RESTARTS_TOTAL, Key, Metrics
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.worker import WorkerSockets, session_files

LOCK_FILE = "gateway.lock"
"""Held by the one gateway that runs on a data directory."""

BIND_PATIENCE_S = 2.0
"""How long a port may stay taken at the start: workers of a gateway that was killed need a moment to notice."""

STOP_PATIENCE_S = 3.0
"""How long workers may take to commit and end before they are killed."""

DRAIN_PATIENCE_S = 1.0
"""How long the delivery may go on after the workers ended."""

STEADY_S = 5.0
"""A worker is started again at once, but after a pause where it has lived for less than this twice in a row."""

RESTART_PAUSE_S = 1.0

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
    _raise_file_limit()
    # Delivering makes and drops records by the ten thousand, none in cycles: with the usual thresholds, half of its
    # time would go into looking for some.
    gc.set_threshold(100_000, 50, 100)
    with exclusive(settings.gateway_data_dir):
        with Catalogue(settings.gateway_data_dir) as catalogue:  # makes or migrates it, before any worker looks
            if settings.dtls_listener:
                _prepare_dtls(settings, catalogue)
            _warn_of_unreachable(settings, catalogue)
        metrics = Metrics()
        events = EventKeeper(settings, metrics)
        supervisor = _Supervisor(settings, _worker_sockets(settings), metrics, events)
        delivery = Delivery(settings, on_delivered=supervisor.let_trim, metrics=Metrics())
        delivery.start()
        try:
            return asyncio.run(supervisor.run(delivery.commands))
        finally:
            events.stop()
            delivery.stop(DRAIN_PATIENCE_S)


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock. Raises ConfigurationError where it is held, or can't be written."""
    cure = "set GATEWAY_DATA_DIR to a folder that this user can write and that has room, or change its owner"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(data_dir / LOCK_FILE, "a+", encoding="ascii") as lock:
            if not _lock(lock):
                lock.seek(0)
                raise ConfigurationError(
                    f"another gateway (process {lock.read().strip() or 'unknown'}) runs on {data_dir}",
                    hint="stop it, or give this one a folder of its own with GATEWAY_DATA_DIR",
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            # Held by the descriptor alone: leaving the block here must not take the errors of what follows for ours.
            held = os.dup(lock.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {data_dir} can't be written: {error.strerror}", hint=cure
        ) from error
    try:
        yield
    finally:
        os.close(held)


def _lock(file: TextIO) -> bool:
    deadline_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.02)
        else:
            return True


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


def _worker_sockets(settings: Settings) -> list[WorkerSockets]:
    """Bind the listeners, and connect the workers with each other."""
    count = settings.workers
    plain: list[socket.socket] = []
    dtls: list[socket.socket] = []
    if settings.plain_listener:
        plain = _bind(settings.coap_bind_address, settings.coap_bind_port, count, "COAP")
    if settings.dtls_listener:
        dtls = _bind(settings.coap_dtls_bind_address, settings.coap_dtls_bind_port, count, "COAP_DTLS")
    try:
        relays = [relay_pair() for _ in dtls]
    except OSError as error:
        raise _out_of_descriptors(count) from error
    return [
        WorkerSockets(
            plain=plain[index] if plain else None,
            dtls=dtls[index] if dtls else None,
            relay_reading=relays[index][1] if relays else None,
            relay_writing=tuple(writing for writing, _ in relays),
        )
        for index in range(count)
    ]


def _bind(host: str, port: int, count: int, variables: str) -> list[socket.socket]:
    deadline_s = time.monotonic() + BIND_PATIENCE_S
    while True:
        try:
            return bind_group(host, port, count)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise _out_of_descriptors(count) from error
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline_s:
                time.sleep(0.05)
                continue
            raise ConfigurationError(
                f"UDP {host} port {port} can't be bound: {error.strerror}",
                hint=_bind_cure(error.errno, port, variables),
            ) from error


def _raise_file_limit() -> None:
    """Have as many open files as this process may: each worker holds a way to each other."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _out_of_descriptors(workers: int) -> ConfigurationError:
    return ConfigurationError(
        f"{workers} workers need more open files than this process may have",
        hint=f"ulimit -n {16 * workers + 256} (systemd: LimitNOFILE), or fewer workers (GATEWAY_WORKERS)",
    )


def _bind_cure(code: int | None, port: int, variables: str) -> str:
    if code == errno.EADDRINUSE:
        return f"see who holds it with `ss -ulnp 'sport = :{port}'`, or choose another with {variables}_BIND_PORT"
    if code == errno.EADDRNOTAVAIL:
        return f"set {variables}_BIND_ADDRESS to an address of this machine, or to 0.0.0.0"
    if code == errno.EACCES:
        return f"choose a port from 1024 on with {variables}_BIND_PORT"
    return f"set {variables}_BIND_ADDRESS and {variables}_BIND_PORT"


class _Supervisor:
    def __init__(self, settings: Settings, sockets: list[WorkerSockets], metrics: Metrics, events: EventKeeper) -> None:
        self._settings = settings
        self._sockets = sockets
        self._metrics = metrics
        """Of all workers that ended, added up, and its own."""
        self._events = events
        self._figures: list[dict[Key, int]] = [{} for _ in sockets]
        """The statistics of each running worker."""
        self._controls: dict[int, asyncio.StreamWriter] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._has_served = [False for _ in sockets]
        """Of each worker, whether it was ever ready: what fails later, such as a file that is just being replaced, must
        not end the others."""

    async def run(self, commands: Commands) -> int:
        """Serve until told to stop; gives the exit code. `commands` is what can be asked for by the socket."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)
        async with serving(self._settings.gateway_data_dir, commands), asyncio.TaskGroup() as watchers:
            for index in range(len(self._sockets)):
                watchers.create_task(self._keep_worker(index))
        for sockets in self._sockets:
            for sock in sockets.all():
                sock.close()
        self._log_totals()
        return self._exit_code

    def let_trim(self, worker: int, batch: int) -> None:
        """Tell a worker that every sink has its spool's batches up to this one. May be called in any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
                self._loop.call_soon_threadsafe(self._tell_trim, worker, batch)

    async def _keep_worker(self, index: int) -> None:
        """Have this worker run until the gateway stops."""
        pause_s = 0.0
        while True:
            started_s = time.monotonic()
            try:
                code = await self._run_worker(index)
            except OSError as error:  # no more processes, descriptors or memory: it may pass
                _log.error("worker %d can't be started: %s", index, error.strerror)
                code, pause_s = 1, RESTART_PAUSE_S
            self._metrics.counters.update(self._figures[index])
            self._figures[index] = {}
            if self._stopping.is_set():
                return
            if code == ConfigurationError.exit_code and not self._has_served[index]:
                self._exit_code = code
                self._stopping.set()
                return
            self._metrics.count(WORKER_RESTARTS_TOTAL)
            _log.error("worker %d ended unasked (%s); it is started again", index, _ending(code))
            steady = time.monotonic() - started_s >= STEADY_S
            if pause_s and not steady:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)
                    return
            pause_s = 0.0 if steady else RESTART_PAUSE_S

    async def _run_worker(self, index: int) -> int:
        """Run a worker's process to its end; gives its exit code."""
        ours, theirs = socket.socketpair()
        sockets = self._sockets[index]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # no module is taken from the current folder
                "-m",
                "gateway.worker",
                *("--index", str(index)),
                *("--workers", str(len(self._sockets))),
                *("--control-fd", str(theirs.fileno())),
                *sockets.descriptors(),
                pass_fds=(theirs.fileno(), *(sock.fileno() for sock in sockets.all())),
                env=self._worker_environment(),
            )
        reader, self._controls[index] = await asyncio.open_connection(sock=ours, limit=1 << 20)
        listening = asyncio.create_task(self._listen(index, reader, process))
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=STOP_PATIENCE_S)
            if not ended.done():
                _log.error("worker %d did not stop within %.0f s and is killed", index, STOP_PATIENCE_S)
                process.kill()
        code = await ended
        stopping.cancel()
        await listening  # to the end: its last figures may wait there still
        self._controls.pop(index).close()
        return code

    def _worker_environment(self) -> dict[str, str]:
        """The settings as they are here, whatever has become of `.env`; and this very package."""
        settings = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in settings}
        package_folder = str(Path(gateway.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
        return {**inherited, **self._settings.as_environment(), "PYTHONPATH": path}

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
            for *key, value in message["statistics"]:
                self._figures[index][tuple(key)] = value
        elif "events" in message:
            self._events.put(message["events"])
        elif "ready" in message:
            self._has_served[index] = True
            _log.info("worker %d listens on %s", index, " and ".join(_listeners(self._settings)))

    def _tell_trim(self, worker: int, batch: int) -> None:
        control = self._controls.get(worker)
        if control is not None and not control.is_closing():
            control.write(json.dumps({"trim": batch}).encode() + b"\n")

    def _log_totals(self) -> None:
        totals: Counter[str] = Counter()
        for (name, *labels), value in self._metrics.snapshot().items():
            if name == UPLINKS_TOTAL:
                totals[labels[1]] += value
        counted = ", ".join(f"{count} x {code}" for code, count in sorted(totals.items()))
        _log.info("stopped; uplinks answered: %s", counted or "none")


def _listeners(settings: Settings) -> Iterator[str]:
    if settings.plain_listener:
        yield f"{settings.coap_bind_address} port {settings.coap_bind_port}, UDP"
    if settings.dtls_listener:
        yield f"{settings.coap_dtls_bind_address} port {settings.coap_dtls_bind_port}, DTLS"


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
