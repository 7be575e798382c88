"""The sink `http` over TLS: whom it trusts, and how it shows who it is."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.sinks.sink import SinkError, Trouble
from tests.dtls.certificates import Issued, authority, device, server
from tests.sinks.http_sinks import deliver, sink_for, trouble_at, without_secrets
from tests.sinks.receivers import names_of_host, receiving, server_context, valid_now, write_pem
from tests.sinks.records import records

CA = authority("Receiver CA", **valid_now())
OTHER_CA = authority("Another CA", **valid_now())
SERVER = server("receiver", issuer=CA, **valid_now(), **names_of_host())
CLIENT = device("gateway", issuer=OTHER_CA, **valid_now())


class Files:
    """Certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.ca = write_pem(folder / "ca.pem", CA)
        self.other_ca = write_pem(folder / "other-ca.pem", OTHER_CA)
        self.server = write_pem(folder / "server.pem", SERVER, key=True)
        self.client = write_pem(folder / "client.pem", CLIENT, key=True)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def post_securely(context: ssl.SSLContext, host: str = "127.0.0.1", **values: Any) -> int:
    async def scenario() -> int:
        async with receiving(tls=context) as receiver:
            sink = sink_for(receiver.url.replace("127.0.0.1", host), **values)
            return (await deliver(sink, records(2))).count

    return asyncio.run(scenario())


def tls_trouble(context: ssl.SSLContext, host: str = "127.0.0.1", **values: Any) -> SinkError:
    with pytest.raises(SinkError) as raised:
        post_securely(context, host, **values)
    return without_secrets(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_receiver_with_a_certificate_of_the_ca_file_is_trusted(files: Files, host: str) -> None:
    assert post_securely(server_context(files.server), host, gateway_http_sink_ca_file=files.ca) == 2


def test_one_of_another_ca_is_not_nor_one_of_a_private_ca_without_a_file(files: Files) -> None:
    context = server_context(files.server)
    for error in (tls_trouble(context, gateway_http_sink_ca_file=files.other_ca), tls_trouble(context)):
        assert error.trouble is Trouble.UNTRUSTED
        assert "GATEWAY_HTTP_SINK_CA_FILE" in error.hint


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (server("elsewhere", issuer=CA, **valid_now(), **names_of_host("elsewhere.example")), "127.0.0.1"),
        (
            server("old", issuer=CA, not_before_s=time.time() - 9e5, not_after_s=time.time() - 9e4, **names_of_host()),
            "expired",
        ),
    ],
)
def test_a_certificate_of_another_host_or_time_is_not_trusted(
    files: Files, tmp_path: Path, certificate: Issued, reason: str
) -> None:
    context = server_context(write_pem(tmp_path / "bad.pem", certificate, key=True))
    error = tls_trouble(context, gateway_http_sink_ca_file=files.ca)
    assert error.trouble is Trouble.UNTRUSTED
    assert reason in error.message


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_receiver_that_asks_for_a_certificate_gets_it(files: Files, version: ssl.TLSVersion) -> None:
    context = server_context(files.server, files.other_ca)
    context.minimum_version = context.maximum_version = version
    values: dict[str, Any] = {"gateway_http_sink_ca_file": files.ca, "gateway_http_sink_client_cert": files.client}
    assert post_securely(context, **values) == 2


@contextmanager
def strict_server(context: ssl.SSLContext) -> Iterator[str]:
    """A server that tells why it ends a handshake, as most do (asyncio's does not); where it is."""

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            with suppress(ssl.SSLError), context.wrap_socket(connection.dup(), server_side=True) as secured:
                secured.recv(1)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # closing with something unread would take our last word back
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["none", "one of another CA"])
def test_a_receiver_that_does_not_get_it_refuses_us(
    files: Files, tmp_path: Path, version: ssl.TLSVersion, shown: str
) -> None:
    context = server_context(files.server, files.other_ca)
    context.minimum_version = context.maximum_version = version
    values: dict[str, Any] = {"gateway_http_sink_ca_file": files.ca}
    if shown != "none":
        stranger = device("stranger", issuer=CA, **valid_now())
        values["gateway_http_sink_client_cert"] = write_pem(tmp_path / "stranger.pem", stranger, key=True)
    with strict_server(context) as url:
        error = trouble_at(url, **values)
    assert error.trouble is Trouble.REFUSED
    assert "GATEWAY_HTTP_SINK_CLIENT_CERT" in error.hint


def test_one_that_ends_the_handshake_without_a_word_is_unreachable(files: Files) -> None:
    error = tls_trouble(server_context(files.server, files.other_ca), gateway_http_sink_ca_file=files.ca)
    assert error.trouble is Trouble.UNREACHABLE


def test_files_are_read_anew_at_each_connect(files: Files, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with receiving(tls=server_context(files.server)) as receiver:
            sink = sink_for(receiver.url, gateway_http_sink_ca_file=tmp_path / "mine.pem")
            with pytest.raises(SinkError, match="there is no such file") as missing:
                await deliver(sink, [])
            assert missing.value.trouble is Trouble.MISCONFIGURED
            write_pem(tmp_path / "mine.pem", OTHER_CA)
            with pytest.raises(SinkError) as untrusted:
                await deliver(sink, [])
            assert untrusted.value.trouble is Trouble.UNTRUSTED
            write_pem(tmp_path / "mine.pem", OTHER_CA, CA)
            assert (await deliver(sink, records(2))).count == 2

    asyncio.run(scenario())


def test_a_port_without_tls_is_said() -> None:
    async def scenario() -> None:
        async with receiving() as receiver:
            await deliver(sink_for(receiver.url.replace("http:", "https:")), [])

    with pytest.raises(SinkError) as raised:
        asyncio.run(scenario())
    assert raised.value.trouble is Trouble.UNTRUSTED
    assert "TLS" in raised.value.hint
