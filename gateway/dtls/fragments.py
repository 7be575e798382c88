"""Handshake messages in fragments (RFC 6347 §4.2.2, §4.2.3): cutting them to the MTU, and putting them together."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from gateway.dtls.alerts import DecodeError
from gateway.dtls.wire import Reader

HEADER_BYTES = 12
"""Type, length, message_seq, fragment_offset, fragment_length."""

MESSAGES_AHEAD = 8
"""How many messages beyond the awaited one are kept: a flight has no more."""

FRAGMENTS_IN_RECORD = 16
"""Most fragments in one record; a flight has fewer messages. Bounds the work that one record can cause."""

OTHER_MESSAGES_BYTES = 4096
"""Room for the other messages of a flight, beside one of the largest size."""

TELLING_BYTES = 16
"""Whoever repeats so much of a message, or the whole, did not guess it."""


class HandshakeMessage(NamedTuple):
    """A whole handshake message."""

    type: int
    sequence: int
    body: bytes

    def encode(self) -> bytes:
        """The message as one fragment, which is also its form in the transcript (RFC 6347 §4.2.6)."""
        return self.fragment(0, len(self.body))

    def fragment(self, offset: int, length: int) -> bytes:
        """A part of the message with its header."""
        return b"".join(
            (
                bytes((self.type,)),
                len(self.body).to_bytes(3, "big"),
                self.sequence.to_bytes(2, "big"),
                offset.to_bytes(3, "big"),
                length.to_bytes(3, "big"),
                self.body[offset : offset + length],
            )
        )


class Fragment(NamedTuple):
    """A part of a handshake message as it came."""

    type: int
    length: int
    sequence: int
    offset: int
    data: bytes


def fragments_in(content: bytes) -> Iterator[Fragment]:
    """The fragments that a handshake record holds. Raises DecodeError where it is malformed."""
    reader = Reader(content)
    for _ in range(FRAGMENTS_IN_RECORD):
        if not reader.remaining:
            return
        message_type, length, sequence = reader.number(1), reader.number(3), reader.number(2)
        offset = reader.number(3)
        data = reader.vector(3)
        if offset + len(data) > length:
            raise DecodeError("a fragment reaches beyond its message")
        yield Fragment(message_type, length, sequence, offset, data)
    reader.finish()


class _Partial:
    """A message of which some bytes have come."""

    __slots__ = ("body", "have", "missing", "rejected", "type")

    def __init__(self, message_type: int, length: int) -> None:
        self.type = message_type
        self.body = bytearray(length)
        self.have = bytearray(length)
        """255 where the byte has come."""
        self.missing = length
        self.rejected = False

    def contradicts(self, fragment: Fragment) -> bool:
        """Whether a fragment can't be of this message."""
        if fragment.type != self.type or fragment.length != len(self.body):
            return True
        part = slice(fragment.offset, fragment.offset + len(fragment.data))
        ours, theirs, both = (int.from_bytes(data) for data in (self.body[part], fragment.data, self.have[part]))
        return bool((ours ^ theirs) & both)

    def add(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        self.missing -= self.have.count(0, offset, end)
        self.body[offset:end] = data
        self.have[offset:end] = b"\xff" * len(data)


class Arrival(Enum):
    """What a fragment was to those before it."""

    NEW = auto()
    REPEATED = auto()
    """It was there already, and is long enough to tell that its sender has the message."""
    REPLACED = auto()
    """It contradicts what was there, and has taken its place."""
    IGNORED = auto()
    """It fits nothing, or says nothing."""


class Reassembler:
    """Gives whole messages in the order of their message_seq, from fragments in any order, with overlaps.

    Anyone can forge plaintext, so of two that contradict each other the newer counts: a peer repeats its flight until
    it is answered, and then nothing that was forged earlier is in its way. For that, the messages of a flight are kept
    until `commit`, and can be gone through again.

    Bounded: by the size of a message and of a flight, and by how far ahead of the awaited message a fragment may be.
    """

    __slots__ = ("_first", "_most_bytes", "_partials", "next_sequence")

    def __init__(self, *, most_bytes: int, next_sequence: int = 0) -> None:
        self._most_bytes = most_bytes
        self._partials: dict[int, _Partial] = {}
        self._first = next_sequence
        self.next_sequence = next_sequence
        """The message_seq that is awaited."""

    def add(self, fragment: Fragment) -> Arrival:
        """Take a fragment; one that fits nothing is ignored.

        Raises DecodeError where a message is announced as larger than any may be.
        """
        sequence = fragment.sequence
        if not self._first <= sequence < self.next_sequence + MESSAGES_AHEAD:
            return Arrival.IGNORED
        if fragment.length > self._most_bytes:
            raise DecodeError(f"a handshake message of {fragment.length} bytes is too long")
        partial = self._partials.get(sequence)
        arrival = Arrival.NEW
        if partial is not None and partial.contradicts(fragment):
            arrival, partial = Arrival.REPLACED, None
        if partial is None:
            if not self._make_room(sequence, fragment.length):
                return Arrival.IGNORED
            partial = self._partials[sequence] = _Partial(fragment.type, fragment.length)
        elif not partial.have.count(0, fragment.offset, fragment.offset + len(fragment.data)):
            if len(fragment.data) < min(fragment.length, TELLING_BYTES):
                return Arrival.IGNORED
            partial.rejected = False
            return Arrival.REPEATED
        partial.add(fragment.offset, fragment.data)
        return arrival

    def _make_room(self, sequence: int, length: int) -> bool:
        """Make room for a message, where need be at the cost of those behind it."""
        sizes = {number: len(partial.body) for number, partial in self._partials.items() if number != sequence}
        most = self._most_bytes + OTHER_MESSAGES_BYTES - length
        behind = [number for number in sizes if number > max(sequence, self.next_sequence)]
        for farthest in sorted(behind, reverse=True):
            if sum(sizes.values()) > most:
                del sizes[farthest], self._partials[farthest]
        return sum(sizes.values()) <= most

    def next_message(self) -> HandshakeMessage | None:
        """The awaited message, once it is whole."""
        partial = self._partials.get(self.next_sequence)
        if partial is None or partial.missing or partial.rejected:
            return None
        message = HandshakeMessage(partial.type, self.next_sequence, bytes(partial.body))
        self.next_sequence += 1
        return message

    def reject(self) -> None:
        """Take back the message that `next_message` gave: await another in its place, or its repetition."""
        self.next_sequence -= 1
        self._partials[self.next_sequence].rejected = True

    def rewind(self) -> None:
        """Give the messages again, from the first after the latest `commit`."""
        self.next_sequence = self._first

    def forget_ahead(self) -> None:
        """Forget all from the awaited message on."""
        self._partials = {
            sequence: partial for sequence, partial in self._partials.items() if sequence < self.next_sequence
        }

    def commit(self) -> None:
        """Forget all before the awaited message: it will not be gone through again."""
        self._partials = {
            sequence: partial for sequence, partial in self._partials.items() if sequence >= self.next_sequence
        }
        self._first = self.next_sequence
