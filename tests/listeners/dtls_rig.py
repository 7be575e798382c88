"""What the tests of DTLS clients share: servers that say what a test wants, and a client that tells how it failed."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from gateway.dtls.codes import DTLS_1_0, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import Config
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.greeting import hello_verify_request
from gateway.dtls.messages import ServerHello
from gateway.dtls.record import record_header
from gateway.listeners.dtls_client import DtlsClient, HandshakeError
from tests.interop.loop import HOST, PATIENCE_S

Script = Callable[[bytes], list[bytes]]
"""From a datagram to those that answer it."""


@contextlib.contextmanager
def scripted(script: Script) -> Iterator[int]:
    """A UDP server that follows a script, on a port of its own."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    sock.settimeout(PATIENCE_S)
    port: int = sock.getsockname()[1]

    def serve() -> None:
        while True:
            data, address = sock.recvfrom(65536)
            if not data:  # from `stop`
                return
            for answer in script(data):
                sock.sendto(answer, address)

    thread = threading.Thread(target=serve, name=f"script on {port}")
    thread.start()
    try:
        yield port
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", (HOST, port))
        thread.join(PATIENCE_S)
        sock.close()


def alert(number: int, *, level: int = AlertLevel.FATAL) -> bytes:
    """An alert in the clear."""
    return record_header(ContentType.ALERT, 0, 1, 2) + bytes((level, number))


def cookie(hello: bytes) -> bytes:
    """The datagram that asks for a cookie."""
    return hello_verify_request(b"cookie", int.from_bytes(hello[5:11], "big"))


def old_server_hello(hello: bytes) -> bytes:
    """How a server that has DTLS 1.0 alone answers, with a suite that was offered."""
    chosen = ServerHello(bytes(32), b"", 0xC0AE, {}, version=DTLS_1_0).encode()
    message = HandshakeMessage(HandshakeType.SERVER_HELLO, 0, chosen).encode()
    return record_header(ContentType.HANDSHAKE, 0, int.from_bytes(hello[5:11], "big"), len(message)) + message


def failure_of(port: int, config: Config, *, host: str = HOST, timeout_s: float = PATIENCE_S) -> HandshakeError:
    """How a handshake fails."""

    async def connect() -> HandshakeError:
        try:
            client = await DtlsClient.connect(host, port, config, timeout_s=timeout_s)
        except HandshakeError as error:
            return error
        await client.close()
        raise AssertionError("the handshake did not fail")

    return asyncio.run(connect())
