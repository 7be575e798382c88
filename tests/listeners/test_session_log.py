"""What the log says of sessions, and how much."""

import logging
from dataclasses import replace

import pytest

from gateway.dtls.codes import AlertDescription
from gateway.dtls.events import (
    AddressChanged,
    AssociationClosed,
    HandshakeCompleted,
    HandshakeFailed,
    HandshakeHint,
    HostLockedOut,
)
from gateway.listeners.session_log import SessionLog, describe
from gateway.log_folding import LINES_PER_SECOND
from gateway.model import Principal
from tests.dtls.pair import Pair
from tests.dtls.peers import PSK_CCM_8, client_config, server_config

FAILED = HandshakeFailed(b"a", AlertDescription.DECRYPT_ERROR, "the keys differ")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> SessionLog:
    caplog.set_level(logging.INFO)
    return SessionLog(lambda address: f"host-{address.decode()}", lambda principal: principal.name == "known")


def test_each_event_is_a_line_with_who_and_where(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    association = Pair(client_config(PSK_CCM_8), server_config()).establish().server_association
    association.address = b"b"
    log.completed(HandshakeCompleted(association), 1.0)
    log.failed(FAILED, 1.0)
    log.failed(HandshakeFailed(b"a", None, "the peer does not answer"), 1.0)
    log.closed(AssociationClosed(association, "idle"), 1.0)
    assert caplog.messages == [
        f"psk 'device-1' has a session from host-b: PSK_WITH_AES_128_CCM_8, connection ID {association.cid.hex()}",
        "handshake with host-a failed: decrypt_error: the keys differ",
        "handshake with host-a failed: no answer: the peer does not answer",
        "the session of psk 'device-1' from host-b ended: idle",
    ]


@pytest.mark.parametrize(("events", "lines"), [(LINES_PER_SECOND, 20), (LINES_PER_SECOND + 1, 20), (1000, 20)])
def test_no_more_than_so_many_lines_in_a_second(
    log: SessionLog, caplog: pytest.LogCaptureFixture, events: int, lines: int
) -> None:
    for _ in range(events):
        log.failed(FAILED, 7.5)
    assert len(caplog.messages) == lines


def test_how_many_were_left_out_is_said_afterwards(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(LINES_PER_SECOND + 7):
        log.failed(FAILED, 7.5)
    log.catch_up(7.9)
    log.catch_up(8.0)
    log.catch_up(8.1)
    log.failed(FAILED, 8.2)
    assert caplog.messages[LINES_PER_SECOND:] == [
        "… and 7 more lines about sessions",
        "handshake with host-a failed: decrypt_error: the keys differ",
    ]


def test_a_name_is_quoted_so_that_it_can_not_pass_for_more() -> None:
    assert describe(Principal("psk", "a' has a session")) == 'psk "a\' has a session"'
    assert describe(None) == "a client without identity"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("known", "psk 'known': the keys differ"),
        ("unknown", "psk 'unknown': there is no such identity (gateway psk add); the keys differ"),
    ],
)
def test_the_log_tells_a_wrong_key_from_an_unknown_identity(
    log: SessionLog, caplog: pytest.LogCaptureFixture, name: str, said: str
) -> None:
    log.failed(replace(FAILED, claimed=Principal("psk", name)), 1.0)
    assert caplog.messages == [f"handshake with host-a failed: decrypt_error: {said}"]


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (AlertDescription.UNKNOWN_CA, "unknown_ca (not authentic): has it the CA of the server's certificate?"),
        (AlertDescription.INTERNAL_ERROR, "internal_error (not authentic)"),
        (None, "of an unknown number (not authentic)"),
    ],
)
def test_what_a_client_complains_of_is_said_with_what_it_is_worth(
    log: SessionLog, caplog: pytest.LogCaptureFixture, alert: AlertDescription | None, said: str
) -> None:
    log.hinted(HandshakeHint(b"a", alert), 1.0)
    assert caplog.messages == [f"the client at host-a sent alert {said}"]


def test_a_lock_out_is_said(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    log.locked_out(HostLockedOut(b"a", 60.0), 1.0)
    assert caplog.messages == ["too many handshakes failed: those of host-a's host are ignored for 60 s"]


def test_a_session_that_moves_is_followed(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    association = Pair(client_config(PSK_CCM_8), server_config()).establish().server_association
    log.moved(AddressChanged(association, b"a", b"b"), 1.0)
    assert caplog.messages == ["the session of psk 'device-1' goes on from host-b, before that from host-a"]


def test_a_device_is_found_by_its_address_and_its_principal(log: SessionLog, caplog: pytest.LogCaptureFixture) -> None:
    association = Pair(client_config(PSK_CCM_8), server_config()).establish().server_association
    association.address = b"a"
    log.completed(HandshakeCompleted(association), 1.0)
    log.moved(AddressChanged(association, b"a", b"b"), 1.0)
    association.address = b"b"
    log.closed(AssociationClosed(association, "idle"), 1.0)
    log.failed(replace(FAILED, claimed=Principal("psk", "gw-7")), 1.0)
    log.hinted(HandshakeHint(b"c", AlertDescription.UNKNOWN_CA), 1.0)
    log.locked_out(HostLockedOut(b"c", 60.0), 1.0)
    assert [getattr(record, "fields", None) for record in caplog.records] == [
        {"peer": "host-a", "principal": "device-1"},
        {"peer": "host-b", "principal": "device-1"},
        {"peer": "host-b", "principal": "device-1"},
        {"peer": "host-a", "claimed": "gw-7"},  # nothing has shown that it is
        {"peer": "host-c"},
        {"peer": "host-c"},
    ]
