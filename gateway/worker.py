"""One packet process: its listeners, the pipeline behind them, and its spool.

Started by the supervisor, which has bound the sockets and keeps them open: a worker that dies and comes back finds in
its socket what arrived in between. Control messages are JSON objects, one a line, over a Unix socket pair:

- to the worker: `{"trim": N}`, every sink has the spool's batches up to N;
- from the worker: `{"ready": true}`, and each second `{"statistics": [[name, label…, value]…]}` with the figures that
  changed: a sign of life, even where there are none.

Its settings come from the environment alone, as the supervisor set it: what is changed in `.env` waits for a restart of
the whole gateway.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.listeners.plain import PlainListener
from gateway.logs import configure_logging
from gateway.metrics import Key, Metrics
from gateway.pipeline import Pipeline
from gateway.settings import Settings, load_settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.spool import spool_path

CATALOGUE_POLL_S = 0.25
"""How often a worker looks whether the catalogue changed."""

STATISTICS_S = 1.0
"""How often a worker tells its figures."""

FIGURES_PER_MESSAGE = 200
"""Most figures in one message, so that its length has a bound."""

_log = logging.getLogger(__name__)


class Worker:
    """Everything that runs in one packet process."""

    def __init__(self, settings: Settings, *, index: int, workers: int, plain_socket: socket.socket | None) -> None:
        """To be made in a running loop. Raises ConfigurationError where a database can't be used."""
        self._settings = settings
        self._metrics = Metrics()
        self._catalogue = Catalogue(settings.gateway_data_dir)
        self._catalogue_version = -1
        self._catalogue_error = ""
        self._told: dict[Key, int] = {}
        self._pipeline = Pipeline(
            settings, spool_path(settings.gateway_data_dir, index), share=workers, metrics=self._metrics
        )
        self._listeners = []
        if plain_socket is not None:
            self._listeners.append(
                PlainListener(
                    plain_socket,
                    settings,
                    resolve=self._pipeline.resolve,
                    endpoints=self._pipeline.endpoints,
                    metrics=self._metrics,
                )
            )

    async def run(self, control: socket.socket) -> None:
        """Serve until SIGTERM, or until the supervisor is gone."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl+C is the supervisor's to act on
        reader, writer = await asyncio.open_connection(sock=control)
        self._follow_catalogue()
        for listener in self._listeners:
            listener.start()
        # What lives from here on is in flux; what was made before need not be looked at again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        tasks = [
            asyncio.create_task(self._every(CATALOGUE_POLL_S, self._follow_catalogue)),
            asyncio.create_task(self._every(STATISTICS_S, lambda: self._tell_statistics(writer))),
            asyncio.create_task(self._obey(reader, stop)),
        ]
        _tell(writer, {"ready": True})
        await stop.wait()
        await self._pipeline.close()
        for listener in self._listeners:
            await listener.close()
        self._tell_statistics(writer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._catalogue.close()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _follow_catalogue(self) -> None:
        """Serve what the catalogue says now, if it changed."""
        try:
            version = self._catalogue.data_version()
            if version == self._catalogue_version:
                return
            integrations, converters = self._catalogue.snapshot()
        except GatewayError as error:
            if error.message != self._catalogue_error:
                self._catalogue_error = error.message
                _log.error("the catalogue can't be used, the integrations stay as they were: %s", error.message)
            return
        self._catalogue_version, self._catalogue_error = version, ""
        self._pipeline.load(integrations, converters)
        for listener in self._listeners:
            listener.endpoint.forget_handlers()

    async def _obey(self, reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
        """Follow the supervisor's messages; its end is ours."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                if "trim" in message:
                    self._pipeline.spool.trim(message["trim"])
        stop.set()

    def _tell_statistics(self, writer: asyncio.StreamWriter) -> None:
        if writer.transport.get_write_buffer_size():
            return  # the supervisor has not read the last ones; these come with the next
        figures = self._metrics.snapshot()
        changed = [[*key, value] for key, value in figures.items() if self._told.get(key) != value]
        for start in range(0, len(changed) or 1, FIGURES_PER_MESSAGE):
            _tell(writer, {"statistics": changed[start : start + FIGURES_PER_MESSAGE]})
        self._told = dict(figures)

    async def _every(self, seconds: float, action: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                action()
            except Exception:  # noqa: BLE001  a bug of ours must not end what has to go on
                _log.exception("it will be tried again in %.2f s", seconds)


def _tell(writer: asyncio.StreamWriter, message: dict[str, object]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


def main() -> int:
    """Run a worker as the supervisor asked; gives the exit code."""
    parser = argparse.ArgumentParser(prog="gateway.worker")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--plain-fd", type=int)
    arguments = parser.parse_args()
    try:
        settings = load_settings(env_file=None)
        configure_logging(settings, f"worker-{arguments.index}")
        plain = None if arguments.plain_fd is None else socket.socket(fileno=arguments.plain_fd)
        asyncio.run(_run(settings, arguments, plain))
    except GatewayError as error:
        print(f"{error.message}; {error.hint}" if error.hint else error.message, file=sys.stderr)
        return error.exit_code
    return 0


async def _run(settings: Settings, arguments: argparse.Namespace, plain: socket.socket | None) -> None:
    worker = Worker(settings, index=arguments.index, workers=arguments.workers, plain_socket=plain)
    await worker.run(socket.socket(fileno=arguments.control_fd))


if __name__ == "__main__":
    sys.exit(main())
