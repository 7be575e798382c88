"""CoAP messages as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.coap.codec import (
    MAX_DIAGNOSTIC_BYTES,
    MAX_OPTIONS,
    Message,
    MessageFormatError,
    Option,
    OptionNumber,
    Type,
    decode_uint,
    diagnostic_payload,
    encode_message,
    encode_uint,
    is_well_formed,
    parse_message,
    unacceptable_option,
)
from gateway.model import Code

options_in_order = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=20).map(
    lambda options: sorted(options, key=lambda option: option[0])
)

messages = st.builds(
    Message,
    type=st.sampled_from(Type),
    code=st.integers(1, 255),
    mid=st.integers(0, 0xFFFF),
    token=st.binary(max_size=8),
    options=options_in_order.map(tuple),
    payload=st.binary(max_size=100),
)


@given(messages)
def test_what_is_written_is_read_back(message: Message) -> None:
    assert parse_message(encode_message(*message)) == message


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_format_error(data: bytes) -> None:
    try:
        message = parse_message(data)
    except MessageFormatError:
        return
    again = parse_message(encode_message(*message))
    assert again == message


def test_a_message_looks_as_in_the_rfc() -> None:
    # RFC 7252, appendix A, figure 16: a GET for /temperature, and its piggybacked response.
    request = encode_message(Type.CON, Code.GET, 0x7D34, options=[(OptionNumber.URI_PATH, b"temperature")])
    assert request == b"\x40\x01\x7d\x34\xbb" + b"temperature"
    response = encode_message(Type.ACK, Code.CONTENT, 0x7D34, payload=b"22.3 C")
    assert response == b"\x60\x45\x7d\x34\xff" + b"22.3 C"


def test_options_are_written_in_the_order_of_their_numbers_and_equal_ones_in_the_given_order() -> None:
    data = encode_message(Type.CON, Code.POST, 1, options=[(15, b"q"), (11, b"b"), (11, b"a"), (3, b"h")])
    assert parse_message(data).options == ((3, b"h"), (11, b"b"), (11, b"a"), (15, b"q"))


@pytest.mark.parametrize("number", [0, 12, 13, 268, 269, 65535])
@pytest.mark.parametrize("length", [0, 12, 13, 268, 269, 1034])
def test_deltas_and_lengths_are_extended_where_the_rfc_says(number: int, length: int) -> None:
    data = encode_message(Type.CON, Code.POST, 1, options=[(number, bytes(length))])
    extension = sum(0 if size < 13 else 1 if size < 269 else 2 for size in (number, length))
    assert len(data) == 4 + 1 + extension + length
    assert parse_message(data).options == ((number, bytes(length)),)


@pytest.mark.parametrize(
    ("hexadecimal", "reason"),
    [
        ("", "truncated"),
        ("400200", "truncated"),
        ("00020001", "version"),
        ("80020001", "version"),
        ("c0020001", "version"),
        *((f"4{length:x}020001" + "00" * 15, "token") for length in range(9, 16)),
        ("4202000161", "truncated"),  # a token of two bytes, of which one is there
        ("4000000100", "empty"),
        ("41000001aa", "empty"),
        ("40020001ff", "marker"),
        ("40020001b161ff", "marker"),
        ("40020001f0", "option"),  # 15 is reserved where it is not the marker
        ("400200010f", "option"),
        ("40020001f1", "option"),
        ("40020001d0", "truncated"),  # no extension byte
        ("40020001e000", "truncated"),  # one of two
        ("400200010d", "truncated"),
        ("400200010e00", "truncated"),
        ("40020001b261", "truncated"),  # a value of two bytes, of which one is there
        ("40020001e0ffff", "option"),  # 65535 + 269
        ("40020001e0fef210", "option"),  # 65535, then one more
    ],
)
def test_a_format_error_has_a_fixed_reason(hexadecimal: str, reason: str) -> None:
    with pytest.raises(MessageFormatError, match=f"^{reason}$"):
        parse_message(bytes.fromhex(hexadecimal))


def test_the_largest_option_number_is_taken() -> None:
    assert parse_message(bytes.fromhex("40020001e0fef2")).options == ((0xFFFF, b""),)


def test_more_options_than_any_request_needs_are_a_format_error() -> None:
    def with_options(count: int) -> bytes:
        return encode_message(Type.CON, Code.POST, 1, options=[(OptionNumber.URI_QUERY, b"")] * count)

    assert len(parse_message(with_options(MAX_OPTIONS)).options) == MAX_OPTIONS
    with pytest.raises(MessageFormatError, match=r"^options$"):
        parse_message(with_options(MAX_OPTIONS + 1))


@pytest.mark.parametrize(
    ("number", "value"), [(0, b""), (1, b"\x01"), (255, b"\xff"), (256, b"\x01\x00"), (0xFFFFFFFF, b"\xff" * 4)]
)
def test_a_uint_has_no_leading_zero_bytes(number: int, value: bytes) -> None:
    assert encode_uint(number) == value
    assert decode_uint(value) == number


def test_a_uint_with_leading_zero_bytes_is_read() -> None:
    assert decode_uint(b"\x00\x00\x05") == 5


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ([(OptionNumber.URI_PATH, b"i"), (OptionNumber.URI_PATH, b"key")], None),
        ([(1, b"")], 1),  # If-Match: critical, and the gateway does not know it
        ([(5, b"")], 5),
        ([(9, b"")], 9),
        ([(0xFFFF, b"")], 0xFFFF),
        ([(OptionNumber.URI_HOST, b"")], OptionNumber.URI_HOST),  # malformed counts as unknown
        ([(OptionNumber.URI_HOST, b"h" * 255)], None),
        ([(OptionNumber.URI_PATH, b"p" * 256)], OptionNumber.URI_PATH),
        ([(OptionNumber.ACCEPT, b"\x00\x00\x28")], OptionNumber.ACCEPT),
        ([(OptionNumber.ACCEPT, b"\x28"), (OptionNumber.ACCEPT, b"\x28")], OptionNumber.ACCEPT),
        ([(OptionNumber.BLOCK1, b"\x06"), (OptionNumber.BLOCK1, b"\x06")], OptionNumber.BLOCK1),
        ([(OptionNumber.BLOCK1, bytes(4))], OptionNumber.BLOCK1),
        ([(2, b""), (0xFFFE, b"x" * 2000)], None),  # elective and unknown
        ([(OptionNumber.CONTENT_FORMAT, b""), (OptionNumber.CONTENT_FORMAT, b"")], None),  # elective
        ([(OptionNumber.NO_RESPONSE, b"\x00\x02")], None),
    ],
)
def test_only_critical_options_can_be_unacceptable(options: list[Option], number: int | None) -> None:
    assert unacceptable_option(options) == number


def test_well_formed_is_a_known_option_with_a_value_of_an_allowed_length() -> None:
    assert is_well_formed(OptionNumber.CONTENT_FORMAT, bytes(2))
    assert not is_well_formed(OptionNumber.CONTENT_FORMAT, bytes(3))
    assert not is_well_formed(0xFFFE, bytes(3))


def test_a_short_diagnostic_is_its_utf_8() -> None:
    assert diagnostic_payload("zu groß") == "zu groß".encode()


@pytest.mark.parametrize("character", ["x", "ß", "€", "😀"])
@pytest.mark.parametrize("offset", range(4))
def test_a_long_diagnostic_is_cut_at_a_character(character: str, offset: int) -> None:
    cut = diagnostic_payload("x" * offset + character * MAX_DIAGNOSTIC_BYTES)
    assert MAX_DIAGNOSTIC_BYTES - 3 <= len(cut) <= MAX_DIAGNOSTIC_BYTES
    assert cut.decode().strip("x" + character) == ""


def test_a_diagnostic_that_utf_8_cannot_hold_is_made_readable() -> None:
    assert diagnostic_payload("lone \ud800") == b"lone ?"
