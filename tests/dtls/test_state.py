"""State that outlives a restart: sealed, complete, and good for the very next record in both directions."""

from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AssociationClosed, DataReceived
from gateway.dtls.flight import RecordWriter
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import ReplayWindow
from gateway.dtls.state import FORMAT, _encode, open_state, seal_state
from gateway.dtls.suites import SUITES, CipherSuite
from gateway.dtls.wire import vector
from gateway.model import Principal

from .pair import CLIENT, SERVER, Pair, events_of
from .peers import PSK_CCM_8, certified_client, client_config, server_config

KEY = bytes(range(32))
SERVER_CONFIG = server_config(client_auth=ClientAuth.WANTED)


def association(number: int = 0, *, suite: CipherSuite = PSK_CCM_8, cid: bool = True) -> Association:
    own, peers = (number.to_bytes(8, "big"), b"peer") if cid else (b"", b"")

    def protection(filler: int, cid: bytes) -> RecordProtection:
        return RecordProtection(
            suite.aead, bytes([filler]) * suite.aead.key_bytes, bytes(suite.aead.fixed_iv_bytes), cid
        )

    window = ReplayWindow()
    window.mark(number)
    return Association(
        address=b"address %d" % number,
        suite=suite,
        principal=Principal("psk", f"device-{number}"),
        is_client=bool(number % 2),
        resumed=bool(number % 3),
        read=protection(1, own),
        window=window,
        writer=RecordWriter(most_content=512, protection=protection(2, peers), next_sequence=number + 5),
        last_flight=None,
        last_seen_s=100.0 - number,
        established_s=50.0 - number,
        session_tag=number.to_bytes(8, "big"),
    )


ADDED_LATER = bytes(8) + vector(1, bytes(8))
"""What the encoding of an association did not have at first: its age, and the tag of its session."""


def facts(one: Association) -> tuple[object, ...]:
    write = one.writer.protection
    assert write is not None
    return (
        one.address,
        one.suite,
        one.principal,
        one.is_client,
        one.resumed,
        (one.read.key, one.read.iv, one.read.cid),
        (write.key, write.iv, write.cid),
        one.window.state(),
        one.writer.next_sequence,
        one.writer.most_content,
        one.last_seen_s,
        one.established_s,
        one.session_tag,
    )


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
@pytest.mark.parametrize("cid", [True, False], ids=["CID", "no CID"])
def test_an_association_comes_back_as_it_was(suite: CipherSuite, cid: bool) -> None:
    for number in range(6):
        one = association(number, suite=suite, cid=cid)
        (again,) = open_state(seal_state([one], KEY, 100.0), KEY, 100.0)
        assert facts(again) == facts(one)
        assert again.last_flight is None


def test_a_new_window_comes_back_too() -> None:
    one = association()
    one.window = ReplayWindow()
    (again,) = open_state(seal_state([one], KEY, 0.0), KEY, 0.0)
    assert again.window.state() == (-1, 0)
    assert again.window.is_fresh(0)


def test_a_thousand_associations_come_back_in_their_order() -> None:
    ones = [association(number) for number in range(1000)]
    again = open_state(seal_state(ones, KEY, 100.0), KEY, 100.0)
    assert [facts(one) for one in again] == [facts(one) for one in ones]


def test_the_idle_clock_goes_on_under_another_clock() -> None:
    one = association()
    one.last_seen_s = 1000.0
    (again,) = open_state(seal_state([one], KEY, 1060.0), KEY, 5.0)
    assert again.last_seen_s == 5.0 - 60.0
    one.last_seen_s = 2000.0  # a clock that went backwards makes no one younger than new
    (again,) = open_state(seal_state([one], KEY, 1060.0), KEY, 5.0)
    assert again.last_seen_s == 5.0


def test_an_empty_state_is_a_state() -> None:
    assert open_state(seal_state([], KEY, 0.0), KEY, 0.0) == []


def test_a_state_tells_nothing() -> None:
    sealed = seal_state([association(1)], KEY, 0.0)
    assert b"device-1" not in sealed
    assert bytes([1]) * 16 not in sealed
    assert sealed != seal_state([association(1)], KEY, 0.0)


@cache
def sealed_pair() -> bytes:
    return seal_state([association(1), association(2)], KEY, 0.0)


@pytest.mark.parametrize("key", [bytes(32), KEY[:16], KEY[::-1], b"short", b""], ids=len)
def test_another_key_opens_nothing(key: bytes) -> None:
    with pytest.raises(DecodeError, match="another key"):
        open_state(sealed_pair(), key, 0.0)


def test_a_state_that_was_tampered_with_is_a_decode_error() -> None:
    sealed = sealed_pair()
    for at in range(len(sealed)):
        forged = bytearray(sealed)
        forged[at] ^= 1
        with pytest.raises(DecodeError):
            open_state(bytes(forged), KEY, 0.0)
    for length in range(len(sealed)):
        with pytest.raises(DecodeError):
            open_state(sealed[:length], KEY, 0.0)


def resealed(plain: bytes, format_name: bytes = FORMAT) -> bytes:
    return bytes(12) + AESGCM(KEY).encrypt(bytes(12), plain, format_name)


def test_a_state_of_another_format_is_a_decode_error() -> None:
    plain = vector(4, _encode(association(), 0.0))
    assert len(open_state(resealed(plain), KEY, 0.0)) == 1
    with pytest.raises(DecodeError):
        open_state(resealed(plain, b"gateway dtls state 2"), KEY, 0.0)


def test_an_authentic_state_that_is_malformed_is_a_decode_error() -> None:
    plain = _encode(association(), 0.0)
    for length in {*range(len(plain))} - {len(plain) - len(ADDED_LATER)}:
        with pytest.raises(DecodeError):
            open_state(resealed(vector(4, plain[:length])), KEY, 0.0)
    for malformed in (vector(4, plain + b"\0"), vector(4, b"\xff\xff" + plain[2:]), vector(4, plain)[:-1]):
        with pytest.raises(DecodeError):
            open_state(resealed(malformed), KEY, 0.0)


def test_a_state_of_before_there_were_ages_and_tags_is_taken() -> None:
    plain = _encode(association(3), 100.0)
    (again,) = open_state(resealed(vector(4, plain[: -len(ADDED_LATER)])), KEY, 100.0)
    assert again.last_seen_s == again.established_s == 97.0
    assert again.session_tag == b""


# -- between endpoints ---------------------------------------------------------------------------


def restart(pair: Pair, *, server: bool = True, client: bool = False) -> None:
    """Replace endpoints by new ones that know nothing but the old ones' state."""
    if server:
        state = pair.server.export_state(KEY, pair.now_s)
        pair.server = Endpoint(SERVER_CONFIG)
        assert pair.server.import_state(state, KEY, pair.now_s) == 1
    if client:
        state = pair.client.export_state(KEY, pair.now_s)
        pair.client = Endpoint(client_config())
        assert pair.client.import_state(state, KEY, pair.now_s) == 1


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
@pytest.mark.parametrize("cid", [None, 8], ids=["no CID", "CID"])
def test_both_sides_go_on_with_the_next_record_after_a_restart(suite: CipherSuite, cid: int | None) -> None:
    pair = Pair(certified_client(suite, connection_id_bytes=cid), SERVER_CONFIG).establish()
    pair.exchange()
    sequence, principal = pair.server_association.writer.next_sequence, pair.server_association.principal
    restart(pair)
    assert pair.server_association.writer.next_sequence == sequence
    assert pair.server_association.principal == principal
    pair.exchange()
    if cid == 8:  # which is what the new client has too
        restart(pair, server=False, client=True)
    pair.exchange()


def test_what_was_seen_before_a_restart_is_still_a_replay() -> None:
    pair = Pair(client_config(PSK_CCM_8), SERVER_CONFIG).establish()
    pair.client.send(pair.client_association, b"once")
    ((datagram, _),) = pair.take()
    pair.deliver(datagram, SERVER)
    restart(pair)
    pair.deliver(datagram, SERVER)
    assert pair.received()[1] == [b"once"]
    pair.exchange()


def test_a_client_with_a_connection_id_may_move_while_the_server_restarts() -> None:
    pair = Pair(client_config(PSK_CCM_8), SERVER_CONFIG).establish()
    restart(pair)
    pair.client.send(pair.client_association, b"from elsewhere")
    ((datagram, _),) = pair.take()
    pair.deliver(datagram, SERVER, source=b"elsewhere")
    assert pair.received()[1] == [b"from elsewhere"]
    assert pair.server_association.address == b"elsewhere"


def test_idle_time_before_a_restart_counts() -> None:
    config = replace(SERVER_CONFIG, idle_timeout_s=100.0)
    pair = Pair(client_config(PSK_CCM_8), config).establish()
    pair.now_s += 60
    state = pair.server.export_state(KEY, pair.now_s)
    server = Endpoint(config)
    server.import_state(state, KEY, 0.0)
    server.end_idle(39.0)
    assert len(server.associations()) == 1
    server.end_idle(41.0)
    assert not server.associations()
    event = server.next_event()
    assert isinstance(event, AssociationClosed)
    assert event.reason == "idle"


def test_a_state_that_can_not_be_opened_changes_nothing() -> None:
    pair = Pair(client_config(PSK_CCM_8), SERVER_CONFIG).establish()
    state = pair.server.export_state(KEY, 0.0)
    with pytest.raises(DecodeError):
        pair.server.import_state(state[:-1], KEY, 0.0)
    pair.exchange()


def test_no_more_is_imported_than_there_is_room_for_and_the_latest_first() -> None:
    state = seal_state([association(number) for number in range(10)], KEY, 0.0)
    endpoint = Endpoint(server_config(max_associations=3))
    assert endpoint.import_state(state, KEY, 0.0) == 3
    assert [one.address for one in endpoint.associations()] == [b"address 7", b"address 8", b"address 9"]


def test_data_under_way_during_the_restart_arrives() -> None:
    pair = Pair(client_config(PSK_CCM_8), SERVER_CONFIG).establish()
    pair.client.send(pair.client_association, b"under way")
    restart(pair)
    pair.run()
    assert [event.data for event in events_of(pair.server_events, DataReceived)] == [b"under way"]
    assert pair.server_association.address == CLIENT
