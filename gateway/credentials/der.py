"""As much of DER (X.690 §8.1) as is needed to tell a file's kind, and whether all of it is there."""

from typing import NamedTuple

OCTET_STRING, OBJECT_IDENTIFIER, SEQUENCE = 0x04, 0x06, 0x30

_INDEFINITE = 0x80
"""The length octet of what goes on to an end mark: BER, as some tools write PKCS#12."""


class Element(NamedTuple):
    """One element: its tag, its content, and where the next one begins."""

    tag: int
    content: bytes
    end: int


def element(data: bytes, at: int = 0) -> Element:
    """The element at a place. Raises ValueError where it is cut short or has no definite length."""
    header = data[at : at + 2]
    if len(header) < 2 or header[1] == _INDEFINITE:
        raise ValueError("no element of DER")
    length, start = header[1], at + 2
    if length > 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start], "big")
    end = start + length
    if end > len(data):
        raise ValueError("cut short")
    return Element(header[0], data[start:end], end)


def is_whole(data: bytes) -> bool:
    """Whether these bytes are one SEQUENCE, complete and with nothing behind it; True also for one without a length."""
    if data[:2] == bytes((SEQUENCE, _INDEFINITE)):
        return True
    try:
        found = element(data)
    except ValueError:
        return False
    return found.tag == SEQUENCE and found.end == len(data)


def beginning(data: bytes) -> bytes:
    """The first three bytes of what is in a SEQUENCE, which tell kinds of files apart; nothing where it is none."""
    if len(data) < 2 or data[0] != SEQUENCE:
        return b""
    at = 2 if data[1] <= 0x80 else 2 + (data[1] & 0x7F)
    return data[at : at + 3]
