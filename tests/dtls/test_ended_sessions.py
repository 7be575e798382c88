"""A session that an operator has ended is resumed by nobody, whatever holds it; its client may begin another."""

from typing import Any

import pytest

from gateway.dtls.config import ClientAuth
from gateway.dtls.events import HandshakeFailed
from gateway.dtls.tickets import TicketKeys, session_tag

from .pair import CLIENT, SERVER, Pair, events_of
from .peers import PSK_CCM_8, certified_client, client_config, server_config

TICKETS = TicketKeys()
KEEPING: list[dict[str, Any]] = [{"tickets": TICKETS}, {"session_ids": 4}]
"""The two ways that a server has to know a session again."""


def pair(ended: set[bytes], **keeping: Any) -> Pair:
    return Pair(client_config(PSK_CCM_8), server_config(may_resume=lambda tag: tag not in ended, **keeping))


@pytest.mark.parametrize("keeping", KEEPING, ids=["ticket", "session ID"])
def test_all_that_come_of_one_full_handshake_have_one_tag_and_others_another(keeping: dict[str, Any]) -> None:
    it = pair(set(), **keeping).establish()
    first = it.server_association
    assert len(first.session_tag) == 8
    assert it.client_association.session_tag == first.session_tag
    it.establish(it.resumption)
    assert it.server_association.resumed
    assert it.server_association.session_tag == first.session_tag
    other = pair(set(), **keeping).establish()
    assert other.server_association.session_tag != first.session_tag


@pytest.mark.parametrize("keeping", KEEPING, ids=["ticket", "session ID"])
def test_an_ended_session_is_not_resumed_and_a_full_handshake_follows(keeping: dict[str, Any]) -> None:
    ended: set[bytes] = set()
    it = pair(ended, **keeping).establish()
    tag = it.server_association.session_tag
    ended.add(tag)
    it.server.close(it.server_association)
    it.run()
    it.establish(it.resumption)
    assert not it.server_association.resumed
    assert it.server_association.session_tag != tag
    it.exchange()


def test_a_certificates_session_is_ended_likewise() -> None:
    ended: set[bytes] = set()
    config = server_config(client_auth=ClientAuth.NEEDED, tickets=TICKETS, may_resume=lambda tag: tag not in ended)
    it = Pair(certified_client(), config).establish()
    ended.add(it.server_association.session_tag)
    it.establish(it.resumption)
    assert not it.server_association.resumed


def test_resuming_that_is_under_way_comes_to_nothing() -> None:
    it = pair(set(), tickets=TICKETS).establish()
    tag = it.server_association.session_tag
    it.connect(it.resumption)
    while not it.server.handshakes_under_way:  # to where the server has said that it resumes
        for data, destination in it.take():
            it.deliver(data, destination)
    it.server.give_up_resuming(b"another")
    assert it.server.handshakes_under_way == 1
    it.server.give_up_resuming(tag)
    assert it.server.handshakes_under_way == 0
    it.take()
    (failure,) = events_of(it.server_events, HandshakeFailed)
    assert failure.reason == "the session was ended while it was resumed"


def test_a_full_handshake_under_way_goes_on() -> None:
    it = pair(set(), tickets=TICKETS).establish()
    tag = it.server_association.session_tag
    it.connect()
    while not it.server.handshakes_under_way:
        for data, destination in it.take():
            it.deliver(data, destination)
    assert it.server.handshakes_under_way == 1
    it.server.give_up_resuming(tag)
    it.run()
    assert not it.failures
    assert {one.address for one in it.server.associations()} == {CLIENT}
    assert {one.address for one in it.client.associations()} == {SERVER}


def test_a_tag_gives_nothing_of_the_secret_away() -> None:
    secret = bytes(range(48))
    assert session_tag(secret) == session_tag(secret)
    assert session_tag(secret) != session_tag(secret[::-1])
    assert session_tag(secret) not in secret
