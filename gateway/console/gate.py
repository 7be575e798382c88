"""Who may see the console's pages, and what their documents may do in the browser.

Only the log-in page and files that are the same for everyone are given to those who are not logged in; no page of
theirs is built, and no socket opened.
"""

import secrets
from typing import Final
from urllib.parse import parse_qs, quote

from nicegui import Client, __version__
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.auth import cookie_name
from gateway.console.client import ApiDoor, ApiProblem
from gateway.console.session import Session
from gateway.settings import Settings

LOG_IN_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Of the log-in page and of files."""

_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Of NiceGUI's pages. Vue compiles templates in the browser and NiceGUI hands it handlers as text, which takes
`unsafe-eval`; components set styles of their own, which takes `unsafe-inline` for styles. Scripts in the document need
the nonce, so that none that got into it by its contents runs."""

_LOG_IN: Final = "/login"
_SOCKET: Final = "/_nicegui_ws/"
_FILES: Final = (
    "/assets/",
    *(f"/_nicegui/{__version__}/{kind}/" for kind in ("static", "components", "esm", "libraries", "resources")),
)
_FOR_ALL: Final = frozenset({_LOG_IN, "/favicon.ico"})


class Gate:
    """Stands before all of the console."""

    def __init__(self, app: ASGIApp, *, door: ApiDoor, settings: Settings) -> None:
        self._app = app
        self._door = door
        self._cookie = cookie_name(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through who is logged in, and send the others to the log-in page."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in _FOR_ALL or path.startswith(_FILES):
            await self._app(scope, receive, _with_policy(send))
            return
        session = await self._session(scope)
        if session is None or (path.startswith(_SOCKET) and not self._owns_page(scope, session)):
            await _turn_away(scope, receive, send, path)
            return
        scope.setdefault("state", {})["session"] = session
        await self._app(scope, receive, send if path.startswith(_SOCKET) else _with_policy(send))

    async def _session(self, scope: Scope) -> Session | None:
        token = self._token(scope)
        if not token:
            return None
        api = self._door.of(token)
        try:
            me = await api.get("/me")
        except ApiProblem as problem:
            if problem.status == 401:
                return None
            raise
        return Session(
            api=api, token=token, user=me["user"], is_admin=me["role"] == "admin", request=HTTPConnection(scope)
        )

    def _token(self, scope: Scope) -> str:
        return HTTPConnection(scope).cookies.get(self._cookie, "")

    def _owns_page(self, scope: Scope, session: Session) -> bool:
        """Whether a socket is for a page that was given to this very log-in: its name alone is no way into it.

        NiceGUI lets the socket into no other page than this one, where it names one.
        """
        wanted = parse_qs(scope["query_string"].decode("ascii", "replace")).get("client_id", [""])[0]
        page = Client.instances.get(wanted)
        return wanted != "" and (page is None or self._token(page.request.scope) == session.token)


async def _turn_away(scope: Scope, receive: Receive, send: Send, path: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    if scope["method"] == "GET" and not path.startswith("/_nicegui"):
        target = f"{scope.get('root_path', '')}{_LOG_IN}?next={quote(scope['path'])}"
        await RedirectResponse(target, 303, {"Cache-Control": "no-store"})(scope, receive, send)
        return
    await PlainTextResponse("log in first", 401)(scope, receive, send)


def _with_policy(send: Send) -> Send:
    """Gives each answer its policy; a page's scripts the nonce in it."""
    started: Message | None = None
    body = bytearray()

    async def sending(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            if headers.get("X-NiceGUI-Content") == "page":
                started = message
                return
            headers["Content-Security-Policy"] = LOG_IN_POLICY
        elif started is not None and message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            await _send_page(send, started, bytes(body))
            return
        await send(message)

    return sending


async def _send_page(send: Send, started: Message, body: bytes) -> None:
    # The data of a page stand in it with their angle brackets escaped, so each tag here is the template's.
    nonce = secrets.token_urlsafe(18)
    page = body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
    headers = MutableHeaders(raw=started["headers"])
    headers["Content-Security-Policy"] = _PAGE_POLICY.format(nonce=nonce)
    headers["Content-Length"] = str(len(page))
    await send(started)
    await send({"type": "http.response.body", "body": page})
