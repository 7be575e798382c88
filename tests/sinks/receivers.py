"""HTTP servers on loopback that do as they are told."""

import asyncio
import ipaddress
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.dtls.certificates import DAY_S, Issued
from tests.threaded_server import HOST, ThreadedServer


class Posted(NamedTuple):
    """A request as it came."""

    headers: Mapping[str, str]
    body: bytes
    path: str

    @property
    def ids(self) -> list[str]:
        """The names of its records."""
        return [one["id"] for one in json.loads(self.body)]


Answer: TypeAlias = Callable[[Posted], Awaitable[web.StreamResponse] | web.StreamResponse]


def answer(status: int = 200, text: str = "", **headers: str) -> Answer:
    """Always the same, an underscore in a header's name standing for a hyphen; yes to the empty array at connect."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def give(posted: Posted) -> web.StreamResponse:
        return (
            web.Response(status=200) if posted.body == b"[]" else web.Response(status=status, text=text, headers=named)
        )

    return give


class Receiver:
    """What was posted to a server, and where it is."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.port = 0
        self.posts: list[Posted] = []
        self.connections: set[object] = set()

    @property
    def url(self) -> str:
        """Where it takes batches."""
        return f"{self.scheme}://{HOST}:{self.port}/reports?key=k-in-url"

    @property
    def batches(self) -> list[Posted]:
        """The posts that had records."""
        return [posted for posted in self.posts if posted.body != b"[]"]


@asynccontextmanager
async def receiving(give: Answer | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A real HTTP server that gives this answer; 200 without any."""
    receiver = Receiver("https" if tls else "http")
    give = give or answer()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        posted = Posted(request.headers, await request.read(), request.path)
        receiver.posts.append(posted)
        receiver.connections.add(request.transport)
        found = give(posted)
        return found if isinstance(found, web.StreamResponse) else await found

    server = web.Server(handle)
    runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


Behaviour: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class TcpServer(ThreadedServer):
    """Behaves like this on each connection."""

    def __init__(self, behave: Behaviour) -> None:
        super().__init__()
        self._behave = behave

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._behave(reader, writer)


# -- certificates --------------------------------------------------------------------------------


def valid_now() -> dict[str, Any]:
    """Options of a certificate that is valid by the real clock."""
    return {"not_before_s": time.time() - DAY_S, "not_after_s": time.time() + DAY_S}


def names_of_host(*names: str) -> dict[str, Any]:
    """Options of a server's certificate for loopback, or for other names."""
    own: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    return {"sans": [x509.DNSName(name) for name in names] or own}


def write_pem(path: Path, *issued: Issued, key: bool = False) -> Path:
    """A file of certificates, with the key of the first at its end where wanted."""
    text = b"".join(one.certificate.public_bytes(Encoding.PEM) for one in issued)
    if key:
        text += issued[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text)
    return path


def server_context(pem: Path, clients: Path | None = None) -> ssl.SSLContext:
    """A server's TLS; where `clients` is given, it lets in only who has a certificate of that CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
