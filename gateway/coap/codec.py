"""CoAP messages as bytes (RFC 7252 §3): reading, checking and writing them."""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from gateway.model import Code

VERSION = 1
MAX_TOKEN_BYTES = 8
MAX_OPTIONS = 256
"""More than any endpoint's path and query take: a datagram has room for 65,000, which would cost 45 ms to read."""
PAYLOAD_MARKER = b"\xff"
MAX_DIAGNOSTIC_BYTES = 480
"""A diagnostic must fit together with everything else, also where a record holds no more than 512 bytes (RFC 6066)."""


VERSION_ERROR = "version"
TRUNCATED_ERROR = "truncated"
"""The two format errors that are never answered: a message of another version must not be (RFC 7252 §3)."""


class MessageFormatError(ValueError):
    """The datagram is no CoAP message (RFC 7252 §3). The text is a short, fixed reason, fit to be a metric's label."""


class Type(IntEnum):
    """Message types (RFC 7252 §3)."""

    CON = 0
    NON = 1
    ACK = 2
    RST = 3


class OptionNumber(IntEnum):
    """The options that the gateway knows (RFC 7252 §12.2, RFC 7959 §6, RFC 7967 §2, RFC 7641 §2)."""

    URI_HOST = 3
    OBSERVE = 6
    URI_PORT = 7
    LOCATION_PATH = 8
    URI_PATH = 11
    CONTENT_FORMAT = 12
    MAX_AGE = 14
    URI_QUERY = 15
    ACCEPT = 17
    LOCATION_QUERY = 20
    BLOCK2 = 23
    BLOCK1 = 27
    SIZE2 = 28
    PROXY_URI = 35
    PROXY_SCHEME = 39
    SIZE1 = 60
    NO_RESPONSE = 258


class OptionRule(NamedTuple):
    """What RFC 7252 §5.10 says of an option: the lengths of its value in bytes, and whether it may come twice."""

    shortest: int
    longest: int
    repeatable: bool


_RULES = {
    OptionNumber.URI_HOST: OptionRule(1, 255, False),
    OptionNumber.OBSERVE: OptionRule(0, 3, False),
    OptionNumber.URI_PORT: OptionRule(0, 2, False),
    OptionNumber.LOCATION_PATH: OptionRule(0, 255, True),
    OptionNumber.URI_PATH: OptionRule(0, 255, True),
    OptionNumber.CONTENT_FORMAT: OptionRule(0, 2, False),
    OptionNumber.URI_QUERY: OptionRule(0, 255, True),
    OptionNumber.ACCEPT: OptionRule(0, 2, False),
    OptionNumber.LOCATION_QUERY: OptionRule(0, 255, True),
    OptionNumber.BLOCK2: OptionRule(0, 3, False),
    OptionNumber.BLOCK1: OptionRule(0, 3, False),
    OptionNumber.SIZE2: OptionRule(0, 4, False),
    OptionNumber.PROXY_URI: OptionRule(1, 1034, False),
    OptionNumber.PROXY_SCHEME: OptionRule(1, 255, False),
    OptionNumber.SIZE1: OptionRule(0, 4, False),
    OptionNumber.NO_RESPONSE: OptionRule(0, 1, False),
}

Option: TypeAlias = tuple[int, bytes]
"""An option's number and value."""


class Message(NamedTuple):
    """A CoAP message."""

    type: Type
    code: int
    mid: int
    token: bytes
    options: tuple[Option, ...]
    payload: bytes


def parse_message(data: bytes) -> Message:
    """Read a datagram. Raises MessageFormatError where RFC 7252 §3 calls it a message format error."""
    if len(data) < 4:
        raise MessageFormatError(TRUNCATED_ERROR)
    first = data[0]
    if first >> 6 != VERSION:
        raise MessageFormatError(VERSION_ERROR)
    token_length = first & 0x0F
    if token_length > MAX_TOKEN_BYTES:
        raise MessageFormatError("token")
    token_end = 4 + token_length
    if len(data) < token_end:
        raise MessageFormatError(TRUNCATED_ERROR)
    code = data[1]
    if code == Code.EMPTY and len(data) > 4:
        raise MessageFormatError("empty")
    options, payload_start = parse_options(data, token_end)
    return Message(Type(first >> 4 & 3), code, data[2] << 8 | data[3], data[4:token_end], options, data[payload_start:])


def parse_options(data: bytes, start: int) -> tuple[tuple[Option, ...], int]:
    """Read the options that begin at `start` (RFC 7252 §3.1); gives them and where the payload begins."""
    options: list[Option] = []
    number = 0
    position, end = start, len(data)
    while position < end:
        head = data[position]
        position += 1
        if head == 0xFF:
            if position == end:
                raise MessageFormatError("marker")
            return tuple(options), position
        delta, position = _extended(data, head >> 4, position)
        length, position = _extended(data, head & 0x0F, position)
        number += delta
        if number > 0xFFFF:
            raise MessageFormatError("option")
        if position + length > end:
            raise MessageFormatError(TRUNCATED_ERROR)
        if len(options) == MAX_OPTIONS:
            raise MessageFormatError("options")
        options.append((number, data[position : position + length]))
        position += length
    return tuple(options), end


def _extended(data: bytes, nibble: int, position: int) -> tuple[int, int]:
    """An option's delta or length from its nibble and the extension bytes; gives it and the position behind."""
    if nibble < 13:
        return nibble, position
    if nibble == 15:
        raise MessageFormatError("option")
    size = nibble - 12
    if position + size > len(data):
        raise MessageFormatError(TRUNCATED_ERROR)
    base = 13 if size == 1 else 269
    return int.from_bytes(data[position : position + size], "big") + base, position + size


def unacceptable_option(options: Iterable[Option]) -> int | None:
    """The number of the first critical option that is unknown, misplaced or malformed, or None (RFC 7252 §5.4).

    A malformed or repeated option counts as unknown (§5.4.3, §5.4.5); unknown elective ones are ignored.
    """
    previous = -1
    for number, value in options:
        rule = _RULES.get(number)  # type: ignore[call-overload]
        known = (
            rule is not None and rule.shortest <= len(value) <= rule.longest and (rule.repeatable or number != previous)
        )
        if not known and number & 1:
            return number
        previous = number
    return None


def is_well_formed(number: int, value: bytes) -> bool:
    """Whether an elective option's value has a length that its definition allows; otherwise it is ignored."""
    rule = _RULES.get(number)  # type: ignore[call-overload]
    return rule is not None and rule.shortest <= len(value) <= rule.longest


def encode_message(
    type_: Type, code: int, mid: int, token: bytes = b"", options: Iterable[Option] = (), payload: bytes = b""
) -> bytes:
    """Write a message; `options` in any order (RFC 7252 §3)."""
    parts = [bytes((VERSION << 6 | type_ << 4 | len(token), code, mid >> 8, mid & 0xFF)), token]
    previous = 0
    for number, value in sorted(options, key=lambda option: option[0]):
        delta, delta_extension = _nibble(number - previous)
        length, length_extension = _nibble(len(value))
        parts += (bytes((delta << 4 | length,)), delta_extension, length_extension, value)
        previous = number
    if payload:
        parts += (PAYLOAD_MARKER, payload)
    return b"".join(parts)


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes((value - 13,))
    return 14, (value - 269).to_bytes(2, "big")


def encode_uint(value: int) -> bytes:
    """An option value of format uint: no leading zero bytes (RFC 7252 §3.2)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_uint(value: bytes) -> int:
    """The number in an option value of format uint."""
    return int.from_bytes(value, "big")


def diagnostic_payload(text: str) -> bytes:
    """A response's diagnostic as UTF-8 (RFC 7252 §5.5.2), cut at a character where it is too long."""
    encoded = text.encode(errors="replace")
    return encoded[:MAX_DIAGNOSTIC_BYTES].decode(errors="ignore").encode()
