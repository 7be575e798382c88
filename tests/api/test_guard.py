"""What holds for every request: its host, its length, its kind, the headers of its answer, and a bug of ours."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.api.guard import BODY_BYTES_MAX, IMPORT_BYTES_MAX, Guard
from gateway.settings import Settings
from tests.api.rig import Api

HOST = "127.0.0.1:8080"
LOCAL = Settings(_env_file=None)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """An app without anything in it."""
    return Api(tmp_path)


def ask(app: Any, method: str, path: str, host: str = HOST, **request: Any) -> httpx.Response:
    """One request."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **request)

    return asyncio.run(call())


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/openapi.json", "/api/v1/me", "/nothing"])
def test_another_name_is_421_and_the_cure_is_told(api: Api, path: str) -> None:
    refused = ask(api.app, "GET", path, host="rebound.evil.example")
    assert refused.status_code == 421
    assert refused.json()["type"] == "/problems/unknown-host"
    assert "GATEWAY_HTTP_PUBLIC_URL" in refused.json()["hint"]


@pytest.mark.parametrize("path", ["/livez", "/openapi.json", "/api/v1/me", "/nothing"])
def test_every_answer_has_the_headers_that_keep_browsers_careful(api: Api, path: str) -> None:
    headers = ask(api.app, "GET", path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert (headers.get("cache-control") == "no-store") is path.startswith("/api/")


def test_refusals_have_them_too(api: Api) -> None:
    assert "content-security-policy" in ask(api.app, "GET", "/livez", host="evil.example").headers


def test_a_page_may_say_more_about_its_own_content() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-security-policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    answer = ask(Guard(page, LOCAL), "GET", "/")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "most"), [("/api/v1/login", BODY_BYTES_MAX), ("/api/v1/converters/import", IMPORT_BYTES_MAX)]
)
def test_bodies_are_bounded_whether_their_length_is_told_or_not(api: Api, path: str, most: int) -> None:
    json = {"Content-Type": "application/json"}

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 1 << 16):
            yield b" " * min(1 << 16, size - start)

    for size, refused in ((most - 1, False), (most, False), (most + 1, True)):
        told = ask(api.app, "POST", path, content=b" " * size, headers=json | api.headers())
        untold = ask(api.app, "POST", path, content=chunks(size), headers=json | api.headers())
        assert (told.status_code == 413) is refused, (size, told.status_code)
        assert (untold.status_code == 413) is refused, (size, untold.status_code)
        if refused:
            assert told.json() == untold.json()
            assert told.json()["type"] == "/problems/too-large"


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("", False),
    ],
)
def test_a_body_is_json_or_refused(api: Api, kind: str, taken: bool) -> None:
    answer = ask(api.app, "POST", "/api/v1/login", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == (422 if taken else 415)


def test_a_bug_of_ours_is_a_problem_without_its_stack_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def bug(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("of a secret")

    with caplog.at_level(logging.ERROR):
        answer = ask(Guard(bug, LOCAL), "GET", "/api/v1/%0A")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage() == "GET '/api/v1/\\n' failed"


def test_a_bug_in_the_midst_of_an_answer_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def bug(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(Guard(bug, LOCAL), "GET", "/")


def test_a_stream_passes_as_it_comes() -> None:
    passed: list[bytes] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            assert passed[-1] == part

    async def send(message: Message) -> None:
        passed.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", HOST.encode())]}
    asyncio.run(Guard(stream, LOCAL)(scope, _nothing, send))
    assert passed == [b"", b"one", b"two"]


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


@pytest.fixture
def opened() -> Iterator[list[Scope]]:
    """The web sockets that were passed on."""
    yield []


@pytest.mark.parametrize(
    ("host", "origin", "taken"),
    [
        (HOST, f"http://{HOST}", True),
        (HOST, "http://evil.example", False),
        (HOST, None, False),
        ("evil.example", "http://evil.example", False),
    ],
)
def test_a_web_socket_is_for_our_own_pages(opened: list[Scope], host: str, origin: str | None, taken: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        opened.append(scope)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    scope = {"type": "websocket", "scheme": "ws", "path": "/", "headers": headers}
    asyncio.run(Guard(app, LOCAL)(scope, _nothing, send))
    assert bool(opened) is taken
    assert [message["type"] for message in sent] == ([] if taken else ["websocket.close"])
