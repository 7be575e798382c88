"""Reading and writing TLS's presentation language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.alerts import DecodeError
from gateway.dtls.wire import Reader, numbers, vector


def test_numbers_are_big_endian() -> None:
    reader = Reader(bytes.fromhex("01 0203 040506"))
    assert [reader.number(1), reader.number(2), reader.number(3)] == [1, 0x0203, 0x040506]
    assert reader.remaining == 0


def test_a_vector_is_what_its_length_says() -> None:
    reader = Reader(b"\0\3abcd")
    assert reader.vector(2) == b"abc"
    assert reader.rest() == b"d"


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\2a", b"\xff\xff" + b"a" * 65534])
def test_a_length_that_reaches_too_far_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Reader(data).vector(2)


def test_a_vector_may_have_to_have_some_length() -> None:
    assert Reader(b"\1a").vector(1, shortest=1) == b"a"
    with pytest.raises(DecodeError, match="at least 1"):
        Reader(b"\0").vector(1, shortest=1)


def test_a_vector_of_numbers_has_whole_ones_only() -> None:
    assert Reader(b"\4\0\1\0\2").numbers(1, 2) == (1, 2)
    with pytest.raises(DecodeError, match="2-byte numbers"):
        Reader(b"\3\0\1\0").numbers(1, 2)


def test_what_is_left_over_is_a_decode_error() -> None:
    reader = Reader(b"ab")
    reader.take(1)
    with pytest.raises(DecodeError, match="1 bytes too many"):
        reader.finish()
    reader.take(1)
    reader.finish()


@given(st.binary(max_size=300), st.lists(st.integers(0, 0xFFFF), max_size=100))
def test_what_is_written_is_read(data: bytes, values: list[int]) -> None:
    reader = Reader(vector(2, data) + numbers(2, 2, values))
    assert reader.vector(2) == data
    assert reader.numbers(2, 2) == tuple(values)
    reader.finish()
