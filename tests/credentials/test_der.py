"""Elements of DER, sound and cut short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.der import OCTET_STRING, SEQUENCE, Element, beginning, element, is_whole


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 70_000])
def test_an_element_is_read_whatever_the_form_of_its_length(size: int) -> None:
    content = bytes(size)
    length = (
        bytes((size,))
        if size < 128
        else (lambda raw: bytes((0x80 | len(raw),)) + raw)(size.to_bytes((size.bit_length() + 7) // 8, "big"))
    )
    data = bytes((SEQUENCE,)) + length + content
    assert element(data + b"more") == Element(SEQUENCE, content, len(data))
    assert element(b"before" + data, 6) == Element(SEQUENCE, content, len(data) + 6)
    assert is_whole(data)
    assert not is_whole(data + b"\0")
    assert not is_whole(data[:-1])
    for short in (b"", data[:1], data[:-1]):
        with pytest.raises(ValueError, match=r"no element|cut short"):
            element(short)


def test_only_a_sequence_is_whole_and_one_without_a_length_counts_as_one() -> None:
    assert not is_whole(bytes((OCTET_STRING, 0)))
    assert is_whole(bytes.fromhex("3080020103 0000"))
    with pytest.raises(ValueError, match="no element"):
        element(bytes.fromhex("3080 0000"))


@pytest.mark.parametrize("header", ["3003", "308103", "30820003", "3080"])
def test_the_beginning_of_a_sequence_is_what_follows_its_header(header: str) -> None:
    assert beginning(bytes.fromhex(header + "020103")) == bytes.fromhex("020103")


@pytest.mark.parametrize("data", ["", "30", "0403020103", "feedfeed"])
def test_what_is_no_sequence_has_no_beginning(data: str) -> None:
    assert beginning(bytes.fromhex(data)) == b""


@given(st.binary(max_size=40), st.integers(0, 45))
def test_any_bytes_are_an_element_or_a_value_error(data: bytes, at: int) -> None:
    is_whole(data)
    beginning(data)
    try:
        found = element(data, at)
    except ValueError:
        return
    assert at < found.end <= len(data)
    assert data[found.end - len(found.content) : found.end] == found.content
