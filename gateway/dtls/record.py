"""Records on the wire (RFC 6347 §4.1, RFC 9146 §4): cutting datagrams into them, and which were seen before."""

from functools import partial
from struct import Struct
from typing import NamedTuple

from gateway.dtls.codes import DTLS_1_0, DTLS_1_2, ContentType

HEADER_BYTES = 13
"""Type, version, epoch, sequence number, length; a connection ID comes on top."""

MAX_FRAGMENT_BYTES = (1 << 14) + 256
"""No ciphertext may be longer (RFC 5246 §6.2.3, with what AEADs really need)."""

RECORDS_IN_DATAGRAM = 32
"""Most records that are taken from one datagram; flights have fewer. Bounds the work that one datagram can cause."""

MAX_SEQUENCE = (1 << 48) - 1
REPLAY_WINDOW = 64

_WHOLE_WINDOW = (1 << REPLAY_WINDOW) - 1

_KNOWN_TYPES = frozenset(int(content_type) for content_type in ContentType)
_KNOWN_VERSIONS = frozenset((DTLS_1_2, DTLS_1_0))
_TLS12_CID = int(ContentType.TLS12_CID)

HEADER = Struct(">BHQH")
"""Type, version, epoch and sequence number as one number, length."""
_HEADER_TO_CID = Struct(">BHQ")
"""The same up to the connection ID, where there is one; the length follows it."""
_unpack_header = HEADER.unpack_from


class Record(NamedTuple):
    """One record as it came: `fragment` is still protected where `epoch` is not 0."""

    type: int
    version: int
    epoch: int
    sequence: int
    cid: bytes
    fragment: bytes


_new_record = partial(tuple.__new__, Record)
"""Makes a record of its fields as a tuple, in half the time: each datagram costs one."""


def records_of(datagram: bytes, cid_length: int) -> list[Record]:
    """The first records of a datagram, up to one that is malformed: behind it nothing can be made out.

    `cid_length` is the length of the connection IDs that we hand out, the only ones that come to us.
    """
    records: list[Record] = []
    start, end = HEADER_BYTES, len(datagram)
    while start <= end and len(records) < RECORDS_IN_DATAGRAM:
        content_type, version, number, length = _unpack_header(datagram, start - HEADER_BYTES)
        if content_type not in _KNOWN_TYPES or version not in _KNOWN_VERSIONS:
            break
        cid = b""
        if content_type == _TLS12_CID and cid_length:
            cid = datagram[start - 2 : start - 2 + cid_length]
            start += cid_length
            if start > end:
                break
            length = datagram[start - 2] << 8 | datagram[start - 1]
        stop = start + length
        if stop > end or length > MAX_FRAGMENT_BYTES:
            break
        fields = (content_type, version, number >> 48, number & MAX_SEQUENCE, cid, datagram[start:stop])
        records.append(_new_record(fields))
        start = stop + HEADER_BYTES
    return records


def record_header(content_type: int, epoch: int, sequence: int, length: int, cid: bytes = b"") -> bytes:
    """What stands before a record's fragment."""
    number = epoch << 48 | sequence
    if cid:
        return _HEADER_TO_CID.pack(content_type, DTLS_1_2, number) + cid + length.to_bytes(2, "big")
    return HEADER.pack(content_type, DTLS_1_2, number, length)


class ReplayWindow:
    """Which of the latest 64 sequence numbers were received (RFC 6347 §4.1.2.6)."""

    __slots__ = ("_seen", "newest")

    def __init__(self) -> None:
        self.newest = -1
        """The highest sequence number that was authentic."""
        self._seen = 0
        """Bit n: `newest` - n was received."""

    def is_fresh(self, sequence: int) -> bool:
        """Whether a record may be new. To be asked before anything is decrypted."""
        age = self.newest - sequence
        return age < 0 or (age < REPLAY_WINDOW and not self._seen >> age & 1)

    def mark(self, sequence: int) -> None:
        """Remember a record. To be called only when its authentication held."""
        ahead = sequence - self.newest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _WHOLE_WINDOW if ahead < REPLAY_WINDOW else 1
            self.newest = sequence
        else:
            self._seen |= 1 << -ahead

    def state(self) -> tuple[int, int]:
        """What `restore` takes."""
        return self.newest, self._seen

    @classmethod
    def restore(cls, newest: int, seen: int) -> "ReplayWindow":
        """A window as it was."""
        window = cls()
        window.newest, window._seen = newest, seen
        return window
