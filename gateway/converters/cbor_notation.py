"""CBOR in its diagnostic notation, as a person types it (RFC 8949 §8, with RFC 8610 appendix G's additions).

    {"t": 21.5, 1: [true, null, h'0102'], "at": 1(1363896240)}

Each value is encoded in its shortest form (RFC 8949 §4.1). Of the notation encoding indicators (`1_1`) are not there,
apart from `_` for indefinite length: `[_ 1, 2]`, `{_ "a": 1}`, `(_ h'01', h'02')`.
"""

import binascii
import json
import re
import struct
from base64 import b64decode
from typing import Final, NoReturn

from gateway.errors import UsageError

DEPTH_MAX: Final = 64
"""How deep items may stand in each other."""

DIGITS_MAX: Final = 1_000
"""Most digits of an integer."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_BREAK: Final = b"\xff"
_WORDS: Final = {
    "false": b"\xf4",
    "true": b"\xf5",
    "null": b"\xf6",
    "undefined": b"\xf7",
    "NaN": b"\xf9\x7e\x00",
    "Infinity": b"\xf9\x7c\x00",
    "-Infinity": b"\xf9\xfc\x00",
}

_BLANK: Final = re.compile(r"(?:\s|/[^/]*/|#[^\n]*(?:\n|\Z))*")
_WORD: Final = re.compile("|".join(sorted(_WORDS, reverse=True)) + r"|simple(?=\()")
_NUMBER: Final = re.compile(
    r"-?(?:0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+|(?:0|[1-9][0-9]*)(?P<real>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))"
)
_TEXT_LITERAL: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BYTES_LITERAL: Final = re.compile(r"(h|b64|)'((?:[^'\\]|\\.)*)'", re.DOTALL)


def encode(notation: str) -> bytes:
    """The CBOR of one item; raises UsageError with the place of a mistake."""
    reader = _Reader(notation)
    item = reader.item(0)
    reader.end()
    return item


class _Reader:
    """Reads items from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def item(self, depth: int) -> bytes:
        """The next item, encoded."""
        self._skip_blank()
        if depth > DEPTH_MAX:
            self._fail(f"more than {DEPTH_MAX} items stand in each other")
        if self._takes("["):
            return self._container(_ARRAY, "]", depth)
        if self._takes("{"):
            return self._container(_MAP, "}", depth)
        if self._takes("<<"):
            return _string(_BYTES, b"".join(self._items(">>", depth)))
        if self._takes("("):
            return self._chunks(depth)
        if match := _WORD.match(self._text, self._at):
            self._at = match.end()
            return _WORDS[match[0]] if match[0] in _WORDS else self._simple()
        if match := _NUMBER.match(self._text, self._at):
            return self._number(match, depth)
        return self._string()

    def end(self) -> None:
        """Make sure that nothing follows."""
        self._skip_blank()
        if self._at < len(self._text):
            self._fail("something follows the item")

    def _container(self, kind: int, closing: str, depth: int) -> bytes:
        indefinite = self._takes("_")
        items = self._items(closing, depth, pairs=kind == _MAP)
        if indefinite:
            return bytes([kind << 5 | 31]) + b"".join(items) + _BREAK
        return _head(kind, len(items)) + b"".join(items)

    def _items(self, closing: str, depth: int, *, pairs: bool = False) -> list[bytes]:
        """Items up to the closing bracket; a pair counts as one."""
        items: list[bytes] = []
        self._skip_blank()
        while not self._takes(closing):
            if items:
                self._needs(",", f"a comma or {closing}")
            item = self.item(depth + 1)
            if pairs:
                self._skip_blank()
                self._needs(":", "a colon")
                item += self.item(depth + 1)
            items.append(item)
            self._skip_blank()
        return items

    def _chunks(self, depth: int) -> bytes:
        """A string of indefinite length (RFC 8949 §8.1)."""
        self._needs("_", "an underscore: ( begins a string of indefinite length")
        start = self._at
        chunks = self._items(")", depth)
        kinds = {chunk[0] >> 5 for chunk in chunks}
        indefinite = any(chunk[0] & 31 == 31 for chunk in chunks)
        if len(kinds) != 1 or indefinite or not kinds <= {_BYTES, _TEXT}:
            self._at = start
            self._fail("a string of indefinite length is made of strings of one kind")
        return bytes([kinds.pop() << 5 | 31]) + b"".join(chunks) + _BREAK

    def _simple(self) -> bytes:
        self._needs("(", "a bracket")
        match = re.compile(r"\s*([0-9]{1,3})\s*\)").match(self._text, self._at)
        value = int(match[1]) if match else -1
        if match is None or not (0 <= value < 24 or 32 <= value < 256):
            self._fail("simple values are 0 to 23 and 32 to 255")
        self._at = match.end()
        return _head(_SIMPLE, value)

    def _number(self, match: re.Match[str], depth: int) -> bytes:
        text, self._at = match[0], match.end()
        if self._text[self._at : self._at + 1].isalnum() or self._text[self._at : self._at + 1] in ("_", "."):
            self._fail("a number ends otherwise (encoding indicators are not there)")
        if match["real"]:
            return _float(float(text))
        if len(text) > DIGITS_MAX:
            self._fail(f"an integer has more than {DIGITS_MAX} digits")
        value = int(text, 0)
        self._skip_blank()
        if value >= 0 and self._takes("("):
            if value >= 1 << 64:
                self._fail("a tag has at most 64 bits")
            tagged = self.item(depth + 1)
            self._skip_blank()
            self._needs(")", "a closing bracket")
            return _head(_TAG, value) + tagged
        return _integer(value)

    def _string(self) -> bytes:
        if match := _TEXT_LITERAL.match(self._text, self._at):
            try:
                content = json.loads(match[0], strict=False).encode()
            except ValueError:  # an escape that JSON does not have, or half of a surrogate pair
                self._fail("a text has an escape that is not right")
            self._at = match.end()
            return _string(_TEXT, content)
        match = _BYTES_LITERAL.match(self._text, self._at)
        if match is None:
            self._fail("a value is expected")
        content = self._bytes(match[1], match[2])
        self._at = match.end()
        return _string(_BYTES, content)

    def _bytes(self, prefix: str, text: str) -> bytes:
        digits = "".join(text.split())
        try:
            if prefix == "h":
                return binascii.unhexlify(digits)
            if prefix == "b64":
                digits = digits.translate(str.maketrans("-_", "+/")).rstrip("=")
                return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
            return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL).encode()
        except ValueError:
            self._fail(f"a byte string {prefix}'…' holds something else")

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _takes(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _needs(self, token: str, name: str) -> None:
        if not self._takes(token):
            self._fail(f"{name} is expected")

    def _fail(self, reason: str) -> NoReturn:
        raise UsageError(
            f"--cbor is not CBOR diagnostic notation: {reason} (character {self._at + 1})",
            hint="quote it for the shell: --cbor '{\"t\": 21.5, 1: [true, null]}'",
        )


def _head(kind: int, value: int) -> bytes:
    """The head of an item in its shortest form (RFC 8949 §3)."""
    if value < 24:
        return bytes([kind << 5 | value])
    for more, size in ((24, 1), (25, 2), (26, 4)):
        if value < 1 << (8 * size):
            return bytes([kind << 5 | more]) + value.to_bytes(size, "big")
    return bytes([kind << 5 | 27]) + value.to_bytes(8, "big")


def _string(kind: int, content: bytes) -> bytes:
    return _head(kind, len(content)) + content


def _integer(value: int) -> bytes:
    """An integer; beyond 64 bits as a bignum (RFC 8949 §3.4.3)."""
    negative = value < 0
    argument = -1 - value if negative else value
    if argument < 1 << 64:
        return _head(_NEGATIVE if negative else _UNSIGNED, argument)
    content = argument.to_bytes((argument.bit_length() + 7) // 8, "big")
    return _head(_TAG, 3 if negative else 2) + _string(_BYTES, content)


def _float(value: float) -> bytes:
    """The shortest of the three floats that has this value (RFC 8949 §4.1)."""
    for first, form in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return bytes([first]) + packed
    return b"\xfb" + struct.pack(">d", value)
