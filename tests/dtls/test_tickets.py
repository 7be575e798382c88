"""Tickets: sealed, bound to a secret and a time, and the same in every process that shares the secret."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.alerts import DecodeError
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.tickets import TICKET_LIFETIME_S, Session, TicketKeys, decode_principal, encode_principal
from gateway.model import Principal

from .peers import PSK_CCM_8

SECRET = bytes(range(32))
NOW_S = 20_000 * TICKET_LIFETIME_S + 1000.0
"""Shortly after a key's period began."""
PRINCIPAL = Principal("x509", "device-1", "CN=device-1", ("device-1.example", "urn:d:1"), "ab" * 32, "CN=Test CA")
SESSION = Session(PSK_CCM_8, bytes(range(48)), True, PRINCIPAL, int(NOW_S))

principals = st.none() | st.builds(
    Principal,
    st.sampled_from(["psk", "x509", "rpk"]),
    st.text(max_size=30),
    st.none() | st.text(max_size=30),
    st.lists(st.text(max_size=10), max_size=3).map(tuple),
    st.none() | st.text(max_size=10),
    st.none() | st.text(max_size=10),
)


@given(principals)
def test_a_principal_comes_back_as_it_was(principal: Principal | None) -> None:
    assert decode_principal(encode_principal(principal)) == principal


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"1", b'{"kind": "psk"}', b'{"kind": "psk", "name": "a", "x": 1}', b"\xff"]
)
def test_a_malformed_principal_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="principal"):
        decode_principal(data)


@given(st.sampled_from(list(SUITES.values())), st.booleans(), principals, st.integers(0, 1 << 40))
def test_a_session_comes_back_as_it_was(
    suite: CipherSuite, extended: bool, principal: Principal | None, created_s: int
) -> None:
    session = Session(suite, bytes(range(48)), extended, principal, created_s)
    assert Session.decode(session.encode()) == session


def test_a_session_that_is_cut_is_a_decode_error() -> None:
    data = SESSION.encode()
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            Session.decode(data[:length])
    with pytest.raises(DecodeError):
        Session.decode(data + b"\0")


def test_a_session_of_a_suite_that_is_gone_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="unknown suite"):
        Session.decode(b"\xff\xff" + SESSION.encode()[2:])


def test_the_master_secret_is_in_no_repr() -> None:
    assert repr(SESSION.master_secret)[2:20] not in repr(SESSION)


def test_a_ticket_gives_its_session() -> None:
    keys = TicketKeys()
    assert keys.open(keys.seal(SESSION, NOW_S), NOW_S + 5) == SESSION


def test_a_ticket_tells_nothing_and_is_never_the_same() -> None:
    keys = TicketKeys(SECRET)
    first, second = keys.seal(SESSION, NOW_S), keys.seal(SESSION, NOW_S)
    assert first != second
    assert SESSION.master_secret[:8] not in first
    assert b"device-1" not in first


def test_a_ticket_that_was_tampered_with_gives_nothing() -> None:
    keys = TicketKeys(SECRET)
    ticket = keys.seal(SESSION, NOW_S)
    for at in range(len(ticket)):
        forged = bytearray(ticket)
        forged[at] ^= 1
        assert keys.open(bytes(forged), NOW_S) is None, f"byte {at}"
    for length in range(len(ticket)):
        assert keys.open(ticket[:length], NOW_S) is None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_ticket(data: bytes) -> None:
    assert TicketKeys(SECRET).open(data, NOW_S) is None
    period = (int(NOW_S) // TICKET_LIFETIME_S).to_bytes(4, "big")
    assert TicketKeys(SECRET).open(period + data, NOW_S) is None


def test_an_authentic_ticket_of_another_form_gives_nothing() -> None:
    keys = TicketKeys(SECRET)
    name, nonce = (int(NOW_S) // TICKET_LIFETIME_S).to_bytes(4, "big"), bytes(12)
    sealed = keys._key(name).encrypt(nonce, b"\xff\xff" + SESSION.encode()[2:], name)
    assert keys.open(name + nonce + sealed, NOW_S) is None


def test_another_secret_opens_nothing() -> None:
    assert TicketKeys().open(TicketKeys().seal(SESSION, NOW_S), NOW_S) is None
    assert TicketKeys(SECRET).open(TicketKeys(SECRET[::-1]).seal(SESSION, NOW_S), NOW_S) is None


@pytest.mark.parametrize(
    ("age_s", "opens"),
    [(0, True), (TICKET_LIFETIME_S - 1, True), (TICKET_LIFETIME_S, False), (2 * TICKET_LIFETIME_S, False), (-1, False)],
)
def test_a_ticket_holds_for_a_day_also_across_the_change_of_keys(age_s: float, opens: bool) -> None:
    keys = TicketKeys(SECRET)
    assert (keys.open(keys.seal(SESSION, NOW_S), NOW_S + age_s) == SESSION) is opens


def test_resuming_does_not_renew_a_session() -> None:
    """A ticket that is sealed later for the same session ends with the session."""
    keys = TicketKeys(SECRET)
    later = keys.seal(SESSION, NOW_S + TICKET_LIFETIME_S - 10)
    assert keys.open(later, NOW_S + TICKET_LIFETIME_S - 1) == SESSION
    assert keys.open(later, NOW_S + TICKET_LIFETIME_S) is None


def test_keys_rotate_each_day() -> None:
    keys = TicketKeys(SECRET)
    old = keys.seal(replace(SESSION, created_s=int(NOW_S + 2 * TICKET_LIFETIME_S)), NOW_S)
    assert keys.open(old, NOW_S + 2 * TICKET_LIFETIME_S) is None  # by its key, whatever the session says
    assert keys.seal(SESSION, NOW_S)[:4] != keys.seal(SESSION, NOW_S + TICKET_LIFETIME_S)[:4]


def test_keys_of_the_past_are_not_kept() -> None:
    keys = TicketKeys(SECRET)
    for day in range(5):
        now_s = NOW_S + day * TICKET_LIFETIME_S
        session = replace(SESSION, created_s=int(now_s))
        assert keys.open(keys.seal(session, now_s), now_s) == session
        assert len(keys._keys) <= 2


def test_every_process_with_the_secret_opens_every_others_tickets() -> None:
    code = f"""
from gateway.dtls.tickets import Session, TicketKeys
from gateway.dtls.suites import BY_NAME
from gateway.model import Principal
session = Session(BY_NAME["PSK_WITH_AES_128_CCM_8"], bytes(48), True, Principal("psk", "other"), {int(NOW_S)})
print(TicketKeys(bytes(range(32))).seal(session, {NOW_S}).hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    session = TicketKeys(SECRET).open(bytes.fromhex(done.stdout), NOW_S + 1)
    assert session == Session(BY_NAME["PSK_WITH_AES_128_CCM_8"], bytes(48), True, Principal("psk", "other"), int(NOW_S))
