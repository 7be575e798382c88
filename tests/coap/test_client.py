"""Requests over what carries datagrams: retransmission, separate responses, blocks that fit a record, odd servers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.coap.client import MESSAGE_BYTES_MAX, CarriedClient, Client, Request, Response
from gateway.coap.codec import Message, OptionNumber, Type, encode_message, encode_uint, parse_message
from gateway.errors import GatewayError, UnavailableError, UsageError
from gateway.model import Code

URL = "coaps://gateway.example/i/key"

Answer = Callable[[Message], list[bytes]]
"""What a server sends upon a message."""


def ack(request: Message, code: Code = Code.CHANGED, options: tuple[tuple[int, bytes], ...] = ()) -> bytes:
    return encode_message(Type.ACK, code, request.mid, request.token, options, b"")


def request(answer: Answer, payload: bytes = b"21.5", *, most_bytes: int = 1 << 14, **fields: Any) -> Response:
    """The response to one request; nothing that it sends is longer than `most_bytes`."""

    async def run() -> Response:
        client = CarriedClient(lambda data: take(data), most_bytes=most_bytes)

        def take(data: bytes) -> None:
            assert len(data) <= most_bytes
            for one in answer(parse_message(data)):
                asyncio.get_running_loop().call_soon(client.receive, one)

        try:
            wanted = Request(URL, payload, 0)._replace(**fields)
            return await asyncio.wait_for(client.request(wanted), 20)
        finally:
            await client.close()

    return asyncio.run(run())


def test_a_request_is_what_was_asked_for() -> None:
    seen: list[Message] = []

    def answer(message: Message) -> list[bytes]:
        seen.append(message)
        return [ack(message, Code.CREATED)]

    response = request(answer, method=Code.PUT, content_format=50)
    assert response == ("2.01 Created", b"")
    assert response.is_success
    assert (seen[0].type, seen[0].code, seen[0].payload) == (Type.CON, Code.PUT, b"21.5")
    path = [value for number, value in seen[0].options if number == OptionNumber.URI_PATH]
    assert path == [b"i", b"key"]
    assert (OptionNumber.CONTENT_FORMAT, b"\x32") in seen[0].options


def test_a_request_without_an_answer_is_sent_again() -> None:
    seen: list[Message] = []

    def answer(message: Message) -> list[bytes]:
        seen.append(message)
        return [ack(message)] if len(seen) == 2 else []

    assert request(answer).is_success
    assert seen[0] == seen[1]


def test_a_separate_response_is_acknowledged() -> None:
    seen: list[Message] = []

    def answer(message: Message) -> list[bytes]:
        seen.append(message)
        if message.type is not Type.CON:
            return []
        empty = encode_message(Type.ACK, Code.EMPTY, message.mid)
        return [empty, encode_message(Type.CON, Code.CHANGED, 7, message.token)]

    assert request(answer).code == "2.04 Changed"
    assert [(message.type, message.mid) for message in seen[1:]] == [(Type.ACK, 7)]


def test_a_non_confirmable_request_is_not() -> None:
    def answer(message: Message) -> list[bytes]:
        assert message.type is Type.NON
        return [encode_message(Type.NON, Code.CHANGED, 7, message.token)]

    assert request(answer, confirmable=False).is_success


def test_a_reset_and_a_refusal_are_told_apart() -> None:
    with pytest.raises(UnavailableError, match="RST"):
        request(lambda message: [encode_message(Type.RST, Code.EMPTY, message.mid)])
    assert not request(lambda message: [ack(message, Code.NOT_FOUND)]).is_success


@pytest.mark.parametrize(
    ("most_bytes", "block_bytes"), [(1 << 14, 1024), (1024, 512), (512, 256), (256, 128), (128, 64), (64, 32), (48, 16)]
)
def test_a_long_payload_goes_in_blocks_that_fit_a_record(most_bytes: int, block_bytes: int) -> None:
    payload = bytes(range(256)) * 8
    blocks: list[bytes] = []

    def answer(message: Message) -> list[bytes]:
        blocks.append(message.payload)
        (block,) = (value for number, value in message.options if number == OptionNumber.BLOCK1)
        more = int.from_bytes(block) & 8
        return [ack(message, Code.CONTINUE if more else Code.CHANGED, ((OptionNumber.BLOCK1, block),))]

    # A host that is an address takes no Uri-Host.
    assert request(answer, payload, most_bytes=most_bytes, url="coaps://127.0.0.1/i/key").is_success
    assert b"".join(blocks) == payload
    assert {len(block) for block in blocks} == {block_bytes}


@pytest.mark.parametrize("length", [1000, 1024, 1060, 1100, 1124, 1152, 1200])
def test_no_message_is_longer_than_a_datagram_should_be(length: int) -> None:
    def answer(message: Message) -> list[bytes]:
        assert len(encode_message(*message)) <= MESSAGE_BYTES_MAX
        block = next((value for number, value in message.options if number == OptionNumber.BLOCK1), None)
        if block is None:
            return [ack(message)]
        more = int.from_bytes(block) & 8
        return [ack(message, Code.CONTINUE if more else Code.CHANGED, ((OptionNumber.BLOCK1, block),))]

    assert request(answer, bytes(length)).is_success


def test_a_server_may_ask_for_smaller_blocks() -> None:
    sizes: list[int] = []

    def answer(message: Message) -> list[bytes]:
        sizes.append(len(message.payload))
        (block,) = (int.from_bytes(value) for number, value in message.options if number == OptionNumber.BLOCK1)
        smaller = encode_uint(block & ~7 | 2)
        return [ack(message, Code.CONTINUE if block & 8 else Code.CHANGED, ((OptionNumber.BLOCK1, smaller),))]

    assert request(answer, bytes(2048)).is_success
    assert sizes[0] == 1024
    assert set(sizes[1:]) == {64}


def test_a_path_that_fills_a_record_is_refused() -> None:
    with pytest.raises(UsageError, match="the path alone"):
        request(lambda message: [], most_bytes=512, url="coaps://h/" + "x" * 250 + "/" + "y" * 250)


@pytest.mark.parametrize("url", ["coaps://h/%ff", "coaps://h/i?%ff", "coaps://%ff/i"])
def test_an_url_that_is_no_text_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no URL of a CoAP resource"):
        request(lambda message: [], url=url)


def test_the_end_of_the_session_ends_what_is_under_way_and_all_that_follows() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()

        def send(data: bytes) -> None:
            loop.call_soon(client.end, "closed by the peer")

        client = CarriedClient(send, most_bytes=1024)
        reasons = []
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                await asyncio.wait_for(client.request(Request(URL, b"", None)), 10)
            reasons.append(caught.value.message)
        await client.close()
        return reasons

    assert asyncio.run(run()) == ["closed by the peer"] * 2


def test_requests_of_the_server_are_not_answered() -> None:
    seen: list[Message] = []

    def answer(message: Message) -> list[bytes]:
        seen.append(message)
        return [encode_message(Type.CON, Code.GET, 1, b"t"), ack(message)]

    assert request(answer).is_success
    assert len(seen) == 1


def test_an_unknown_critical_option_makes_a_response_none() -> None:
    def answer(message: Message) -> list[bytes]:
        return [ack(message, Code.CREATED, ((9, b""),)), ack(message, Code.CHANGED)]

    assert request(answer).code == "2.04 Changed"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_a_server_sends_the_request_ends_in_words(data: st.DataObject) -> None:
    """Junk, and answers with odd options; behind them comes the right one."""
    numbers = st.sampled_from([*OptionNumber, 4, 5, 9, 60, 258, 65001])
    options = st.lists(st.tuples(numbers, st.binary(max_size=9)), max_size=4)
    codes = st.sampled_from([0x00, 0x01, 0x41, 0x45, 0x5F, 0x84, 0x88, 0xA0, 0xE1, 0xFF])

    def answer(message: Message) -> list[bytes]:
        odd = [
            encode_message(data.draw(st.sampled_from(Type)), data.draw(codes), mid, message.token, data.draw(options))
            for mid in (message.mid, 1)
        ]
        return [data.draw(st.binary(max_size=40)), *odd, ack(message)]

    try:
        assert request(answer, confirmable=True).code[1] == "."
    except GatewayError as error:
        assert error.message


def test_over_udp_it_is_the_same() -> None:
    async def run() -> None:
        client = await Client.over_udp()
        try:
            with pytest.raises(UsageError, match="no URL"):
                await client.request(Request("coap://h/%ff", b"", None))
        finally:
            await client.close()

    asyncio.run(run())
