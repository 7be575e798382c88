"""`gateway send`, against aiocoap's server."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiocoap
import aiocoap.resource
import pytest

from tests.cli.conftest import Cli
from tests.ports import free_port


class Endpoint(aiocoap.resource.Resource):  # type: ignore[misc]
    """Keeps what it gets; refuses the payload `bad`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, int | None, bytes]] = []

    async def render_post(self, request: Any) -> Any:
        content_format = request.opt.content_format
        self.requests.append(
            (
                request.code.name,
                request.mtype.name,
                None if content_format is None else int(content_format),
                request.payload,
            )
        )
        if request.payload == b"bad":
            return aiocoap.Message(code=aiocoap.BAD_REQUEST, payload="no \x1b[31mnümber".encode())
        if request.payload == b"binary":
            return aiocoap.Message(code=aiocoap.CONTENT, payload=b"\xff\x00")
        return aiocoap.Message(code=aiocoap.CREATED)

    render_put = render_post


class Server:
    """An aiocoap server on a thread of its own, at `url`."""

    def __init__(self) -> None:
        self.endpoint = Endpoint()
        self.port = free_port()
        self.url = f"coap://127.0.0.1:{self.port}/i/k"
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Leave the port; may be called again."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        site = aiocoap.resource.Site()
        site.add_resource(["i", "k"], self.endpoint)
        context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", self.port), transports=["udp6"])
        self._ready.set()
        await self._stop.wait()
        await context.shutdown()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_each_kind_of_payload_goes_out_with_its_content_format(cli: Cli, server: Server) -> None:
    cli.write("payload", b"\x00\xff")
    for arguments in (
        ["--text", "SN-001 ü"],
        ["--json", '{"t": 1.50}'],
        ["--hex", "53 4e"],
        ["--file", "payload"],
        ["--file", "payload", "--content-format", "60"],
        ["--text", "", "--content-format", "0"],
    ):
        assert cli.ok("send", server.url, *arguments).out == "2.01 Created\n"
    cli.ok("send", server.url, "--file", "-", stdin=b"piped")
    assert server.endpoint.requests == [
        ("POST", "CON", 0, "SN-001 ü".encode()),
        ("POST", "CON", 50, b'{"t": 1.50}'),
        ("POST", "CON", 42, b"SN"),
        ("POST", "CON", None, b"\x00\xff"),
        ("POST", "CON", 60, b"\x00\xff"),
        ("POST", "CON", 0, b""),
        ("POST", "CON", None, b"piped"),
    ]


def test_it_can_put_and_send_non_confirmable(cli: Cli, server: Server) -> None:
    cli.ok("send", server.url, "--text", "a", "--method", "put", "--non")
    assert server.endpoint.requests == [("PUT", "NON", 0, b"a")]


def test_a_large_payload_goes_block_wise(cli: Cli, server: Server) -> None:
    payload = bytes(range(256)) * 80
    cli.write("payload", payload)
    assert cli.ok("send", server.url, "--file", "payload").out == "2.01 Created\n"
    assert [request[3] for request in server.endpoint.requests] == [payload]


def test_a_refusal_is_exit_1_with_code_and_diagnostic_payload(cli: Cli, server: Server) -> None:
    result = cli("send", server.url, "--text", "bad")
    assert (result.code, result.err) == (1, "")
    assert result.out == "4.00 Bad Request\nno \\x1b[31mnümber\n"


def test_a_payload_that_is_no_text_is_shown_in_hex(cli: Cli, server: Server) -> None:
    assert cli.ok("send", server.url, "--text", "binary").out == "2.05 Content\nff 00\n"


def test_an_unknown_path_is_exit_1(cli: Cli, server: Server) -> None:
    result = cli("send", server.url + "x", "--text", "a")
    assert (result.code, result.out.splitlines()[0]) == (1, "4.04 Not Found")


def test_as_a_process_it_is_the_same(cli: Cli, server: Server) -> None:
    accepted = cli.process("send", server.url, "--text", "a")
    assert (accepted.code, accepted.out, accepted.err) == (0, "2.01 Created\n", "")
    refused = cli.process("send", server.url, "--file", "-", stdin=b"bad")
    assert (refused.code, refused.err) == (1, "")


@pytest.mark.parametrize("options", [[], ["--non"]])
def test_without_an_answer_it_ends_after_the_time_out(cli: Cli, silent_port: int, options: list[str]) -> None:
    url = f"coap://127.0.0.1:{silent_port}/i/k"
    result = cli("send", url, "--text", "a", "--timeout", "0.2", *options)
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[0] == f"error: no response from {url} within 0.2 s"
    assert "gateway check" in result.err


@pytest.mark.parametrize("settings", [{}, {"GATEWAY_WORKERS": "many"}])
def test_plain_coap_to_the_dtls_port_is_taken_for_a_slip(
    cli: Cli, silent_port: int, server: Server, settings: dict[str, str]
) -> None:
    slip = "hint: is this the DTLS port? use coaps://"
    url = f"coap://127.0.0.1:{silent_port}/i/k"
    assert slip not in cli("send", url, "--text", "a", "--timeout", "0.2").err
    cli.set(COAP_DTLS_BIND_PORT=str(silent_port))
    assert slip in cli("send", url, "--text", "a", "--timeout", "0.2").err.splitlines()
    cli.set(**settings)  # a mistake in the settings keeps nobody from sending
    assert slip in cli("send", "coap://127.0.0.1:5684/i/k", "--text", "a", "--timeout", "0.2").err.splitlines()


def test_a_port_where_nobody_listens_is_said_at_once(cli: Cli, server: Server) -> None:
    server.stop()
    result = cli("send", server.url, "--text", "a")
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[0] == f"error: no response from {server.url} (Connection refused)"


def test_it_is_sent_as_often_as_wanted(cli: Cli, server: Server) -> None:
    assert cli.ok("send", server.url, "--text", "a", "--count", "3").out == "2.01 Created\n" * 3
    assert len(server.endpoint.requests) == 3


@pytest.mark.parametrize(
    "options",
    [
        ["--psk-identity", "a"],
        ["--psk-key", ""],
        ["--psk-key-hex", "00"],
        ["--psk-key-file", "f"],
        ["--cert", "f"],
        ["--key", "f"],
        ["--key-password", "p"],
        ["--ca", "f"],
        ["--insecure"],
        ["--server-name", "n"],
        ["--cid-length", "0"],
        ["--session", "f"],
        ["--suite", "s"],
    ],
    ids=lambda options: options[0],
)
def test_options_of_dtls_are_refused_without_it(cli: Cli, options: list[str]) -> None:
    result = cli("send", "coap://127.0.0.1/i/k", "--text", "a", *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[0] == f"error: {options[0]} is for DTLS"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1/i/k",
        "http://h/i/k",
        "coap+tcp://h/i/k",
        "coap:///i/k",
        "coap://[::1/i/k",
        "coap://h:0/i/k",
        "coap://h:65536/i/k",
        "coap://h:x/i/k",
        "coap://u@h/i/k",
        "coap://h/i/k#f",
        "coaps:///i/k",
    ],
)
def test_what_is_no_coap_url_is_exit_2(cli: Cli, url: str) -> None:
    result = cli("send", url, "--text", "a")
    assert (result.code, result.out) == (2, "")
    assert "coap://127.0.0.1/i/ROUTING_KEY" in result.err


@pytest.mark.parametrize("arguments", [[], ["--text", "a", "--hex", "00"], ["--text", "", "--json", "1"]])
def test_there_is_exactly_one_payload(cli: Cli, arguments: list[str]) -> None:
    result = cli("send", "coap://127.0.0.1/i/k", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "--text, --json, --hex and --file" in result.err
