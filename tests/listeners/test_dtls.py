"""The listener for `coaps://`, from socket to socket: two workers' listeners side by side, and a device."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.coap.endpoint import Handler, Ticket
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, HandshakeCompleted
from gateway.listeners.batch_socket import bind_group
from gateway.listeners.dtls import DtlsListener
from gateway.listeners.dtls_policy import DtlsPolicy
from gateway.listeners.relay import relay_pair
from gateway.listeners.session_files import Position, SessionFiles
from gateway.metrics import (
    DATAGRAMS_DROPPED_TOTAL,
    DTLS_ADDRESS_CHANGES_TOTAL,
    DTLS_DROPPED_TOTAL,
    DTLS_HANDSHAKE_FAILURES_TOTAL,
    DTLS_HANDSHAKES_TOTAL,
    DTLS_HANDSHAKES_UNDER_WAY,
    DTLS_RELAYED_TOTAL,
    DTLS_SESSIONS,
    DTLS_SESSIONS_ENDED_TOTAL,
    DTLS_SESSIONS_RESTORED_TOTAL,
    Metrics,
)
from gateway.model import Code, Outcome, Principal, Request
from tests.e2e.dtls_device import psk_config

from .test_dtls_policy import KEY, Store

PATIENCE_S = 5.0
CREATED = Outcome(Code.CREATED)
IDENTITY = "sensor-1"


class Served:
    """Two workers' listeners on ports of their own (so that a test says who gets what), with a handler that tells who
    asked, and a client that can be anywhere.
    """

    def __init__(self, store: Store, **settings: Any) -> None:
        self.settings = store.settings(**settings)
        self.store = store
        self.metrics = [Metrics(), Metrics()]
        self.principals: list[Principal | None] = []
        self.tickets: list[Ticket] = []
        self.later = False
        pairs = [relay_pair() for _ in range(2)]
        self.listeners = []
        self.ports = []
        for worker in range(2):
            (bound,) = bind_group("127.0.0.1", 0, 1)
            self.ports.append(int(bound.getsockname()[1]))
            self.listeners.append(
                DtlsListener(
                    bound,
                    self.settings,
                    policy=DtlsPolicy(self.settings, store.catalogue, store.key_file, shard=worker, shards=2),
                    relay_ends=(pairs[worker][1], [end.dup() for end, _ in pairs]),
                    position=Position(worker, 2),
                    resolve=self._resolve,
                    endpoints=lambda: [("i", f"key-{number:03}") for number in range(60)],
                    metrics=self.metrics[worker],
                )
            )
        for end, _ in pairs:
            end.close()
        self.files = SessionFiles(store.folder, store.key_file, listener="test")

    def _resolve(self, request: Request) -> Handler:
        def handle(payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
            self.principals.append(request.principal)
            self.tickets.append(ticket)
            return None if self.later else CREATED

        return handle

    def count(self, worker: int, name: str, *labels: str) -> float:
        return self.metrics[worker].snapshot().get((name, *labels), 0)


@asynccontextmanager
async def serving(store: Store, **settings: Any) -> AsyncIterator[Served]:
    served = Served(store, **settings)
    for listener in served.listeners:
        listener.start()
    try:
        yield served
    finally:
        for listener in served.listeners:
            await listener.close()


class Peer:
    """A device in the test's own loop. It sends to the port that it is told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = Endpoint(psk_config(IDENTITY, KEY.decode()))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))

    async def connect(self) -> "Peer":
        self.endpoint.connect(b"gateway", asyncio.get_running_loop().time())
        await self.wait_for(HandshakeCompleted)
        return self

    async def request(self, mid: int, path: str = "i/key", *, code: int = Code.POST, payload: bytes = b"{}") -> bytes:
        self.send(mid, path, code=code, payload=payload)
        answer: DataReceived = await self.wait_for(DataReceived)
        return answer.data

    def send(self, mid: int, path: str = "i/key", *, code: int = Code.POST, payload: bytes = b"{}") -> None:
        options = [(OptionNumber.URI_PATH, part.encode()) for part in path.split("/")]
        (association,) = self.endpoint.associations()
        self.endpoint.send(association, encode_message(Type.CON, code, mid, b"t", options, payload))
        self.flush()

    def flush(self) -> None:
        for data, _ in self.endpoint.datagrams_to_send():
            self.socket.sendto(data, ("127.0.0.1", self.port))

    async def wait_for(self, kind: type[Any]) -> Any:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self.flush()
                while (event := self.endpoint.next_event()) is not None:
                    if isinstance(event, kind):
                        self.flush()
                        return event
                data, _ = await loop.sock_recvfrom(self.socket, 65536)
                self.endpoint.receive_datagram(data, b"gateway", loop.time(), 1.8e9)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    made.add_psk(IDENTITY)
    yield made
    made.catalogue.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_request_is_answered_and_its_principal_known(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            for mid in range(3):
                assert await peer.request(mid) == bytes((0x61, Code.CREATED, 0, mid)) + b"t"
            assert [one.name if one else None for one in served.principals] == [IDENTITY] * 3
            assert served.count(0, DTLS_HANDSHAKES_TOTAL, "psk", "full") == 1
            served.listeners[0].look_after_sessions()
            assert served.count(0, DTLS_SESSIONS) == 1
            assert served.count(0, DTLS_HANDSHAKES_UNDER_WAY) == 0
            peer.socket.close()

    asyncio.run(check())


def test_a_record_that_reaches_another_worker_is_answered_by_its_own_and_a_duplicate_is_one(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            answer = await peer.request(7)
            peer.port = served.ports[1]  # as where the kernel gives it to the other worker
            assert await peer.request(8) == bytes((0x61, Code.CREATED, 0, 8)) + b"t"
            assert await peer.request(7) == answer
            assert len(served.principals) == 2
            assert served.count(1, DTLS_RELAYED_TOTAL, "handed over") == 2
            peer.socket.close()

    asyncio.run(check())


def test_what_waits_for_its_answer_when_the_address_changes_is_answered_at_the_new_one(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            served.later = True
            peer.send(1)
            await until(lambda: served.tickets)
            peer.socket.close()
            peer.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.socket.setblocking(False)
            peer.socket.bind(("127.0.0.1", 0))
            peer.send(2)
            await until(lambda: len(served.tickets) == 2)
            assert served.count(0, DTLS_ADDRESS_CHANGES_TOTAL) == 1
            served.tickets[0].complete(CREATED)
            answer = parse_message((await peer.wait_for(DataReceived)).data)
            assert (answer.code, answer.mid) == (Code.CREATED, 1)
            peer.socket.close()

    asyncio.run(check())


def test_an_answer_for_a_session_that_has_ended_is_dropped_and_counted(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            served.later = True
            peer.send(1)
            await until(lambda: served.tickets)
            (association,) = peer.endpoint.associations()
            peer.endpoint.close(association)
            peer.flush()
            await until(lambda: served.count(0, DTLS_SESSIONS_ENDED_TOTAL, "closed by the peer"))
            served.tickets[0].complete(CREATED)
            await until(lambda: served.count(0, DATAGRAMS_DROPPED_TOTAL, "the session has ended"))
            peer.socket.close()

    asyncio.run(check())


@pytest.mark.parametrize("size", [512, 1024])
def test_discovery_comes_in_blocks_that_fit_the_record_size(store: Store, size: int) -> None:
    async def check() -> None:
        async with serving(store, coap_dtls_max_fragment_length=size) as served:
            peer = await Peer(served.ports[0]).connect()
            answer = parse_message(await peer.request(1, ".well-known/core", code=Code.GET, payload=b""))
            assert answer.code == Code.CONTENT
            assert len(answer.payload) == size // 2
            peer.socket.close()

    asyncio.run(check())


def test_a_key_that_is_removed_ends_its_sessions_and_counts_for_new_ones_at_once(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            store.catalogue.credentials.remove_psk(IDENTITY)
            served.listeners[0].follow_catalogue()
            assert served.count(0, DTLS_SESSIONS_ENDED_TOTAL, "its credential is no longer trusted") == 1
            peer.socket.close()

    asyncio.run(check())


def test_sessions_are_kept_over_a_restart_and_used_once(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            await peer.request(1)
        served.listeners[0].save_sessions(served.files)
        served.listeners[1].save_sessions(served.files)  # has none, and leaves none
        assert len(list(store.folder.glob("sessions-*"))) == 1
        async with serving(store) as again:
            for listener in again.listeners:
                listener.restore_sessions(again.files)
            assert again.count(0, DTLS_SESSIONS_RESTORED_TOTAL) == 1
            peer.port = again.ports[0]
            assert await peer.request(2) == bytes((0x61, Code.CREATED, 0, 2)) + b"t"
            again.listeners[1].restore_sessions(again.files)
            assert again.count(1, DTLS_SESSIONS_RESTORED_TOTAL) == 0
        peer.socket.close()

    asyncio.run(check())


@pytest.mark.parametrize(("idle_ms", "kept"), [(60_000, True), (1, False)])
def test_a_session_that_was_silent_for_too_long_meanwhile_does_not_go_on(
    store: Store, idle_ms: int, kept: bool
) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
        served.listeners[0].save_sessions(served.files)
        await asyncio.sleep(0.01)
        async with serving(store, tb_coap_x509_dtls_session_inactivity_timeout=idle_ms) as again:
            again.listeners[0].restore_sessions(again.files)
            assert (again.count(0, DTLS_SESSIONS_ENDED_TOTAL, "idle") == 0) is kept
        peer.socket.close()

    asyncio.run(check())


def test_a_damaged_state_is_an_error_in_the_log_and_no_more(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        (store.folder / "sessions-0-of-2.state").write_bytes(bytes(50))
        async with serving(store) as served:
            served.listeners[0].restore_sessions(served.files)
            assert "devices have to begin new ones" in caplog.text
            peer = await Peer(served.ports[0]).connect()
            assert await peer.request(1)
            peer.socket.close()

    asyncio.run(check())


def test_idle_sessions_end_when_it_is_time_to_look(store: Store) -> None:
    async def check() -> None:
        timing = {
            "tb_coap_x509_dtls_session_inactivity_timeout": 50,
            "tb_coap_x509_dtls_session_report_timeout": 10,
        }
        async with serving(store, **timing) as served:
            peer = await Peer(served.ports[0]).connect()

            def ended() -> float:
                served.listeners[0].look_after_sessions()
                return served.count(0, DTLS_SESSIONS_ENDED_TOTAL, "idle")

            await until(ended)
            peer.socket.close()

    asyncio.run(check())


def test_junk_is_counted_and_a_handshake_that_fails_too(store: Store) -> None:
    async def check() -> None:
        async with serving(store, coap_dtls_retransmission_timeout_ms=10) as served:
            peer = Peer(served.ports[0])
            for junk in (b"", b"\x16", bytes(500), b"\x17\xfe\xfd" + bytes(10)):
                peer.socket.sendto(junk, ("127.0.0.1", served.ports[0]))
            peer.endpoint = Endpoint(psk_config("unknown", KEY.decode(), retransmission_timeout_s=0.01))
            peer.endpoint.connect(b"gateway", asyncio.get_running_loop().time())

            def failed() -> bool:
                served.listeners[0].look_after_sessions()
                return bool(
                    served.count(0, DTLS_HANDSHAKE_FAILURES_TOTAL, "decrypt_error")
                    and served.count(0, DTLS_DROPPED_TOTAL, "malformed")
                )

            task = asyncio.create_task(peer.wait_for(DataReceived))
            await until(failed)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            peer.socket.close()

    asyncio.run(check())


def test_what_came_ahead_of_the_end_of_its_session_has_its_principal_still(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            (association,) = peer.endpoint.associations()
            options = [(OptionNumber.URI_PATH, b"i"), (OptionNumber.URI_PATH, b"key")]
            peer.endpoint.send(association, encode_message(Type.NON, Code.POST, 1, b"t", options, b"{}"))
            peer.endpoint.close(association)
            datagrams = b"".join(data for data, _ in peer.endpoint.datagrams_to_send())
            peer.socket.sendto(datagrams, ("127.0.0.1", served.ports[0]))  # one batch, as under load
            await until(lambda: served.count(0, DTLS_SESSIONS_ENDED_TOTAL, "closed by the peer"))
            assert [one.name if one else None for one in served.principals] == [IDENTITY]
            assert served.count(0, DATAGRAMS_DROPPED_TOTAL, "the session has ended") == 1
            peer.socket.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, True),
        ({"gateway_dtls_cipher_suites": "PSK_WITH_AES_128_CCM_8"}, True),
        ({"gateway_dtls_cipher_suites": "PSK_WITH_AES_128_GCM_SHA256"}, False),
    ],
)
def test_a_session_of_before_goes_on_only_where_it_would_come_about_today(
    store: Store, settings: dict[str, Any], kept: bool
) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
        served.listeners[0].save_sessions(served.files)
        async with serving(store, **settings) as again:
            again.listeners[0].restore_sessions(again.files)
            again.listeners[0].look_after_sessions()
            assert again.count(0, DTLS_SESSIONS) == kept
        peer.socket.close()

    asyncio.run(check())
