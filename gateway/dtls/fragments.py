"""Handshake messages in fragments (RFC 6347 §4.2.2, §4.2.3): cutting them to the MTU, and putting them together."""

from enum import Enum, auto
from struct import Struct
from typing import NamedTuple

from gateway.dtls.alerts import DecodeError

HEADER_BYTES = 12
"""Type, length, message_seq, fragment_offset, fragment_length."""

_HEADER = Struct(">IHHI")
"""Type and length as one number, message_seq, and the fragment's offset and length as one number in two parts."""
_MOST_LENGTH = (1 << 24) - 1

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
        body = self.body
        header = _HEADER.pack(self.type << 24 | len(body), self.sequence, offset >> 8, (offset & 0xFF) << 24 | length)
        return header + body[offset : offset + length]


class Fragment(NamedTuple):
    """A part of a handshake message as it came."""

    type: int
    length: int
    sequence: int
    offset: int
    data: bytes


def fragments_in(content: bytes) -> list[Fragment]:
    """The fragments that a handshake record holds. Raises DecodeError where it is malformed."""
    fragments: list[Fragment] = []
    start, end = 0, len(content)
    while start < end:
        if len(fragments) == FRAGMENTS_IN_RECORD:
            raise DecodeError(f"more than {FRAGMENTS_IN_RECORD} fragments in a record")
        if end - start < HEADER_BYTES:
            raise DecodeError("a fragment's header is cut")
        type_and_length, sequence, high, low = _HEADER.unpack_from(content, start)
        length, offset, part_length = type_and_length & _MOST_LENGTH, high << 8 | low >> 24, low & _MOST_LENGTH
        start += HEADER_BYTES + part_length
        if start > end or offset + part_length > length:
            raise DecodeError("a fragment reaches beyond its record or its message")
        fragments.append(
            Fragment(type_and_length >> 24, length, sequence, offset, content[start - part_length : start])
        )
    return fragments


class _Partial:
    """A message of which some bytes have come."""

    __slots__ = ("body", "have", "missing", "rejected", "type")

    def __init__(self, fragment: Fragment) -> None:
        self.type = fragment.type
        self.rejected = False
        self.missing = fragment.length - len(fragment.data)
        if not self.missing:
            self.body, self.have = bytearray(fragment.data), bytearray()
            return
        self.body = bytearray(fragment.length)
        self.have = bytearray(fragment.length)
        """255 where the byte has come; nothing once all have."""
        self.missing = fragment.length
        self.add(fragment)

    def contradicts(self, fragment: Fragment) -> bool:
        """Whether a fragment can't be of this message."""
        if fragment.type != self.type or fragment.length != len(self.body):
            return True
        part = slice(fragment.offset, fragment.offset + len(fragment.data))
        if not self.missing:
            return self.body[part] != fragment.data
        ours, theirs, both = (int.from_bytes(data) for data in (self.body[part], fragment.data, self.have[part]))
        return bool((ours ^ theirs) & both)

    def repeats(self, fragment: Fragment) -> bool:
        """Whether all of a fragment that does not contradict is here already."""
        return not self.missing or not self.have.count(0, fragment.offset, fragment.offset + len(fragment.data))

    def add(self, fragment: Fragment) -> None:
        """Take the bytes of a fragment that does not contradict."""
        end = fragment.offset + len(fragment.data)
        self.missing -= self.have.count(0, fragment.offset, end)
        self.body[fragment.offset : end] = fragment.data
        self.have[fragment.offset : end] = b"\xff" * len(fragment.data)
        if not self.missing:
            self.have = bytearray()


class _Slot:
    """What has come for one message_seq."""

    __slots__ = ("challenger", "current", "fallback")

    def __init__(self, current: _Partial) -> None:
        self.current = current
        self.challenger: _Partial | None = None
        """Contradicts the current message, which is whole; takes its place once it is whole itself."""
        self.fallback: _Partial | None = None
        """What the current message took the place of."""

    @property
    def size(self) -> int:
        return sum(len(one.body) for one in (self.current, self.challenger, self.fallback) if one is not None)


class Arrival(Enum):
    """What a fragment was to those before it."""

    NEW = auto()
    REPEATED = auto()
    """It was there already, and is long enough to tell that its sender has the message."""
    REPLACED = auto()
    """It contradicts what was there, and has taken its place; that of a whole message only once it is whole too."""
    IGNORED = auto()
    """It fits nothing, or says nothing."""


class Reassembler:
    """Gives whole messages in the order of their message_seq, from fragments in any order, with overlaps.

    Anyone can forge plaintext, so of two messages that contradict each other the newer counts, unless it proves no
    good: a peer repeats its flight until it is answered, and then nothing that was forged earlier is in its way. For
    that, the messages of a flight are kept until `commit`, and can be gone through again.

    Bounded: by the size of a message and of a flight, and by how far ahead of the awaited message a fragment may be.
    """

    __slots__ = ("_first", "_most_bytes", "_slots", "next_sequence")

    def __init__(self, *, most_bytes: int, next_sequence: int = 0) -> None:
        self._most_bytes = most_bytes
        self._slots: dict[int, _Slot] = {}
        self._first = next_sequence
        self.next_sequence = next_sequence
        """The message_seq that is awaited."""

    def add(self, fragment: Fragment) -> Arrival:
        """Take a fragment; one that fits nothing is ignored.

        Raises DecodeError where a message is announced as larger than any may be.
        """
        if not self._first <= fragment.sequence < self.next_sequence + MESSAGES_AHEAD:
            return Arrival.IGNORED
        if fragment.length > self._most_bytes:
            raise DecodeError(f"a handshake message of {fragment.length} bytes is too long")
        slot = self._slots.get(fragment.sequence)
        if slot is None or (slot.current.missing and slot.current.contradicts(fragment)):
            return self._start(fragment)
        if slot.current.missing:
            return self._add_to_current(slot, fragment)
        return self._challenge(slot, fragment) or self._add_to_current(slot, fragment)

    def _start(self, fragment: Fragment) -> Arrival:
        old = self._slots.pop(fragment.sequence, None)
        if not self._make_room(fragment):
            return Arrival.IGNORED
        self._slots[fragment.sequence] = _Slot(_Partial(fragment))
        return Arrival.NEW if old is None else Arrival.REPLACED

    def _add_to_current(self, slot: _Slot, fragment: Fragment) -> Arrival:
        if not slot.current.repeats(fragment):
            slot.current.add(fragment)
            return Arrival.NEW
        if len(fragment.data) < min(fragment.length, TELLING_BYTES):
            return Arrival.IGNORED
        slot.current.rejected = False
        return Arrival.REPEATED

    def _challenge(self, slot: _Slot, fragment: Fragment) -> Arrival | None:
        """Take a fragment for a message that contradicts the current one; None where it may be of the current one."""
        contradicts = slot.current.contradicts(fragment)
        if slot.challenger is not None and not slot.challenger.contradicts(fragment):
            slot.challenger.add(fragment)
        elif contradicts:
            slot.challenger = None
            if not self._make_room(fragment):
                return self._start(fragment)
            slot.challenger = _Partial(fragment)
        if slot.challenger is not None and not slot.challenger.missing:
            slot.fallback = None if slot.current.rejected else slot.current
            slot.current, slot.challenger = slot.challenger, None
            return Arrival.REPLACED
        return Arrival.NEW if contradicts else None

    def _make_room(self, fragment: Fragment) -> bool:
        """Make room for a message, where need be at the cost of those behind it."""
        if not self._slots:
            return True
        room = self._most_bytes + OTHER_MESSAGES_BYTES - fragment.length
        for sequence in sorted(self._slots, reverse=True):
            if sum(slot.size for slot in self._slots.values()) <= room:
                return True
            if sequence > max(fragment.sequence, self.next_sequence):
                del self._slots[sequence]
        return sum(slot.size for slot in self._slots.values()) <= room

    def next_message(self) -> HandshakeMessage | None:
        """The awaited message, once it is whole."""
        slot = self._slots.get(self.next_sequence)
        if slot is None or slot.current.missing or slot.current.rejected:
            return None
        message = HandshakeMessage(slot.current.type, self.next_sequence, bytes(slot.current.body))
        self.next_sequence += 1
        return message

    def reject(self) -> None:
        """Take back the message that `next_message` gave: await another in its place, or its repetition."""
        self.next_sequence -= 1
        self._slots[self.next_sequence].current.rejected = True

    def restore(self, sequence: int) -> None:
        """Have the message back that another, which proved no good, took the place of."""
        slot = self._slots[sequence]
        slot.current, slot.fallback = slot.fallback or slot.current, None

    def rewind(self) -> None:
        """Give the messages again, from the first after the latest `commit`."""
        self.next_sequence = self._first

    def forget_ahead(self) -> None:
        """Forget all from the awaited message on."""
        self._slots = {sequence: slot for sequence, slot in self._slots.items() if sequence < self.next_sequence}

    def commit(self) -> None:
        """Forget all before the awaited message: it will not be gone through again."""
        self._slots = {sequence: slot for sequence, slot in self._slots.items() if sequence >= self.next_sequence}
        self._first = self.next_sequence
