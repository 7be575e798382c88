"""Bodies that come in blocks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.coap.blockwise import (
    MAX_TRANSFERS,
    TRANSFER_TIMEOUT_S,
    BadBlockError,
    Block,
    BodyAssembler,
    IncompleteError,
    TooLargeError,
)
from gateway.errors import GatewayError
from gateway.model import Code

SIZE_16, SIZE_32, SIZE_64, SIZE_1024, RESERVED = 0, 1, 2, 6, 7


class Upload:
    """Sends a body's blocks to an assembler on a clock that the test sets."""

    def __init__(self, **limits: Any) -> None:
        self.assembler = BodyAssembler(**{"max_body_bytes": 1000, **limits})
        self.now_s = 100.0

    def add(
        self, number: int, payload: bytes, *, more: bool = True, exponent: int = SIZE_16, key: str = "a", size1: int = 0
    ) -> bytes | None:
        return self.assembler.add(
            key, Block(number, more, exponent), payload, now_s=self.now_s, announced_bytes=size1 or None
        )

    def fails(self, error: type[GatewayError], number: int, payload: bytes, **block: Any) -> None:
        with pytest.raises(error):
            self.add(number, payload, **block)


@given(body=st.binary(max_size=1000), exponent=st.integers(0, 6))
def test_blocks_in_order_are_the_body(body: bytes, exponent: int) -> None:
    upload = Upload()
    size = 16 << exponent
    blocks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    for number, block in enumerate(blocks[:-1]):
        assert upload.add(number, block, exponent=exponent) is None
    assert upload.add(len(blocks) - 1, blocks[-1], more=False, exponent=exponent) == body
    assert len(upload.assembler) == 0


@pytest.mark.parametrize("number", [2, 3, 60])
def test_a_hole_is_incomplete_and_the_transfer_starts_anew(number: int) -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.fails(IncompleteError, number, b"b" * 16)
    upload.fails(IncompleteError, 1, b"b" * 16)
    assert upload.add(0, b"end", more=False) == b"end"


@pytest.mark.parametrize("more", [True, False])
def test_a_transfer_that_does_not_begin_with_block_0_is_incomplete(more: bool) -> None:
    Upload().fails(IncompleteError, 1, b"b" * 16, more=more)


def test_block_0_starts_the_transfer_anew() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.add(1, b"b" * 16)
    upload.add(0, b"c" * 16)
    assert upload.add(1, b"d", more=False) == b"c" * 16 + b"d"


def test_a_block_that_comes_twice_under_another_message_id_is_incomplete() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.add(1, b"b" * 16)
    upload.fails(IncompleteError, 1, b"b" * 16)


def test_block_0_may_come_twice() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.add(0, b"a" * 16)
    assert upload.add(1, b"b", more=False) == b"a" * 16 + b"b"


def test_the_last_block_twice_is_not_a_second_body() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.add(1, b"b", more=False)
    upload.fails(IncompleteError, 1, b"b", more=False)


def test_the_block_size_may_change_midway() -> None:
    # RFC 7959 §2.3: numbers count in the new size.
    upload = Upload()
    upload.add(0, b"a" * 64, exponent=SIZE_64)
    upload.add(4, b"b" * 16, exponent=SIZE_16)
    upload.add(5, b"c" * 16, exponent=SIZE_16)
    assert upload.add(3, b"d", more=False, exponent=SIZE_32) == b"a" * 64 + b"b" * 16 + b"c" * 16 + b"d"


@pytest.mark.parametrize(
    ("length", "more"), [(15, True), (17, True), (0, True), (17, False), (1024, False), (1024, True)]
)
def test_a_block_of_another_length_than_announced_is_a_bad_request(length: int, more: bool) -> None:
    upload = Upload(max_body_bytes=5000)
    upload.add(0, b"a" * 16)
    upload.fails(BadBlockError, 1, b"b" * length, more=more)
    upload.fails(IncompleteError, 1, b"b", more=False)


@pytest.mark.parametrize("more", [True, False])
def test_the_reserved_size_exponent_is_a_bad_request(more: bool) -> None:
    Upload(max_body_bytes=5000).fails(BadBlockError, 0, b"a" * 1024, more=more, exponent=RESERVED)


@pytest.mark.parametrize("last", [0, 7, 8])
def test_a_body_up_to_the_limit_is_taken(last: int) -> None:
    upload = Upload(max_body_bytes=40)
    upload.add(0, b"a" * 16, size1=40)
    upload.add(1, b"b" * 16)
    assert upload.add(2, b"c" * last, more=False) == b"a" * 16 + b"b" * 16 + b"c" * last


def test_a_body_beyond_the_limit_is_too_large_with_the_first_byte_too_many() -> None:
    upload = Upload(max_body_bytes=40)
    upload.add(0, b"a" * 16)
    upload.add(1, b"b" * 16)
    upload.fails(TooLargeError, 2, b"c" * 9, more=False)
    assert len(upload.assembler) == 0


def test_a_body_that_announces_too_much_is_too_large_at_once() -> None:
    Upload(max_body_bytes=40).fails(TooLargeError, 0, b"a" * 16, size1=41)
    Upload(max_body_bytes=40).fails(TooLargeError, 0, b"a" * 16, size1=0xFFFFFFFF)


def test_a_block_far_beyond_the_limit_is_too_large() -> None:
    Upload(max_body_bytes=40).fails(TooLargeError, 0xFFFFF, b"a" * 16)


def test_the_errors_have_the_codes_of_the_rfc() -> None:
    codes = [IncompleteError.coap_code, TooLargeError.coap_code, BadBlockError.coap_code]
    assert codes == [Code.REQUEST_ENTITY_INCOMPLETE, Code.REQUEST_ENTITY_TOO_LARGE, Code.BAD_REQUEST]
    assert [code.dotted for code in codes] == ["4.08", "4.13", "4.00"]


def test_transfers_do_not_mix() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16, key="one")
    upload.add(0, b"b" * 16, key="other")
    assert upload.add(1, b"!", more=False, key="one") == b"a" * 16 + b"!"
    assert upload.add(1, b"?", more=False, key="other") == b"b" * 16 + b"?"


def test_of_too_many_transfers_the_one_that_waited_longest_goes() -> None:
    upload = Upload(max_transfers=3)
    for key in ("first", "second", "third"):
        upload.add(0, b"a" * 16, key=key)
    upload.add(1, b"b" * 16, key="first")
    upload.add(0, b"a" * 16, key="fourth")
    assert len(upload.assembler) == 3
    upload.fails(IncompleteError, 1, b"b" * 16, key="second")
    assert upload.add(2, b"c", more=False, key="first") == b"a" * 16 + b"b" * 16 + b"c"


def test_there_is_room_for_the_documented_number_of_transfers() -> None:
    upload = Upload()
    for number in range(MAX_TRANSFERS + 1):
        upload.add(0, b"a" * 16, key=f"peer {number}")
    assert len(upload.assembler) == MAX_TRANSFERS
    upload.fails(IncompleteError, 1, b"b", more=False, key="peer 0")
    assert upload.add(1, b"b", more=False, key="peer 1") == b"a" * 16 + b"b"


def test_of_too_many_bytes_those_that_waited_longest_go() -> None:
    upload = Upload(max_bytes=64)
    upload.add(0, b"a" * 16, key="first")
    upload.add(0, b"a" * 32, key="second", exponent=SIZE_32)
    upload.add(0, b"a" * 16, key="third")
    assert len(upload.assembler) == 3
    upload.add(1, b"b" * 16, key="first")
    assert len(upload.assembler) == 2
    upload.fails(IncompleteError, 1, b"b", more=False, key="second", exponent=SIZE_32)
    assert upload.add(2, b"c", more=False, key="first") == b"a" * 16 + b"b" * 16 + b"c"
    upload.add(0, b"a" * 32, key="fourth", exponent=SIZE_32)
    assert upload.add(1, b"c", more=False, key="third") == b"a" * 16 + b"c"


def test_a_transfer_whose_next_block_comes_in_time_goes_on() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.now_s += TRANSFER_TIMEOUT_S - 0.1
    upload.add(1, b"b" * 16)
    upload.now_s += TRANSFER_TIMEOUT_S - 0.1
    assert upload.add(2, b"c", more=False) == b"a" * 16 + b"b" * 16 + b"c"


def test_a_transfer_whose_next_block_comes_too_late_is_forgotten() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    upload.now_s += TRANSFER_TIMEOUT_S
    upload.fails(IncompleteError, 1, b"b" * 16)


def test_forgotten_transfers_make_room() -> None:
    upload = Upload(max_bytes=48)
    upload.add(0, b"a" * 16, key="old")
    upload.now_s += TRANSFER_TIMEOUT_S / 2
    upload.add(0, b"a" * 16, key="newer")
    upload.now_s += TRANSFER_TIMEOUT_S / 2
    upload.add(0, b"a" * 32, key="newest", exponent=SIZE_32)
    assert len(upload.assembler) == 2
    assert upload.add(1, b"!", more=False, key="newer") == b"a" * 16 + b"!"


def test_an_empty_last_block_ends_the_body() -> None:
    upload = Upload()
    upload.add(0, b"a" * 16)
    assert upload.add(1, b"", more=False) == b"a" * 16
