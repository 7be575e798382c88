"""Records: cutting datagrams, headers, and the replay window's bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.record import (
    HEADER_BYTES,
    MAX_FRAGMENT_BYTES,
    MAX_SEQUENCE,
    REPLAY_WINDOW,
    Record,
    ReplayWindow,
    record_header,
    records_of,
)

DTLS_1_2 = 0xFEFD


def wire(content_type: int, epoch: int, sequence: int, fragment: bytes, cid: bytes = b"") -> bytes:
    return record_header(content_type, epoch, sequence, len(fragment), cid=cid) + fragment


def test_a_header_is_as_rfc_6347_4_1_has_it() -> None:
    assert record_header(22, 0x0102, 0x030405060708, 0x090A) == bytes.fromhex("16 fefd 0102 030405060708 090a")


def test_a_header_with_a_connection_id_is_as_rfc_9146_4_has_it() -> None:
    assert record_header(25, 1, 2, 3, cid=b"CID") == bytes.fromhex("19 fefd 0001 000000000002") + b"CID" + b"\0\3"


def test_a_datagram_holds_several_records_of_several_epochs() -> None:
    datagram = wire(22, 0, 5, b"hello") + wire(20, 0, 6, b"\1") + wire(22, 1, 0, b"x" * 32) + wire(25, 1, 1, b"", b"id")
    assert list(records_of(datagram, 2)) == [
        Record(22, DTLS_1_2, 0, 5, b"", b"hello"),
        Record(20, DTLS_1_2, 0, 6, b"", b"\1"),
        Record(22, DTLS_1_2, 1, 0, b"", b"x" * 32),
        Record(25, DTLS_1_2, 1, 1, b"id", b""),
    ]


@pytest.mark.parametrize("epoch", [0, 1, 0xFFFF])
@pytest.mark.parametrize("sequence", [0, 1, MAX_SEQUENCE])
def test_epoch_and_sequence_come_back_at_their_bounds(epoch: int, sequence: int) -> None:
    (record,) = records_of(wire(23, epoch, sequence, b"data"), 0)
    assert (record.epoch, record.sequence) == (epoch, sequence)


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        bytes(HEADER_BYTES),
        wire(22, 0, 0, b"abc")[:-1],
        wire(22, 0, 0, b"abc")[: HEADER_BYTES - 1],
        wire(19, 0, 0, b"abc"),
        wire(24, 0, 0, b"abc"),
        b"\x16\xfe\xfc" + wire(22, 0, 0, b"abc")[3:],
        b"\x16\x03\x03" + wire(22, 0, 0, b"abc")[3:],
        wire(22, 0, 0, bytes(MAX_FRAGMENT_BYTES + 1)),
        wire(25, 1, 0, b"", b"id")[:-1],
    ],
    ids=[
        "nothing",
        "type 0",
        "cut in the fragment",
        "cut in the header",
        "unknown type",
        "heartbeat",
        "unknown version",
        "TLS",
        "too long",
        "cut in the header with connection ID",
    ],
)
def test_what_is_malformed_ends_the_datagram(malformed: bytes) -> None:
    good = wire(22, 0, 0, b"good")
    assert [record.fragment for record in records_of(good + malformed, 2)] == [b"good"]


def test_the_longest_fragment_is_taken() -> None:
    (record,) = records_of(wire(23, 1, 0, bytes(MAX_FRAGMENT_BYTES)), 0)
    assert len(record.fragment) == MAX_FRAGMENT_BYTES


def test_a_first_hello_may_say_dtls_1_0() -> None:
    (record,) = records_of(b"\x16\xfe\xff" + wire(22, 0, 0, b"abc")[3:], 0)
    assert record.version == 0xFEFF


@given(st.binary(max_size=200), st.sampled_from([0, 1, 8, 20, 255]))
def test_arbitrary_bytes_give_records_that_lie_within_them(data: bytes, cid_length: int) -> None:
    records = list(records_of(data, cid_length))
    assert sum(HEADER_BYTES + len(record.cid) + len(record.fragment) for record in records) <= len(data)


# -- the replay window ---------------------------------------------------------------------------


def window_at(newest: int) -> ReplayWindow:
    window = ReplayWindow()
    window.mark(newest)
    return window


@pytest.mark.parametrize(("behind", "fresh"), [(0, False), (1, True), (62, True), (63, True), (64, False), (65, False)])
def test_the_window_is_64_records_wide(behind: int, fresh: bool) -> None:
    assert window_at(1000).is_fresh(1000 - behind) is fresh


@pytest.mark.parametrize("ahead", [1, 2, 63, 64, 65, 100, 10**9, MAX_SEQUENCE - 1000])
def test_a_record_ahead_moves_the_window(ahead: int) -> None:
    window = window_at(1000)
    window.mark(999)
    assert window.is_fresh(1000 + ahead)
    window.mark(1000 + ahead)
    assert window.newest == 1000 + ahead
    assert not window.is_fresh(1000 + ahead)
    # What was seen stays seen or falls out; what was not stays fresh within the window.
    assert not window.is_fresh(1000)
    assert not window.is_fresh(999)
    assert window.is_fresh(998) is (ahead + 2 < REPLAY_WINDOW)
    if ahead > 1:
        assert window.is_fresh(1000 + ahead - 1)
    assert not window.is_fresh(1000 + ahead - 64)


def test_asking_moves_nothing() -> None:
    window = window_at(10)
    assert window.is_fresh(MAX_SEQUENCE)
    assert window.is_fresh(11)
    assert window.newest == 10


def test_a_new_window_takes_the_first_record() -> None:
    assert ReplayWindow().is_fresh(0)


@given(st.lists(st.integers(0, 300), max_size=200))
def test_each_record_is_taken_once_at_most_and_always_within_the_window(sequences: list[int]) -> None:
    window = ReplayWindow()
    taken: set[int] = set()
    for sequence in sequences:
        expected = sequence not in taken and sequence > max(taken, default=-1) - REPLAY_WINDOW
        assert window.is_fresh(sequence) is expected
        if expected:
            window.mark(sequence)
            taken.add(sequence)
        restored = ReplayWindow.restore(*window.state())
        assert all(restored.is_fresh(other) is window.is_fresh(other) for other in range(0, 310, 7))
