"""The DTLS listener with the real endpoints behind it, given anything: before a handshake, and within a session."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Code
from tests.listeners.test_dtls import IDENTITY, Peer, serving
from tests.listeners.test_dtls_policy import Store

from .datagrams import datagrams

RECORD_HEADS = [bytes((kind, 0xFE, 0xFD, 0, epoch)) for kind in (20, 21, 22, 23, 25) for epoch in (0, 1)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    made.add_psk(IDENTITY)
    yield made
    made.catalogue.close()


def raw() -> st.SearchStrategy[bytes]:
    """What a stranger may send: junk, and what begins as a record does."""
    beginning = st.builds(lambda head, rest: head + rest, st.sampled_from(RECORD_HEADS), st.binary(max_size=80))
    return st.one_of(st.binary(max_size=100), beginning)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), raw(), datagrams), max_size=30))
def test_whatever_comes_a_session_is_served_and_nothing_is_raised(
    store: Store, caplog: pytest.LogCaptureFixture, coming: list[tuple[bool, bytes, bytes]]
) -> None:
    async def check() -> None:
        async with serving(store) as served:
            peer = await Peer(served.ports[0]).connect()
            (association,) = peer.endpoint.associations()
            for inside, junk, message in coming:
                if inside:
                    peer.endpoint.send(association, message[:1024])
                    peer.flush()
                else:
                    peer.socket.sendto(junk, ("127.0.0.1", served.ports[0]))
            answer = await peer.request(40_000)
            while answer[2:4] != (40_000).to_bytes(2, "big"):  # those to what came before
                answer = await peer.request(40_000)
            assert answer[1] == Code.CREATED
            assert len(served.listeners[0]._associations) == 1
            peer.socket.close()

    caplog.clear()
    asyncio.run(check())
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
