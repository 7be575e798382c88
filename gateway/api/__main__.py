"""The process of the REST API, as the supervisor starts it: its settings come from the environment alone.

It ends with SIGTERM, and when the supervisor is gone: `gateway.api_process` says what it tells it.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Final

import uvicorn

from gateway.api.app import make_app
from gateway.api.streams import Streams
from gateway.errors import GatewayError
from gateway.logs import configure_logging
from gateway.settings import Settings, load_settings

STOP_PATIENCE_S: Final = 1
"""How long requests under way may take at the end, in seconds; the supervisor waits for three."""

CONNECTIONS_MAX: Final = 500
"""Most connections; 503 beyond."""

SIGN_OF_LIFE_S: Final = 1.0

_PROXIES: Final = ["127.0.0.1", "::1"]
"""Who is believed when it says for whom it asks."""


_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours to act on: uvicorn would end by the signal itself, as if it had been killed."""
        yield


async def serve(settings: Settings, sock: socket.socket, control: socket.socket) -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    app = make_app(settings)
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.gateway_http_public_url),
            forwarded_allow_ips=_PROXIES,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_PATIENCE_S,
        )
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl+C is the supervisor's to act on, a terminal's end too
        loop.add_signal_handler(number, lambda: None)
    reader, writer = await asyncio.open_connection(sock=control)
    tasks = [
        asyncio.create_task(_stop_without_supervisor(reader, stop)),
        asyncio.create_task(_show_life(server, writer)),
        asyncio.create_task(_end(server, app.state.backend.streams, stop)),
    ]
    try:
        await server.serve(sockets=[sock])
    finally:
        for task in tasks:
            task.cancel()
        writer.close()


async def _stop_without_supervisor(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(1024):
            pass
    stop.set()


async def _show_life(server: uvicorn.Server, writer: asyncio.StreamWriter) -> None:
    ready = False
    while not writer.is_closing():
        is_news = server.started and not ready
        ready = ready or is_news
        writer.write(json.dumps({"ready": True} if is_news else {"alive": True}).encode() + b"\n")
        await asyncio.sleep(SIGN_OF_LIFE_S if ready else 0.05)


async def _end(server: uvicorn.Server, streams: Streams, stop: asyncio.Event) -> None:
    await stop.wait()
    streams.stop()
    server.should_exit = True


def main() -> int:
    """Serve the API as the supervisor asked; gives the exit code."""
    parser = argparse.ArgumentParser(prog="gateway.api")
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--control-fd", type=int, required=True)
    arguments = parser.parse_args()
    try:
        settings = load_settings(env_file=None)
        configure_logging(settings, "api")
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        asyncio.run(
            serve(settings, socket.socket(fileno=arguments.socket_fd), socket.socket(fileno=arguments.control_fd))
        )
    except GatewayError as error:
        _log.error("%s", "; ".join((*error.message.splitlines(), *error.hint.splitlines())))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
