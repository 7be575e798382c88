"""A DTLS session of a client, on real sockets: the engine as server, and servers that follow a script."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from gateway.credentials.explanations import Speaker, Stake
from gateway.dtls.codes import AlertDescription
from gateway.dtls.config import ClientAuth
from gateway.dtls.events import AssociationClosed, HandshakeCompleted
from gateway.dtls.tickets import TicketKeys
from gateway.errors import UnavailableError
from gateway.listeners import dtls_client
from gateway.listeners.dtls_client import DtlsClient
from tests.interop.credentials import SERVER_NAME, Credentials, make_credentials
from tests.interop.loop import HOST, PATIENCE_S, serving
from tests.ports import free_port

from .dtls_rig import alert, cookie, failure_of, scripted

T = TypeVar("T")


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("credentials"))


def in_session(port: int, config: object, use: Callable[[DtlsClient], Awaitable[T]], **options: object) -> T:
    """What comes of using a session, which is closed behind it."""

    async def run() -> T:
        client = await DtlsClient.connect(HOST, port, config, timeout_s=PATIENCE_S, **options)  # type: ignore[arg-type]
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def echoed(client: DtlsClient, data: bytes = b"\xff hello") -> bytes:
    """What the server answers."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.on_data = answer.set_result
    client.send(data)
    return await asyncio.wait_for(answer, PATIENCE_S)


def test_data_goes_both_ways_and_the_server_is_told_of_the_end(credentials: Credentials) -> None:
    with serving(credentials.server()) as server:
        assert in_session(server.port, credentials.client(), echoed) == b"echo: \xff hello"
        assert server.wait_for(AssociationClosed).reason == "closed by the peer"


def test_it_tells_what_was_presented_and_how_long_it_took(credentials: Credentials) -> None:
    async def look(client: DtlsClient) -> tuple[tuple[bytes, ...], str, bool, int]:
        assert client.server_certificate is not None
        subject = client.server_certificate.subject.rfc4514_string()
        assert 0 < client.handshake_s < PATIENCE_S
        return client.presented, subject, client.witness.asks_for_certificate, client.most_bytes

    with serving(credentials.server(key="p256", client_auth=ClientAuth.WANTED)) as server:
        presented, subject, asked, most = in_session(server.port, credentials.client(key="p256"), look)
    assert presented == credentials.servers["p256"].chain
    assert (subject, asked, most) == (f"CN={SERVER_NAME}", True, 1 << 14)


def test_a_session_is_resumed_though_it_was_closed(credentials: Credentials) -> None:
    async def keep(client: DtlsClient) -> object:
        return client.resumption

    async def is_resumed(client: DtlsClient) -> bool:
        assert client.association is not None
        return client.association.resumed and client.presented == () and client.server_certificate is None

    for settings in ({"tickets": TicketKeys()}, {"session_ids": 4}):
        with serving(credentials.server(**settings)) as server:
            resumption = in_session(server.port, credentials.client(), keep)
            assert in_session(server.port, credentials.client(), is_resumed, resumption=resumption)


def test_a_lost_datagram_costs_a_second_and_no_more(credentials: Credentials) -> None:
    lost: list[bytes] = []

    def forward(data: bytes) -> list[bytes]:
        if not lost:
            lost.append(data)
            return []
        upstream.send(data)
        return _received(upstream)

    with (
        serving(credentials.server()) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream,
        scripted(forward) as port,
    ):
        upstream.connect((HOST, server.port))
        upstream.settimeout(0.2)
        config = credentials.client(retransmission_timeout_s=0.05)
        assert in_session(port, config, echoed) == b"echo: \xff hello"


def _received(sock: socket.socket) -> list[bytes]:
    datagrams = []
    try:
        while True:
            datagrams.append(sock.recv(65536))
            sock.settimeout(0.02)
    except TimeoutError:
        sock.settimeout(0.2)
        return datagrams


def test_the_end_of_a_session_is_told(credentials: Credentials) -> None:
    with serving(credentials.server()) as server:

        async def wait(client: DtlsClient) -> str:
            ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            client.on_end = ended.set_result
            server.hang_up(server.wait_for(HandshakeCompleted).association)
            assert not client.ended_by_server
            reason = await asyncio.wait_for(ended, PATIENCE_S)
            assert client.ended_by_server
            client.send(b"into the void")
            return reason

        assert in_session(server.port, credentials.client(), wait) == "closed by the peer"


def test_a_silent_server_is_waited_for_until_the_time_is_over(credentials: Credentials) -> None:
    with scripted(lambda hello: [cookie(hello)]) as port:
        begun_s = time.monotonic()
        error = failure_of(port, credentials.client(), timeout_s=0.3)
    assert 0.3 <= time.monotonic() - begun_s < PATIENCE_S
    assert error.failure.speaker is Speaker.NOBODY
    assert error.message.startswith(f"the DTLS handshake with {HOST}:{port} failed: no end within 0.3 s\n")


def test_a_closed_port_is_told_at_once(credentials: Credentials) -> None:
    error = failure_of(free_port(), credentials.client())
    assert (error.failure.speaker, error.failure.reason) == (Speaker.SYSTEM, "Connection refused")
    assert "COAP_SECURITY_MODE=MIXED" in error.hint


def test_where_one_address_of_a_name_is_refused_the_next_is_tried(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(self: object, host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, port)) for address in ("127.0.0.2", HOST)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    with serving(credentials.server()) as server:
        assert in_session(server.port, credentials.client(), echoed) == b"echo: \xff hello"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64, "a..b", "\udcff"])
def test_a_name_that_leads_nowhere_is_told(credentials: Credentials, host: str) -> None:
    with pytest.raises(UnavailableError, match="can't be found"):
        asyncio.run(DtlsClient.connect(host, 5684, credentials.client(), timeout_s=PATIENCE_S))


def test_an_alert_in_the_clear_is_believed_after_a_while(credentials: Credentials) -> None:
    with scripted(lambda hello: [alert(AlertDescription.ACCESS_DENIED)]) as port:
        begun_s = time.monotonic()
        error = failure_of(port, credentials.client())
    assert dtls_client.ALERT_PATIENCE_S <= time.monotonic() - begun_s < PATIENCE_S
    assert error.failure.alert == AlertDescription.ACCESS_DENIED
    assert "in the clear" in error.message


def test_a_forged_alert_does_not_end_a_handshake(credentials: Credentials) -> None:
    def forge_and_forward(data: bytes) -> list[bytes]:
        upstream.send(data)
        return [alert(AlertDescription.HANDSHAKE_FAILURE), *_received(upstream)]

    with (
        serving(credentials.server()) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream,
        scripted(forge_and_forward) as port,
    ):
        upstream.connect((HOST, server.port))
        upstream.settimeout(0.2)
        assert in_session(port, credentials.client(), echoed) == b"echo: \xff hello"


def test_what_is_at_stake_is_known(credentials: Credentials) -> None:
    for config, stake in (
        (credentials.client("PSK_WITH_AES_128_CCM_8"), Stake.PSK),
        (replace(credentials.client(), client_psk=None), Stake.SERVER_CERTIFICATE),
    ):
        with scripted(lambda hello: []) as port:
            assert failure_of(port, config, timeout_s=0.1).failure.stake is stake


def test_giving_up_closes_the_socket(credentials: Credentials) -> None:
    async def give_up(port: int) -> None:
        connecting = asyncio.create_task(DtlsClient.connect(HOST, port, credentials.client(), timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        await asyncio.wait([connecting], timeout=0.1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    with scripted(lambda hello: []) as port:
        asyncio.run(give_up(port))  # an open socket would warn
