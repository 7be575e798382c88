"""What operators do with a listener's sessions, and what the listener tells of them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.dtls.events import AssociationClosed, HandshakeCompleted
from gateway.dtls.tickets import TICKET_LIFETIME_S
from gateway.listeners.dtls_policy import ENDED_SESSIONS, DtlsPolicy
from gateway.metrics import CERTIFICATE_EXPIRY, DTLS_HANDSHAKES_TOTAL, DTLS_SESSIONS_ENDED_TOTAL
from tests.dtls.certificates import authority, server
from tests.e2e.secure import validity, write_certificate

from .test_dtls import IDENTITY, Peer, serving
from .test_dtls_policy import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    made.add_psk(IDENTITY)
    yield made
    made.catalogue.close()


def test_sessions_are_listed_by_the_worker_that_has_them(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peers = [await Peer(served.ports[worker]).connect() for worker in (0, 1, 0)]
            lists = [listener.sessions.portion(search="", limit=10, after="") for listener in served.listeners]
            assert [len(one["items"]) for one in lists] == [2, 1]
            (one,) = lists[1]["items"]
            host, port = peers[1].socket.getsockname()
            assert (one["principal"], one["address"], one["worker"]) == (IDENTITY, f"{host}:{port}", 1)
            assert abs(one["established_ts"] - time.time() * 1000) < 5000
            for peer in peers:
                peer.socket.close()

    asyncio.run(check())


def test_a_session_that_is_ended_tells_its_peer_and_is_counted(store: Store) -> None:
    async def check() -> None:
        async with serving(store) as served:
            listener = served.listeners[0]
            peer = await Peer(served.ports[0]).connect()
            (one,) = listener.sessions.portion(search="", limit=10, after="")["items"]
            session = listener.sessions.find(one["id"])
            assert session is not None
            listener.end_session(session)
            assert listener.sessions.find(one["id"]) is None
            closed: AssociationClosed = await peer.wait_for(AssociationClosed)
            assert closed.reason == "closed by the peer"
            assert served.count(0, DTLS_SESSIONS_ENDED_TOTAL, "ended by an operator") == 1
            peer.socket.close()

    asyncio.run(check())


@pytest.mark.parametrize("worker", [0, 1])
def test_a_ticket_of_an_ended_session_is_good_at_no_worker(store: Store, worker: int) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = Peer(served.ports[0])
            peer.endpoint.connect(b"gateway", asyncio.get_running_loop().time())
            completed: HandshakeCompleted = await peer.wait_for(HandshakeCompleted)
            tag = completed.association.session_tag
            for listener in served.listeners:
                listener.refuse_resumption([(tag, time.time() + TICKET_LIFETIME_S)])
            peer.port = served.ports[worker]
            peer.endpoint.connect(b"gateway", asyncio.get_running_loop().time(), resumption=completed.resumption)
            again: HandshakeCompleted = await peer.wait_for(HandshakeCompleted)
            assert not again.association.resumed
            assert served.count(worker, DTLS_HANDSHAKES_TOTAL, "psk", "resumed") == 0
            peer.socket.close()

    asyncio.run(check())


def test_a_refusal_ends_with_the_tickets_and_their_number_is_bounded(store: Store) -> None:
    policy = store.policy()
    may_resume = policy.config.may_resume
    now_s = time.time()
    policy.refuse_resumption([(b"over", now_s - 1), (b"first", now_s + 60)])
    assert may_resume(b"over")
    assert not may_resume(b"first")
    policy.refuse_resumption((b"%d" % number, now_s + 60) for number in range(ENDED_SESSIONS - 1))
    assert not may_resume(b"first")
    policy.refuse_resumption([(b"last", now_s + 60)])
    assert may_resume(b"first")
    assert not may_resume(b"0")
    assert not may_resume(b"last")


def test_a_refusal_outlives_a_change_of_the_configuration(store: Store) -> None:
    policy = store.policy()
    policy.refuse_resumption([(b"tag", time.time() + 60)])
    store.trust(authority(**validity()))
    policy.follow_catalogue()
    assert not policy.config.may_resume(b"tag")


def test_the_expiry_of_the_chain_and_of_the_trusted_is_told_while_there_is_one(store: Store) -> None:
    async def check() -> None:
        early, late = authority("early", **validity(last_day=5)), authority("late", **validity(last_day=500))
        for one in (late, early):
            store.trust(one)
        async with serving(store) as served:
            listener = served.listeners[0]
            listener.look_after_sessions()
            now_s = time.time()
            assert served.count(0, CERTIFICATE_EXPIRY, "server") == pytest.approx(now_s + 365 * 86_400, abs=60)
            assert served.count(0, CERTIFICATE_EXPIRY, "trust") == pytest.approx(now_s + 5 * 86_400, abs=60)
            for one in (late, early):
                store.catalogue.credentials.remove_trusted(one.fingerprint)
            listener.follow_catalogue()
            listener.look_after_sessions()
            assert (CERTIFICATE_EXPIRY, "trust") not in served.metrics[0].snapshot()
            assert (CERTIFICATE_EXPIRY, "server") in served.metrics[0].snapshot()

    asyncio.run(check())


def test_of_a_chain_the_certificate_counts_that_expires_first(store: Store) -> None:
    issuer = authority(**validity(last_day=3))
    leaf = server("localhost", issuer=issuer, **validity(last_day=90))
    store.serve_as(leaf)
    alone = store.policy().certificates_expire["server"]
    write_certificate(store.folder / "coapserver.pem", leaf, issuer)
    policy: DtlsPolicy = store.policy()
    chained = policy.certificates_expire["server"]
    assert alone == pytest.approx(time.time() + 90 * 86_400, abs=60)
    assert chained == pytest.approx(time.time() + 3 * 86_400, abs=60)
    assert policy.certificates_expire["trust"] is None
