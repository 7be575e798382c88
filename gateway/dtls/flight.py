"""Flights: messages that are sent, and sent again, together (RFC 6347 §4.2.4)."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import HEADER_BYTES, MAX_SEQUENCE, record_header

MAX_TIMEOUT_S = 60.0
"""The timer doubles up to this (RFC 6347 §4.2.4.1)."""

_APPLICATION_DATA = int(ContentType.APPLICATION_DATA)
_CLIENT_HELLO = int(HandshakeType.CLIENT_HELLO)

_SMALLEST_PIECE = 32
"""A piece of a message that is not worth starting at a datagram's end."""


class RecordWriter:
    """Numbers and protects what one side sends."""

    __slots__ = ("_next_plain", "most_content", "next_sequence", "protection")

    def __init__(
        self,
        *,
        most_content: int,
        first_sequence: int = 0,
        protection: RecordProtection | None = None,
        next_sequence: int = 0,
    ) -> None:
        """`first_sequence` is the number of the next record of epoch 0, `next_sequence` of epoch 1."""
        self._next_plain = first_sequence
        self.next_sequence = next_sequence
        self.protection = protection
        """Of epoch 1."""
        self.most_content = most_content
        """Largest content of a record, as negotiated by max_fragment_length."""

    def protect(self, protection: RecordProtection) -> None:
        """Name the protection of epoch 1."""
        self.protection = protection

    def overhead(self, epoch: int) -> int:
        """Bytes of a record besides its content."""
        return HEADER_BYTES + (self.protection.overhead if epoch and self.protection else 0)

    def application_data(self, content: bytes) -> bytes:
        """The next record of epoch 1 with application data. Whether there are numbers left is the caller's to know."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        return self.protection.seal(_APPLICATION_DATA, 1, sequence, content)  # type: ignore[union-attr]

    def record(self, content_type: int, epoch: int, content: bytes) -> bytes:
        """The next record of an epoch. Raises OverflowError where its numbers are used up."""
        sequence = self.next_sequence if epoch else self._next_plain
        if sequence > MAX_SEQUENCE:  # they must never wrap: nonces are made of them (RFC 6347 §4.1)
            raise OverflowError("the record numbers of an epoch are used up")
        if epoch:
            assert self.protection is not None
            self.next_sequence = sequence + 1
            return self.protection.seal(content_type, epoch, sequence, content)
        self._next_plain = sequence + 1
        return record_header(content_type, epoch, sequence, len(content)) + content


class Item(NamedTuple):
    """A part of a flight: a handshake message, or the content of a record of another type."""

    content_type: int
    epoch: int
    content: HandshakeMessage | bytes


class Flight:
    """Messages on their way, with the time at which to send them again."""

    __slots__ = ("deadline_s", "items", "timeout_s", "transmissions")

    def __init__(self, timeout_s: float) -> None:
        self.items: list[Item] = []
        self.timeout_s = timeout_s
        self.deadline_s: float | None = None
        """When to send it again; None while it needs no answer."""
        self.transmissions = 0

    def add(self, content_type: int, epoch: int, content: HandshakeMessage | bytes) -> None:
        """Append to the flight."""
        self.items.append(Item(content_type, epoch, content))

    def back_off(self) -> None:
        """Double the time-out."""
        self.timeout_s = min(2 * self.timeout_s, MAX_TIMEOUT_S)

    def datagrams(self, writer: RecordWriter, mtu: int) -> list[bytes]:
        """The flight as datagrams of at most `mtu` bytes, each transmission with record numbers of its own.

        A ClientHello alone may take a longer one, and so may a record that holds one byte of a message.
        """
        datagrams: list[bytes] = []
        current = b""
        for item in self.items:
            for content in _pieces(item, writer, mtu, len(current)):
                record = writer.record(item.content_type, item.epoch, content)
                if current and len(current) + len(record) > mtu:
                    datagrams.append(current)
                    current = b""
                current += record
        if current:
            datagrams.append(current)
        return datagrams


def _pieces(item: Item, writer: RecordWriter, mtu: int, used: int) -> Sequence[bytes]:
    """The contents of the records that an item takes; the first may fill up a datagram of `used` bytes."""
    message = item.content
    if isinstance(message, bytes):
        return (message,)
    left = mtu - writer.overhead(item.epoch)
    whole = min(left, writer.most_content)
    room = min(whole, left - used)
    # A ClientHello in one piece: a server without state can't put pieces together, so the network has to
    # (RFC 6347 §4.2.1).
    if len(message.body) + 12 <= room or message.type == _CLIENT_HELLO:
        return (message.encode(),)
    if room < 12 + _SMALLEST_PIECE:
        room = whole
    pieces: list[bytes] = []
    offset = 0
    while not pieces or offset < len(message.body):
        length = min(len(message.body) - offset, max(1, room - 12))
        pieces.append(message.fragment(offset, length))
        offset += length
        room = whole
    return pieces


CHANGE_CIPHER_SPEC = b"\1"
"""The content of the one message of that protocol (RFC 5246 §7.1)."""


def is_change_cipher_spec(content_type: int, content: bytes) -> bool:
    """Whether a record is a ChangeCipherSpec."""
    return content_type == ContentType.CHANGE_CIPHER_SPEC and content == CHANGE_CIPHER_SPEC
