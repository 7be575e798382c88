"""The slow lane: uploads in blocks and discovery, through the endpoint."""

import asyncio
import types

import pytest

from gateway.coap.codec import Message, Option, OptionNumber, Type, encode_uint
from gateway.coap.endpoint import Handler
from gateway.errors import BadRequestError, MethodNotAllowedError, UnavailableError
from gateway.metrics import BRIDGE_REFUSED_TOTAL, DUPLICATES_TOTAL
from gateway.model import Code, Outcome, Request

from .rig import CREATED, OTHER_PEER, PEER, BridgedRig, option, request, run

BODY = bytes(number % 251 for number in range(20_000))
ETAG = 4
CORE = ".well-known/core"
MANY = [("api", "i", f"key-{number:03}") for number in range(200)]


def block(number: int, more: bool, exponent: int) -> bytes:
    """The value of a Block option."""
    return encode_uint(number << 4 | more << 3 | exponent)


def block1(number: int, more: bool, exponent: int = 6) -> Option:
    return OptionNumber.BLOCK1, block(number, more, exponent)


def uploads(body: bytes, *, exponent: int = 6, first_mid: int = 1, type_: Type = Type.CON) -> list[bytes]:
    """The messages that carry a body in blocks."""
    size = 16 << exponent
    count = (len(body) + size - 1) // size
    return [
        request(
            first_mid + number,
            type_=type_,
            token=bytes((number,)),
            options=[block1(number, number < count - 1, exponent), (OptionNumber.SIZE1, encode_uint(len(body)))],
            payload=body[number * size : (number + 1) * size],
        )
        for number in range(count)
    ]


def discover(mid: int, *, options: tuple[Option, ...] = (), code: int = Code.GET, type_: Type = Type.CON) -> bytes:
    return request(mid, code=code, type_=type_, path=CORE, options=options, payload=b"")


# -- uploads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [2, 6])
@pytest.mark.parametrize("type_", [Type.CON, Type.NON])
def test_an_upload_in_blocks_is_continued_and_at_its_end_created(exponent: int, type_: Type) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            body = BODY[: 320 << exponent]
            messages = uploads(body, exponent=exponent, type_=type_)
            for number, message in enumerate(messages):
                last = number == len(messages) - 1
                answer = await rig.bridged(message)
                assert answer.type is (Type.ACK if type_ is Type.CON else Type.NON)
                assert (answer.code, answer.token) == (Code.CREATED if last else Code.CONTINUE, bytes((number,)))
                assert option(answer, OptionNumber.BLOCK1) == block(number, not last, exponent)
                assert not last or not answer.payload
                if type_ is Type.CON:
                    assert answer.mid == number + 1
            assert rig.uplinks == [body]

    run(scenario())


def test_20_kb_arrive_whole() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            answers = [await rig.bridged(message) for message in uploads(BODY)]
            assert [answer.code for answer in answers] == [Code.CONTINUE] * 19 + [Code.CREATED]
            assert rig.uplinks == [BODY]

    run(scenario())


def test_a_hole_is_answered_4_08_and_block_0_begins_anew() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            first, _, third, *_ = uploads(BODY)
            await rig.bridged(first)
            assert (await rig.bridged(third)).code == Code.REQUEST_ENTITY_INCOMPLETE
            for message in uploads(BODY[:2048], first_mid=100):
                answer = await rig.bridged(message)
            assert answer.code == Code.CREATED
            assert rig.uplinks == [BODY[:2048]]

    run(scenario())


@pytest.mark.parametrize(("length", "code"), [(2999, Code.CREATED), (3000, Code.CREATED), (3001, 0x8D)])
def test_a_body_beyond_the_limit_is_answered_4_13_with_size1(length: int, code: int) -> None:
    async def scenario() -> None:
        async with BridgedRig(max_body_bytes=3000) as rig:
            for message in uploads(BODY[:length]):
                answer = await rig.bridged(message)
                if answer.code != Code.CONTINUE:
                    break
            assert answer.code == code
            too_large = code == Code.REQUEST_ENTITY_TOO_LARGE
            assert option(answer, OptionNumber.SIZE1) == (encode_uint(3000) if too_large else None)
            assert option(answer, OptionNumber.BLOCK1) == (block(0, True, 6) if too_large else block(2, False, 6))

    run(scenario())


def test_the_limit_holds_for_a_whole_payload_that_comes_by_the_slow_lane() -> None:
    async def scenario() -> None:
        async with BridgedRig(max_body_bytes=100) as rig:
            early = [(OptionNumber.BLOCK2, b"\x06")]
            assert (await rig.bridged(request(1, options=early, payload=bytes(100)))).code == Code.CREATED
            assert (await rig.bridged(request(2, options=early, payload=bytes(101)))).code == 0x8D
            assert rig.uplinks == [bytes(100)]

    run(scenario())


@pytest.mark.parametrize(
    ("option", "payload"),
    [(block1(0, True), bytes(1023)), (block1(0, True), bytes(1025)), (block1(0, False, 7), bytes(10))],
)
def test_a_block_unlike_its_option_is_answered_4_00(option: Option, payload: bytes) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            assert (await rig.bridged(request(1, options=[option], payload=payload))).code == Code.BAD_REQUEST

    run(scenario())


def test_a_duplicate_block_gets_the_same_bytes_and_is_not_fed_twice() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            for message in uploads(BODY[:5000]):
                first = await rig.bridged(message)
                assert rig.answers(message) == [first]
            assert rig.uplinks == [BODY[:5000]]
            assert rig.metrics.counters[(DUPLICATES_TOTAL,)] == 5

    run(scenario())


def test_a_duplicate_block_before_the_answer_is_silent() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            message = uploads(BODY[:2000])[0]
            assert rig.answers(message, message) == []
            assert len(await rig.next_sent()) == 1
            assert await rig.next_sent(patience_s=1) == []

    run(scenario())


def test_uploads_of_several_peers_and_endpoints_do_not_mix() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            first, second = uploads(BODY[:1500])
            for peer in (PEER, OTHER_PEER):
                assert (await rig.bridged(first, peer)).code == Code.CONTINUE
            elsewhere = request(9, path="i/other", options=[block1(1, False)], payload=b"x")
            assert (await rig.bridged(elsewhere)).code == Code.REQUEST_ENTITY_INCOMPLETE
            for peer in (PEER, OTHER_PEER):
                assert (await rig.bridged(second, peer)).code == Code.CREATED
            assert rig.uplinks == [BODY[:1500]] * 2

    run(scenario())


@pytest.mark.parametrize("outcome", [BadRequestError("no good").outcome, UnavailableError("full", max_age_s=5).outcome])
@pytest.mark.parametrize("raised", [True, False])
def test_what_the_handler_says_of_the_body_is_the_last_answer(outcome: Outcome, raised: bool) -> None:
    error = BadRequestError("no good") if outcome.max_age_s is None else UnavailableError("full", max_age_s=5)

    async def scenario() -> None:
        async with BridgedRig() as rig:
            rig.answer = error if raised else outcome
            first, last = uploads(BODY[:1500])
            assert (await rig.bridged(first)).code == Code.CONTINUE
            answer = await rig.bridged(last)
            assert (answer.code, answer.payload) == (outcome.code, outcome.diagnostic.encode())
            assert option(answer, OptionNumber.MAX_AGE) == (b"\x05" if outcome.max_age_s else None)
            assert option(answer, OptionNumber.BLOCK1) == block(1, False, 6)

    run(scenario())


def test_a_body_whose_commit_takes_long_is_acknowledged_and_answered_separately() -> None:
    async def scenario() -> None:
        async with BridgedRig(piggyback_timeout_s=0.5) as rig:
            rig.answer = None
            message = request(7, options=[block1(0, False)], payload=b"body")
            started_s = asyncio.get_running_loop().time()
            assert await rig.bridged(message) == (Type.ACK, Code.EMPTY, 7, b"", (), b"")
            assert asyncio.get_running_loop().time() - started_s == pytest.approx(0.5)
            assert rig.answers(message) == [(Type.ACK, Code.EMPTY, 7, b"", (), b"")]
            rig.tickets[0].complete(CREATED)
            (response,) = await rig.next_sent()
            assert (response.type, response.code, response.token) == (Type.CON, Code.CREATED, b"tk")
            assert option(response, OptionNumber.BLOCK1) == block(0, False, 6)
            assert await rig.next_sent() == [response]  # again, until it is acknowledged

    run(scenario())


@pytest.mark.parametrize("type_", [Type.CON, Type.NON])
def test_no_response_holds_for_uploads_too(type_: Type) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            options = [block1(0, False), (OptionNumber.NO_RESPONSE, b"\x02")]
            silent = request(7, type_=type_, options=options, payload=b"body")
            assert rig.feed(silent) == []
            empty_ack = Message(Type.ACK, Code.EMPTY, 7, b"", (), b"")
            assert await rig.next_sent(patience_s=300) == ([empty_ack] if type_ is Type.CON else [])
            assert rig.answers(silent) == ([empty_ack] if type_ is Type.CON else [])
            assert rig.uplinks == [b"body"]
            rig.answer = BadRequestError("no good")
            loud = await rig.bridged(request(8, type_=type_, options=options, payload=b"body"))
            assert loud.code == Code.BAD_REQUEST
            assert option(loud, OptionNumber.NO_RESPONSE) is None

    run(scenario())


def test_options_that_are_as_good_as_absent_do_not_trouble_the_slow_lane() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            options = [
                (OptionNumber.URI_HOST, b"\xff\xfe"),
                (OptionNumber.URI_PORT, b"\x16\x33"),
                (OptionNumber.CONTENT_FORMAT, bytes(range(200))),
                (2050, b"\xff"),
                block1(0, False),
            ]
            assert (await rig.bridged(request(1, options=options, payload=b"body"))).code == Code.CREATED
            assert rig.resolved[0].content_format is None

    run(scenario())


def test_a_path_that_is_not_utf_8_is_a_bad_request_here_too() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            options = [(OptionNumber.URI_PATH, b"\xff"), block1(0, False)]
            assert (await rig.bridged(request(1, options=options))).code == Code.BAD_REQUEST

    run(scenario())


def test_get_on_an_endpoint_is_4_05_with_and_without_block2() -> None:
    def post_only(asked: Request) -> Handler:
        assert asked.method == Code.GET
        raise MethodNotAllowedError("an endpoint takes POST and PUT")

    async def scenario() -> None:
        async with BridgedRig(resolve=post_only) as rig:
            plain = await rig.bridged(request(1, code=Code.GET, payload=b""))
            blockwise = await rig.bridged(
                request(2, code=Code.GET, options=[(OptionNumber.BLOCK2, b"\x06")], payload=b"")
            )
            assert plain.code == blockwise.code == Code.METHOD_NOT_ALLOWED
            assert plain.payload == blockwise.payload

    run(scenario())


def test_beyond_its_rate_the_slow_lane_answers_5_03_and_the_express_lane_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = types.SimpleNamespace(now_s=50.0, time_ns=lambda: 0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr("gateway.coap.bridge.time", clock)

    async def scenario() -> None:
        async with BridgedRig(messages_per_s=2) as rig:
            codes = [(await rig.bridged(discover(mid))).code for mid in range(2)]
            refused = await rig.bridged(discover(3))
            assert [*codes, refused.code] == [Code.CONTENT, Code.CONTENT, Code.SERVICE_UNAVAILABLE]
            assert option(refused, OptionNumber.MAX_AGE) == b"\x01"
            assert (await rig.bridged(uploads(BODY, first_mid=10)[0])).code == Code.SERVICE_UNAVAILABLE
            assert rig.metrics.counters[(BRIDGE_REFUSED_TOTAL,)] == 2
            assert rig.one_answer(request(20)).code == Code.CREATED
            clock.now_s += 0.5
            assert (await rig.bridged(discover(4))).code == Code.CONTENT
            assert (await rig.bridged(discover(5))).code == Code.SERVICE_UNAVAILABLE
            clock.now_s += 100
            codes = [(await rig.bridged(discover(mid))).code for mid in range(30, 33)]
            assert codes == [Code.CONTENT, Code.CONTENT, Code.SERVICE_UNAVAILABLE]

    run(scenario())


# -- discovery ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", [Type.CON, Type.NON])
@pytest.mark.parametrize(
    ("query", "links"),
    [
        ((), '</i>,</i/key>;rt="uplink"'),
        ((b"rt=uplink",), '</i/key>;rt="uplink"'),
        ((b"rt=up*",), '</i/key>;rt="uplink"'),
        ((b"href=/i",), "</i>"),
        ((b"href=/i*",), '</i>,</i/key>;rt="uplink"'),
        ((b"rt=other",), ""),
    ],
)
def test_discovery_lists_and_filters(query: tuple[bytes, ...], links: str, type_: Type) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            options = tuple((OptionNumber.URI_QUERY, part) for part in query)
            answer = await rig.bridged(discover(1, options=options, type_=type_))
            assert (answer.code, answer.payload.decode()) == (Code.CONTENT, links)
            assert option(answer, OptionNumber.CONTENT_FORMAT) == b"\x28"
            assert option(answer, OptionNumber.BLOCK2) is None

    run(scenario())


@pytest.mark.parametrize(
    ("accept", "code"), [(b"\x28", Code.CONTENT), (b"", 0x86), (b"\x32", 0x86), (b"\xff\xff", 0x86)]
)
def test_discovery_has_one_content_format(accept: bytes, code: int) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            assert (await rig.bridged(discover(1, options=((OptionNumber.ACCEPT, accept),)))).code == code

    run(scenario())


@pytest.mark.parametrize("code", [Code.POST, Code.PUT, Code.DELETE, Code.FETCH, 0x1F])
@pytest.mark.parametrize("options", [(), (block1(0, True),), (block1(3, True),)])
def test_discovery_takes_get_only_and_keeps_no_blocks(code: int, options: tuple[Option, ...]) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            message = request(1, code=code, path=CORE, options=options, payload=bytes(1024))
            assert (await rig.bridged(message)).code == Code.METHOD_NOT_ALLOWED

    run(scenario())


@pytest.mark.parametrize(("exponent", "named_at_first"), [(0, True), (2, True), (6, True), (6, False)])
def test_a_long_list_comes_in_blocks_of_one_etag(exponent: int, named_at_first: bool) -> None:
    async def scenario() -> None:
        async with BridgedRig(endpoints=MANY) as rig:
            body, etags, number, more = b"", set(), 0, True
            while more:
                asked = (OptionNumber.BLOCK2, block(number, False, exponent))
                answer = await rig.bridged(discover(number, options=(asked,) if number or named_at_first else ()))
                more = option(answer, OptionNumber.BLOCK2) == block(number, True, exponent)
                assert more or option(answer, OptionNumber.BLOCK2) == block(number, False, exponent)
                assert len(answer.payload) == 16 << exponent or not more
                etags.add(option(answer, ETAG))
                body += answer.payload
                number += 1
            links = body.decode().split(",")
            assert len(links) == 2 + len(MANY)
            assert links[-1] == '</api/i/key-199>;rt="uplink"'
            assert len(etags) == 1
            assert None not in etags

    run(scenario())


@pytest.mark.parametrize("value", [block(0xFFFFF, False, 6), block(10_000, False, 0), block(0, False, 7)])
def test_a_block_that_there_is_not_is_a_bad_request(value: bytes) -> None:
    async def scenario() -> None:
        async with BridgedRig(endpoints=MANY) as rig:
            answer = await rig.bridged(discover(1, options=((OptionNumber.BLOCK2, value),)))
            assert answer.code == Code.BAD_REQUEST

    run(scenario())


def test_a_list_that_fits_the_block_comes_whole() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            answer = await rig.bridged(discover(1, options=((OptionNumber.BLOCK2, block(0, False, 2)),)))
            assert answer.payload == b'</i>,</i/key>;rt="uplink"'

    run(scenario())


def test_without_integrations_the_list_is_empty() -> None:
    async def scenario() -> None:
        async with BridgedRig(endpoints=()) as rig:
            answer = await rig.bridged(discover(1))
            assert (answer.code, answer.payload) == (Code.CONTENT, b"")

    run(scenario())
