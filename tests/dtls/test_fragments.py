"""Handshake messages in fragments: in any order, with overlaps and contradictions, and bounded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.alerts import DecodeError
from gateway.dtls.fragments import (
    FRAGMENTS_IN_RECORD,
    HEADER_BYTES,
    MESSAGES_AHEAD,
    OTHER_MESSAGES_BYTES,
    TELLING_BYTES,
    Arrival,
    Fragment,
    HandshakeMessage,
    Reassembler,
    fragments_in,
)

MOST = 1000
MESSAGE = HandshakeMessage(11, 0, bytes(range(100)))


def piece(message: HandshakeMessage, offset: int, length: int) -> Fragment:
    (fragment,) = fragments_in(message.fragment(offset, length))
    return fragment


def reassembler(next_sequence: int = 0) -> Reassembler:
    return Reassembler(most_bytes=MOST, next_sequence=next_sequence)


def test_a_fragments_header_is_as_rfc_6347_4_2_2_has_it() -> None:
    message = HandshakeMessage(16, 0x0102, b"x" * 0x010304)
    assert message.fragment(0x0506, 3) == bytes.fromhex("10 010304 0102 000506 000003") + b"xxx"
    assert message.encode()[:HEADER_BYTES] == bytes.fromhex("10 010304 0102 000000 010304")


def test_a_record_may_hold_several_fragments() -> None:
    record = MESSAGE.fragment(0, 10) + HandshakeMessage(14, 1, b"").encode() + MESSAGE.fragment(10, 90)
    assert list(fragments_in(record)) == [
        Fragment(11, 100, 0, 0, MESSAGE.body[:10]),
        Fragment(14, 0, 1, 0, b""),
        Fragment(11, 100, 0, 10, MESSAGE.body[10:]),
    ]


def test_a_record_holds_only_so_many_fragments() -> None:
    record = HandshakeMessage(14, 1, b"").encode() * FRAGMENTS_IN_RECORD
    assert len(list(fragments_in(record))) == FRAGMENTS_IN_RECORD
    with pytest.raises(DecodeError):
        list(fragments_in(record + HandshakeMessage(14, 1, b"").encode()))


@pytest.mark.parametrize(
    "content",
    [
        MESSAGE.encode()[:-1],
        MESSAGE.encode()[: HEADER_BYTES - 1],
        bytes.fromhex("10 000002 0000 000001 000002") + b"xx",
        MESSAGE.encode() + b"\0",
    ],
    ids=["cut", "cut in the header", "beyond its message", "something behind"],
)
def test_a_malformed_record_is_a_decode_error(content: bytes) -> None:
    with pytest.raises(DecodeError):
        list(fragments_in(content))


def test_nothing_comes_of_an_incomplete_message() -> None:
    reassembly = reassembler()
    reassembly.add(piece(MESSAGE, 0, 50))
    reassembly.add(piece(MESSAGE, 51, 49))
    assert reassembly.next_message() is None
    reassembly.add(piece(MESSAGE, 50, 1))
    assert reassembly.next_message() == MESSAGE
    assert reassembly.next_message() is None
    assert reassembly.next_sequence == 1


def test_messages_come_in_the_order_of_their_sequence() -> None:
    first, second = HandshakeMessage(2, 5, b"first"), HandshakeMessage(14, 6, b"")
    reassembly = reassembler(5)
    reassembly.add(piece(second, 0, 0))
    assert reassembly.next_message() is None
    reassembly.add(piece(first, 0, 5))
    assert [reassembly.next_message(), reassembly.next_message()] == [first, second]


@given(st.data())
def test_fragments_come_together_in_any_order_with_any_overlaps(data: st.DataObject) -> None:
    messages = [
        HandshakeMessage(number + 1, number, data.draw(st.binary(max_size=80), label="body"))
        for number in range(data.draw(st.integers(1, 4)))
    ]
    fragments = []
    for message in messages:
        size = len(message.body)
        cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=5), label="cuts")})
        fragments += [piece(message, start, end - start) for start, end in pairwise(cuts)]
        fragments += [piece(message, 0, size)] if not size else []
        for start in data.draw(st.lists(st.integers(0, size), max_size=3), label="overlaps"):
            fragments.append(piece(message, start, data.draw(st.integers(0, size - start))))
    reassembly, got = reassembler(), []
    for fragment in data.draw(st.permutations(fragments), label="order"):
        reassembly.add(fragment)
        while (whole := reassembly.next_message()) is not None:
            got.append(whole)
    assert got == messages
    reassembly.commit()
    assert not reassembly._slots


@pytest.mark.parametrize(
    "contradiction",
    [Fragment(12, 100, 0, 50, bytes(50)), Fragment(11, 101, 0, 50, bytes(51)), Fragment(11, 100, 0, 49, bytes(51))],
    ids=["type", "length", "bytes"],
)
def test_of_two_that_contradict_each_other_the_newer_counts(contradiction: Fragment) -> None:
    """Whoever forged the older one, or the newer: the peer's repetition is newer still."""
    reassembly = reassembler()
    assert reassembly.add(piece(MESSAGE, 0, 50)) is Arrival.NEW
    assert reassembly.add(contradiction) is Arrival.REPLACED
    assert reassembly.add(piece(MESSAGE, 50, 50)) is Arrival.REPLACED
    assert reassembly.next_message() is None
    assert reassembly.add(piece(MESSAGE, 0, 50)) is Arrival.NEW
    assert reassembly.next_message() == MESSAGE


def test_a_message_is_kept_until_it_is_committed_and_can_be_gone_through_again() -> None:
    other = HandshakeMessage(14, 1, b"")
    reassembly = reassembler()
    for message in (MESSAGE, other):
        reassembly.add(piece(message, 0, len(message.body)))
    assert [reassembly.next_message(), reassembly.next_message()] == [MESSAGE, other]
    reassembly.rewind()
    assert [reassembly.next_message(), reassembly.next_message()] == [MESSAGE, other]
    reassembly.commit()
    reassembly.rewind()
    assert reassembly.next_message() is None
    assert reassembly.add(piece(MESSAGE, 0, 100)) is Arrival.IGNORED


def test_a_rejected_message_waits_for_another_or_for_its_repetition() -> None:
    reassembly = reassembler()
    reassembly.add(piece(MESSAGE, 0, 100))
    reassembly.next_message()
    reassembly.reject()
    assert reassembly.next_message() is None
    assert reassembly.add(piece(MESSAGE, 0, TELLING_BYTES - 1)) is Arrival.IGNORED  # which may have been guessed
    assert reassembly.next_message() is None
    assert reassembly.add(piece(MESSAGE, 0, TELLING_BYTES)) is Arrival.REPEATED
    assert reassembly.next_message() == MESSAGE
    reassembly.reject()
    better = HandshakeMessage(11, 0, bytes(100))
    assert reassembly.add(piece(better, 0, 100)) is Arrival.REPLACED
    assert reassembly.next_message() == better


def test_a_short_message_is_repeated_by_the_whole_of_it() -> None:
    short = HandshakeMessage(14, 0, b"")
    reassembly = reassembler()
    assert reassembly.add(piece(short, 0, 0)) is Arrival.NEW
    assert reassembly.add(piece(short, 0, 0)) is Arrival.REPEATED


def test_all_from_the_awaited_message_on_can_be_forgotten() -> None:
    ahead = HandshakeMessage(20, 1, b"forged")
    reassembly = reassembler()
    reassembly.add(piece(MESSAGE, 0, 100))
    reassembly.add(piece(ahead, 0, 6))
    assert reassembly.next_message() == MESSAGE
    reassembly.forget_ahead()
    assert reassembly.next_message() is None
    reassembly.rewind()
    assert reassembly.next_message() == MESSAGE


def test_of_too_many_bytes_those_farthest_ahead_make_room() -> None:
    reassembly = reassembler()
    for sequence in range(1, MESSAGES_AHEAD):
        reassembly.add(Fragment(11, MOST, sequence, 0, b"x"))
    assert set(reassembly._slots) == {1, 2, 3, 4, 5}
    reassembly.add(piece(MESSAGE, 0, 100))
    assert reassembly.next_message() == MESSAGE


@pytest.mark.parametrize("sequence", [0, 4, 5 + MESSAGES_AHEAD, 0xFFFF])
def test_what_is_over_or_too_far_ahead_leaves_nothing_behind(sequence: int) -> None:
    reassembly = reassembler(5)
    reassembly.add(Fragment(11, 100, sequence, 0, bytes(10)))
    assert not reassembly._slots


def test_the_last_message_that_is_kept_ahead() -> None:
    reassembly = reassembler(5)
    reassembly.add(Fragment(11, 100, 5 + MESSAGES_AHEAD - 1, 0, bytes(10)))
    assert len(reassembly._slots) == 1


def test_a_message_may_be_as_large_as_the_bound_and_no_larger() -> None:
    reassembly = reassembler()
    with pytest.raises(DecodeError, match="too long"):
        reassembly.add(Fragment(11, MOST + 1, 0, 0, b""))
    assert not reassembly._slots
    largest = HandshakeMessage(11, 0, bytes(MOST))
    reassembly.add(piece(largest, 0, MOST))
    assert reassembly.next_message() == largest


@given(
    st.lists(
        st.builds(
            lambda kind, sequence, length, offset, data: Fragment(
                kind, length + len(data) + offset, sequence, offset, data
            ),
            st.integers(0, 255),
            st.integers(0, 20),
            st.integers(0, 1200),
            st.integers(0, 300),
            st.binary(max_size=50),
        ),
        max_size=100,
    )
)
def test_whatever_comes_the_bytes_that_are_kept_are_bounded(fragments: list[Fragment]) -> None:
    reassembly = reassembler()
    for fragment in fragments:
        try:
            reassembly.add(fragment)
        except DecodeError:
            assert fragment.length > MOST
        while reassembly.next_message() is not None:
            pass
        assert len(reassembly._slots) <= MESSAGES_AHEAD + reassembly.next_sequence
        assert sum(slot.size for slot in reassembly._slots.values()) <= MOST + OTHER_MESSAGES_BYTES
