"""One packet process: its listeners, the pipeline behind them, and its spool.

Started by the supervisor, which has bound the sockets and keeps them open: a worker that dies and comes back finds in
its socket what arrived in between. Control messages are JSON objects, one a line, over a Unix socket pair:

- to the worker: `{"trim": N}`, every sink has the spool's batches up to N; `{"reload": true}`, look at the files of
  certificates and at the catalogue now; `{"not_resumed": [[session's tag, until]…]}`, sessions that an operator ended;
- from the worker: `{"ready": true}`, `{"reloaded": true}`, each second `{"statistics": [[name, label…, value]…]}` with
  the figures that changed, null where there is none any more: a sign of life, even where there are none; where there
  are debug events `{"events": [event…]}`; and `{"spool": why}` where commits begin to fail, with an empty text where
  they work again;
- to the worker `{"ask": N, "sessions": {"search", "limit", "after"}}` or `{"ask": N, "end_session": id}`, and from it
  `{"answer": N, "of": …}`: see `gateway.listeners.session_list`.

Its settings come from the environment alone, as the supervisor set it: what is changed in `.env` waits for a restart of
the whole gateway.
"""

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.credentials.keyfile import KeyFile
from gateway.errors import GatewayError
from gateway.listeners.batch_socket import peer_host
from gateway.listeners.dtls import DtlsListener
from gateway.listeners.dtls_policy import DtlsPolicy
from gateway.listeners.plain import PlainListener
from gateway.listeners.session_files import Position, SessionFiles
from gateway.logs import configure_logging
from gateway.metrics import Key, Metrics
from gateway.model import JsonValue
from gateway.pipeline import Pipeline
from gateway.process_figures import measure_process
from gateway.settings import Settings, load_settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.spool import spool_path

CATALOGUE_POLL_S = 0.25
"""How often a worker looks whether the catalogue changed."""

COMMIT_PATIENCE_S = 1.5
"""How long a stop waits for the last commit before sessions are saved: what is not stored was not acknowledged."""

STATISTICS_S = 1.0
"""How often a worker tells its figures."""

FIGURES_PER_MESSAGE = 200
"""Most figures in one message, so that its length has a bound."""

EVENTS_S = 0.1
"""How often a worker hands on its debug events."""

EVENTS_BYTES = 400_000
"""Most bytes of events in one message, one event at least: the supervisor takes lines of at most a megabyte."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSockets:
    """What a worker gets from the supervisor: the sockets of the listeners that it has, and its ends of the relay."""

    plain: socket.socket | None = None
    dtls: socket.socket | None = None
    relay_reading: socket.socket | None = None
    relay_writing: tuple[socket.socket, ...] = ()
    """The ways to all workers, in the order of their numbers."""

    def descriptors(self) -> list[str]:
        """As command line arguments of the worker's process."""
        named = {"--plain-fd": self.plain, "--dtls-fd": self.dtls, "--relay-fd": self.relay_reading}
        arguments = [text for name, sock in named.items() if sock for text in (name, str(sock.fileno()))]
        return arguments + [text for sock in self.relay_writing for text in ("--relay-to-fd", str(sock.fileno()))]

    def all(self) -> list[socket.socket]:
        """All of them."""
        return [sock for sock in (self.plain, self.dtls, self.relay_reading, *self.relay_writing) if sock]


class Worker:
    """Everything that runs in one packet process."""

    def __init__(self, settings: Settings, position: Position, sockets: WorkerSockets) -> None:
        """To be made in a running loop. Raises ConfigurationError where a database or a credential can't be used."""
        self._settings = settings
        self._position = position
        self._metrics = Metrics()
        self._catalogue = Catalogue(settings.gateway_data_dir)
        self._catalogue_version = -1
        self._catalogue_error = ""
        self._told: dict[Key, float] = {}
        self._told_trouble = ""
        self._pipeline = Pipeline(
            settings,
            spool_path(settings.gateway_data_dir, position.worker),
            share=position.workers,
            metrics=self._metrics,
        )
        self._plain = self._plain_listener(sockets.plain) if sockets.plain is not None else None
        self._dtls: DtlsListener | None = None
        self._session_files: SessionFiles | None = None
        if sockets.dtls is not None:
            key_file = KeyFile.load(settings.key_file)
            self._session_files = session_files(settings, key_file)
            self._dtls = self._dtls_listener(sockets, position, key_file)
        self._listeners = [listener for listener in (self._plain, self._dtls) if listener is not None]

    def _plain_listener(self, sock: socket.socket) -> PlainListener:
        return PlainListener(
            sock,
            self._settings,
            resolve=self._pipeline.resolve,
            endpoints=self._pipeline.endpoints,
            metrics=self._metrics,
            arrived=self._pipeline.spool.arrived,
        )

    def _dtls_listener(self, sockets: WorkerSockets, position: Position, key_file: KeyFile) -> DtlsListener:
        assert sockets.dtls is not None
        assert sockets.relay_reading is not None
        return DtlsListener(
            sockets.dtls,
            self._settings,
            policy=DtlsPolicy(
                self._settings,
                self._catalogue,
                key_file,
                shard=position.worker,
                shards=position.workers,
                host_of=functools.partial(peer_host, sockets.dtls.family),
            ),
            relay_ends=(sockets.relay_reading, sockets.relay_writing),
            position=position,
            resolve=self._pipeline.resolve,
            endpoints=self._pipeline.endpoints,
            metrics=self._metrics,
            arrived=self._pipeline.spool.arrived,
        )

    async def run(self, control: socket.socket) -> None:
        """Serve until SIGTERM, or until the supervisor is gone."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl+C is the supervisor's to act on, a terminal's end too
            loop.add_signal_handler(number, lambda: None)
        reader, writer = await asyncio.open_connection(sock=control)
        self._follow_catalogue()
        if self._dtls is not None and self._session_files is not None:
            self._dtls.restore_sessions(self._session_files)
        for listener in self._listeners:
            listener.start()
        # What lives from here on is in flux; what was made before need not be looked at again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        tasks = [
            asyncio.create_task(self._every(CATALOGUE_POLL_S, self._follow_catalogue)),
            asyncio.create_task(self._every(STATISTICS_S, lambda: self._tell_statistics(writer))),
            asyncio.create_task(self._every(EVENTS_S, lambda: self._tell_events(writer))),
            asyncio.create_task(self._every(STATISTICS_S, self._catch_up_log)),
            asyncio.create_task(self._obey(reader, writer, stop)),
        ]
        if self._dtls is not None:
            tasks.append(asyncio.create_task(self._every(STATISTICS_S, self._dtls.look_after_sessions)))
            if self._settings.tb_transport_ssl_certificate_reload_enabled:
                interval_s = self._settings.tb_transport_ssl_certificate_reload_check_interval_seconds
                tasks.append(asyncio.create_task(self._every(interval_s, self._dtls.follow_files)))
        _tell(writer, {"ready": True})
        await stop.wait()
        closing = asyncio.create_task(self._pipeline.close())
        await asyncio.wait({closing}, timeout=COMMIT_PATIENCE_S)
        for listener in self._listeners:
            await listener.close()
            listener.endpoint.refusals.finish()
        self._pipeline.refusals.finish()
        if self._dtls is not None and self._session_files is not None:
            self._dtls.save_sessions(self._session_files)
        self._tell_statistics(writer)
        self._tell_events(writer, even_so=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._catalogue.close()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _follow_catalogue(self) -> None:
        """Serve what the catalogue says now, if it changed."""
        if self._pipeline.has_debugging_ended():
            self._forget_handlers()
        try:
            version = self._catalogue.data_version()
            if version == self._catalogue_version:
                self._catalogue_error = ""
                return
            if self._dtls is not None:  # first: a credential that is taken away waits for nothing else
                self._dtls.follow_catalogue()
            integrations, converters = self._catalogue.snapshot()
        except GatewayError as error:
            if error.message != self._catalogue_error:
                self._catalogue_error = error.message
                _log.error("the catalogue can't be used, the integrations stay as they were: %s", error.message)
            return
        self._pipeline.load(integrations, converters)
        self._forget_handlers()
        self._catalogue_version, self._catalogue_error = version, ""

    def _forget_handlers(self) -> None:
        for listener in self._listeners:
            listener.endpoint.forget_handlers()

    def _catch_up_log(self) -> None:
        self._pipeline.refusals.catch_up()
        for listener in self._listeners:
            listener.endpoint.refusals.catch_up()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event) -> None:
        """Follow the supervisor's messages; its end is ours."""
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "trim" in message:
                    self._pipeline.spool.trim(message["trim"])
                elif "reload" in message:
                    self._follow(files=True)
                    _tell(writer, {"reloaded": True})
                elif "ask" in message:
                    _tell(writer, {"answer": message["ask"], "of": self._answer(message)})
                elif "not_resumed" in message and self._dtls is not None:
                    self._dtls.refuse_resumption([(bytes.fromhex(tag), end_s) for tag, end_s in message["not_resumed"]])
        except ConnectionError:
            pass
        except Exception:  # noqa: BLE001  it ends, and its successor can be told again
            _log.exception("what the supervisor says can't be followed")
        finally:
            stop.set()

    def _answer(self, message: dict[str, Any]) -> JsonValue:
        """Whether catalogue and files are followed; what is asked of the sessions, null for one that is not there."""
        if "follow" in message:
            return self._follow(files=message["follow"] == "files")
        if self._dtls is None:
            return {"items": [], "next": None} if "sessions" in message else None
        sessions = self._dtls.sessions
        if "sessions" in message:
            return sessions.portion(**message["sessions"])
        association = sessions.find(message["end_session"])
        if association is None:
            return None
        ended = sessions.as_json(association)
        self._dtls.end_session(association)
        return {"session": ended, "tag": association.session_tag.hex()}

    def _follow(self, *, files: bool) -> bool:
        """Go by what catalogue and files are now, not only when it is time to look at them again; whether it does."""
        try:
            files_are_usable = True
            if files and self._dtls is not None:
                self._dtls.follow_files()
                files_are_usable = self._dtls.files_are_usable
            self._follow_catalogue()
        except Exception:  # noqa: BLE001  a bug of ours must not end what has to go on
            _log.exception("not everything could be read anew")
            return False
        return files_are_usable and not self._catalogue_error

    def _tell_statistics(self, writer: asyncio.StreamWriter) -> None:
        if writer.transport.get_write_buffer_size():
            return  # the supervisor has not read the last ones; these come with the next
        self._pipeline.measure()
        if self._dtls is not None:
            self._dtls.measure()
        measure_process(self._metrics, f"worker-{self._position.worker}")
        figures = self._metrics.snapshot()
        changed = [[*key, value] for key, value in figures.items() if self._told.get(key) != value]
        changed += [[*key, None] for key in self._told if key not in figures]
        for start in range(0, len(changed) or 1, FIGURES_PER_MESSAGE):
            _tell(writer, {"statistics": changed[start : start + FIGURES_PER_MESSAGE]})
        self._told = dict(figures)
        if self._pipeline.spool.trouble != self._told_trouble:
            self._told_trouble = self._pipeline.spool.trouble
            _tell(writer, {"spool": self._told_trouble})

    def _tell_events(self, writer: asyncio.StreamWriter, *, even_so: bool = False) -> None:
        """Hand on a portion of the debug events; where the supervisor has not read the last one, `even_so` alone."""
        if writer.is_closing() or (writer.transport.get_write_buffer_size() and not even_so):
            return
        events = self._pipeline.events.take(EVENTS_BYTES)
        if events:
            writer.write(b'{"events": [' + b",".join(events) + b"]}\n")

    async def _every(self, seconds: float, action: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                action()
            except Exception:  # noqa: BLE001  a bug of ours must not end what has to go on
                _log.exception("it will be tried again in %.2f s", seconds)


def _tell(writer: asyncio.StreamWriter, message: dict[str, object]) -> None:
    if not writer.is_closing():
        writer.write(orjson.dumps(message) + b"\n")


def session_files(settings: Settings, key_file: KeyFile) -> SessionFiles:
    """Where sessions are kept over a restart. They are good for the same kind of address and connection ID alone."""
    family = "IPv6" if ":" in settings.coap_dtls_bind_address else "IPv4"
    listener = f"{family} {settings.coap_dtls_bind_address}, connection IDs {settings.coap_dtls_connection_id_length}"
    return SessionFiles(settings.gateway_data_dir, key_file, listener=listener)


def main() -> int:
    """Run a worker as the supervisor asked; gives the exit code."""
    parser = argparse.ArgumentParser(prog="gateway.worker")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    for name in ("--plain-fd", "--dtls-fd", "--relay-fd"):
        parser.add_argument(name, type=_socket)
    parser.add_argument("--relay-to-fd", type=_socket, action="append", default=[])
    arguments = parser.parse_args()
    try:
        settings = load_settings(env_file=None)
        configure_logging(settings, f"worker-{arguments.index}")
        asyncio.run(_run(settings, arguments))
    except GatewayError as error:
        _log.error("%s", "; ".join((*error.message.splitlines(), *error.hint.splitlines())))
        return error.exit_code
    return 0


def _socket(descriptor: str) -> socket.socket:
    return socket.socket(fileno=int(descriptor))


async def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    sockets = WorkerSockets(
        plain=arguments.plain_fd,
        dtls=arguments.dtls_fd,
        relay_reading=arguments.relay_fd,
        relay_writing=tuple(arguments.relay_to_fd),
    )
    worker = Worker(settings, Position(arguments.index, arguments.workers), sockets)
    await worker.run(socket.socket(fileno=arguments.control_fd))


if __name__ == "__main__":
    sys.exit(main())
