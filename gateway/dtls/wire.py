"""Reading and writing TLS's presentation language (RFC 5246 §4): big-endian numbers and length-prefixed vectors."""

from collections.abc import Iterable
from struct import pack, unpack
from typing import Literal

from gateway.dtls.alerts import DecodeError

_FORMATS = {1: "B", 2: "H"}
"""Of numbers, for `struct`, by their size."""


class Reader:
    """Reads a structure from front to back. Every length is checked before it is used; raises DecodeError."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._position

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        start = self._position
        end = start + length
        if end > self._end:
            raise DecodeError(f"{length} bytes wanted, {self._end - start} left")
        self._position = end
        return self._data[start:end]

    def number(self, size: int) -> int:
        """The next number, of `size` bytes."""
        return int.from_bytes(self.take(size))

    def vector(self, length_size: int, *, shortest: int = 0) -> bytes:
        """The next vector, whose length stands before it in `length_size` bytes."""
        start = self._position + length_size
        length = int.from_bytes(self._data[self._position : start])
        end = start + length
        if end > self._end:
            raise DecodeError(f"a vector of {length} bytes where {max(self._end - start, 0)} are left")
        if length < shortest:
            raise DecodeError(f"a vector of at least {shortest} bytes has {length}")
        self._position = end
        return self._data[start:end]

    def numbers(self, length_size: int, size: Literal[1, 2]) -> tuple[int, ...]:
        """The next vector, as numbers of `size` bytes."""
        data = self.vector(length_size)
        if len(data) % size:
            raise DecodeError(f"a vector of {size}-byte numbers has {len(data)} bytes")
        return unpack(f">{len(data) // size}{_FORMATS[size]}", data)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.remaining)

    def finish(self) -> None:
        """Raises DecodeError where anything is left."""
        if self.remaining:
            raise DecodeError(f"{self.remaining} bytes too many")


def vector(length_size: int, data: bytes) -> bytes:
    """A vector: its length in `length_size` bytes, then itself."""
    return len(data).to_bytes(length_size, "big") + data


def numbers(length_size: int, size: Literal[1, 2], values: Iterable[int]) -> bytes:
    """A vector of numbers of `size` bytes."""
    numbers_ = tuple(values)
    return vector(length_size, pack(f">{len(numbers_)}{_FORMATS[size]}", *numbers_))
