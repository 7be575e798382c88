"""What holds for every request, whatever route it takes: which host it is for, how long its body may be, the headers
of its answer, and that a bug of ours ends in a problem document.

Plain ASGI, so that streams pass as they come.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.origin import is_own_host, is_own_origin
from gateway.api.problems import ProblemResponse
from gateway.settings import Settings

BODY_BYTES_MAX: Final = 1 << 20
"""Longest body of a request, in bytes."""

IMPORT_BYTES_MAX: Final = 16 << 20
"""Longest body where files are imported, in bytes."""

API_PATHS: Final = "/api/"
"""How the paths begin of what takes and gives JSON."""

IMPORT_PATHS: Final = frozenset({"/api/v1/converters/import"})
"""Where files are imported."""

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = logging.getLogger(__name__)


class Guard:
    """Around the app."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on where it may come in."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, scope["path"])
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        try:
            await self._app(scope, _bounded(receive, _bytes_max(scope)), with_headers)
        except Exception:  # a bug of ours must not end the others' requests
            _log.exception("%s %r failed", scope["method"], scope["path"])
            if started:
                raise  # the server closes the connection, so that nobody takes the half for the whole
            response = ProblemResponse(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed at this", hint="its log says more"
            )
            await response(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_own_host(host, self._settings):
            return ProblemResponse(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this gateway is not known as {host!r}",
                hint="call it by its address, or set GATEWAY_HTTP_PUBLIC_URL to how it is reached",
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > _bytes_max(scope):
            return ProblemResponse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(_bytes_max(scope)))
        has_body = length != "0" or "transfer-encoding" in headers
        if has_body and scope["path"].startswith(API_PATHS) and not _is_json(headers.get("content-type", "")):
            return ProblemResponse(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not sent as JSON", hint="Content-Type: application/json"
            )
        return None

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a web socket on where it is opened by a page of ours: no same-origin policy holds for them."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        origin = headers.get("origin")
        scheme = "https" if scope.get("scheme") == "wss" else "http"
        own_page = origin is not None and is_own_origin(origin, host, scheme, self._settings)
        if own_page and is_own_host(host, self._settings):
            await self._app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not from a page of this gateway"})


def _add_headers(message: Message, path: str) -> None:
    """What every answer has; a page may say more about its own content policy."""
    headers = MutableHeaders(scope=message)
    more: Mapping[str, str] = {"Cache-Control": "no-store"} if path.startswith(API_PATHS) else {}
    for name, value in {**_HEADERS, **more}.items():
        headers.setdefault(name, value)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _bytes_max(scope: Scope) -> int:
    return IMPORT_BYTES_MAX if scope["path"] in IMPORT_PATHS else BODY_BYTES_MAX


def _bounded(receive: Receive, bytes_max: int) -> Receive:
    """Bodies of unknown length, too, end at the bound."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > bytes_max:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(bytes_max))
        return message

    return bounded


def _too_large(bytes_max: int) -> str:
    return f"the body is longer than {bytes_max} bytes"
