"""The sink `http`, where nobody answers, or a hostile receiver does."""

import asyncio
import socket
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sinks import http
from gateway.sinks.sink import RefusedRecords, SinkError, Trouble
from tests.sinks.http_sinks import TOKEN, deliver, sink_for, trouble_at
from tests.sinks.receivers import Behaviour, TcpServer
from tests.sinks.records import Taken, records
from tests.threaded_server import HOST


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = trouble_at(f"http://u:{TOKEN}@127.0.0.1:{free.getsockname()[1]}/?k-in-url")
    assert error.trouble is Trouble.UNREACHABLE
    assert "refused" in error.message


def test_a_name_that_nobody_has_is_unreachable() -> None:
    error = trouble_at("http://gateway.invalid/")
    assert (error.trouble, error.message) == (Trouble.UNREACHABLE, "its host name is not known")


def test_no_connection_in_time_is_unreachable() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as first, socket.socket() as second:
            for one in (first, second):
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            error = trouble_at(f"http://127.0.0.1:{full.getsockname()[1]}/", gateway_http_sink_timeout_ms=200)
    assert (error.trouble, error.message) == (Trouble.UNREACHABLE, "no connection in time")


def behave(behaviour: Behaviour, **values: Any) -> Taken:
    """Deliver to a server that behaves like this."""

    async def scenario() -> Taken:
        with TcpServer(behaviour) as server:
            return await deliver(sink_for(f"http://{HOST}:{server.port}/", **values), records(2))

    return asyncio.run(scenario())


def saying(data: bytes, *, then_close: bool = True) -> Behaviour:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
            if then_close:
                writer.close()
                await writer.wait_closed()
                return

    return say


@pytest.mark.parametrize("timeout_ms", [100, 300])
def test_a_receiver_that_never_answers_is_silent(timeout_ms: int) -> None:
    begin_s = time.monotonic()
    with pytest.raises(SinkError) as raised:
        behave(saying(b"", then_close=False), gateway_http_sink_timeout_ms=timeout_ms)
    assert raised.value.trouble is Trouble.SILENT
    assert f"within {timeout_ms / 1000:g} s" in raised.value.message
    assert "GATEWAY_HTTP_SINK_TIMEOUT_MS" in raised.value.hint
    assert time.monotonic() - begin_s >= timeout_ms / 1000 * 0.9


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_receiver_that_closes_without_an_answer_is_unreachable(data: bytes) -> None:
    with pytest.raises(SinkError) as raised:
        behave(saying(data))
    assert raised.value.trouble is Trouble.UNREACHABLE


@pytest.mark.parametrize(
    "data",
    [
        b"220 mail.example.com ESMTP\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_does_not_speak_http_is_said_to_be_the_wrong_url(data: bytes) -> None:
    with pytest.raises(SinkError) as raised:
        behave(saying(data))
    assert (raised.value.trouble, raised.value.message) == (
        Trouble.MISCONFIGURED,
        "what answers there does not speak HTTP",
    )


HEADERS = st.tuples(
    st.sampled_from(
        (
            *("Set-Cookie", "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection"),
            *("Retry-After", "Location", "Link", "Upgrade", "Date", "Trailer", "X"),
        )
    ),
    st.sampled_from(
        ["", "chunked", "gzip", "5", "close", "text/plain; charset=nonsense", "a=b; expires=never", "http://["]
    )
    | st.text(max_size=20),
)


@settings(deadline=None, max_examples=80)
@given(
    line=st.sampled_from(
        [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 \r\n", b"HTTP/1.0 503 \r\n", b"HTTP/1.1 101 Up\r\n"]
    ),
    headers=st.lists(HEADERS, max_size=4),
    rest=st.binary(max_size=100),
)
def test_whatever_is_answered_is_a_confirmation_a_refusal_or_trouble(
    line: bytes, headers: list[tuple[str, str]], rest: bytes
) -> None:
    fields = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)
    try:
        behave(saying(line + fields + b"\r\n" + rest), gateway_http_sink_timeout_ms=500)
    except (SinkError, RefusedRecords) as error:
        assert str(error)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def body_that_stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(30)


@pytest.mark.parametrize("hostile", [endless_body, body_that_stops])
def test_a_confirmation_counts_though_its_body_never_ends(hostile: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_PATIENCE_S", 0.1)
    assert behave(hostile).count == 2


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"A: b\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0)


def test_endless_headers_are_given_up() -> None:
    with pytest.raises(SinkError):
        behave(endless_headers, gateway_http_sink_timeout_ms=1000)
