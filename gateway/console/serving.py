"""Puts the console into the API's application."""

import logging
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse
from nicegui import app as console_app
from nicegui import core, ui

from gateway.api.origin import is_own_origin
from gateway.console import pages
from gateway.console.assets import CACHED_S, FOLDER, PREFIX, log_in_page
from gateway.console.client import ApiDoor, ApiProblem
from gateway.console.gate import Gate
from gateway.logs import about
from gateway.settings import Settings

_log = logging.getLogger(__name__)

_PAGE_EVENTS: Final = ("event", "javascript_response", "ack", "log")
"""What browsers send over a socket for the page that they name in it."""


def serve_with(app: FastAPI, settings: Settings) -> None:
    """Mount it, and have `/` lead to it."""
    pages.register()
    console_app.add_static_files("/assets", FOLDER, max_cache_age=CACHED_S)
    console_app.add_middleware(Gate, door=ApiDoor(app, settings), settings=settings)
    core.sio.eio.cors_allowed_origins = lambda origin, environ: _is_own(origin, environ, settings)
    core.sio.on("log", _hear)
    for name in _PAGE_EVENTS:
        core.sio.on(name, _for_own_page(core.sio.handlers["/"][name]))
    logging.getLogger("nicegui").addFilter(_is_news)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # each of its requests is a line otherwise
    console_app.get("/login", include_in_schema=False)(
        lambda: HTMLResponse(log_in_page(), headers={"Cache-Control": "no-store"})
    )
    app.get("/", include_in_schema=False)(lambda: RedirectResponse(f"{PREFIX}/"))
    ui.run_with(
        app,
        mount_path=PREFIX,
        title="Gateway",
        favicon=FOLDER / "favicon.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=15.0,
    )


def _is_own(origin: str, environ: dict[str, Any], settings: Settings) -> bool:
    """Whether a page of ours speaks to the socket, by whichever of its ways; against hijacking from other sites."""
    scheme = {"ws": "http", "wss": "https"}.get(environ["asgi.scope"]["scheme"], environ["asgi.scope"]["scheme"])
    return is_own_origin(origin, environ.get("HTTP_HOST", ""), scheme, settings)


def _for_own_page(handle: Callable[[str, Any], object]) -> Callable[[str, Any], object]:
    """Pass on what a socket sends for the page that it was opened for; for another one, it says nothing to anyone."""

    def handle_own(socket: str, message: Any) -> object:
        is_own = isinstance(message, dict) and message.get("client_id") in core.sio.rooms(socket)
        return handle(socket, message) if is_own else None

    return handle_own


def _hear(socket: str, message: dict[str, Any]) -> None:
    """What a page's scripts complain of. It may be anything that whoever looks at it likes: so it is a field."""
    _log.warning("a page of the console complains", extra=about(error=str(message.get("message"))))


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line is for the log: what the API refused is told to whoever asked for it, and logged there."""
    return not (record.exc_info and isinstance(record.exc_info[1], ApiProblem))
