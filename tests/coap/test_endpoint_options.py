"""What the express lane makes of a request's options, and what it remembers of them."""

import pytest

from gateway.coap.codec import Option, OptionNumber, Type, encode_message
from gateway.coap.endpoint import MEMOISED_BYTES, MEMOISED_ROUTES, Handler
from gateway.errors import BadRequestError, NotFoundError, UnavailableError
from gateway.model import Code, Outcome, Request, Security

from .rig import CREATED, Rig, path_options, request

IF_MATCH, UNKNOWN_CRITICAL, UNKNOWN_ELECTIVE = 1, 2049, 2050
SUCCESSES, CLIENT_ERRORS, SERVER_ERRORS = b"\x02", b"\x08", b"\x10"


@pytest.fixture
def rig() -> Rig:
    return Rig()


# -- which options are acceptable --------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [(IF_MATCH, b"")],
        [(UNKNOWN_CRITICAL, b"x")],
        [(OptionNumber.URI_HOST, b"")],
        [(OptionNumber.ACCEPT, b""), (OptionNumber.ACCEPT, b"\x32")],
        [(OptionNumber.URI_PATH, b"x" * 256)],
    ],
)
def test_an_unacceptable_critical_option_is_4_02_for_a_con_and_silence_for_a_non(
    rig: Rig, options: list[Option]
) -> None:
    answer = rig.one_answer(request(7, options=options))
    assert (answer.type, answer.code, answer.mid) == (Type.ACK, Code.BAD_OPTION, 7)
    assert str(max(number for number, _ in options)).encode() in answer.payload
    assert rig.feed(request(8, type_=Type.NON, options=options)) == []
    assert rig.dropped("option") == 1
    assert rig.uplinks == []


@pytest.mark.parametrize(
    "options",
    [
        [(UNKNOWN_ELECTIVE, b"x" * 300)],
        [(OptionNumber.OBSERVE, b"")],
        [(OptionNumber.CONTENT_FORMAT, b"\x00\x00\x32")],
        [(OptionNumber.URI_HOST, b"gateway.example"), (OptionNumber.URI_PORT, b"\x16\x33")],
        [(OptionNumber.ACCEPT, b"\x32")],
        [(OptionNumber.SIZE1, b"\x02")],
    ],
)
@pytest.mark.parametrize("type_", [Type.CON, Type.NON])
def test_elective_options_and_those_that_change_nothing_are_ignored(
    rig: Rig, options: list[Option], type_: Type
) -> None:
    assert rig.one_answer(request(7, type_=type_, options=options)).code == Code.CREATED
    (resolved,) = rig.resolved
    assert resolved.content_format is None


def test_a_second_content_format_is_ignored_as_elective_options_are(rig: Rig) -> None:
    rig.one_answer(request(7, options=[(OptionNumber.CONTENT_FORMAT, b"\x32"), (OptionNumber.CONTENT_FORMAT, b"")]))
    assert rig.resolved[0].content_format == 50


def test_the_resolver_sees_what_the_request_asks_for(rig: Rig) -> None:
    rig.one_answer(
        request(
            7,
            code=Code.PUT,
            path="api/v2/i/schlüssel",
            options=[
                (OptionNumber.URI_QUERY, b"a=1"),
                (OptionNumber.URI_QUERY, "ä=2".encode()),
                (OptionNumber.CONTENT_FORMAT, b"\x2d\x16"),
                (OptionNumber.LOCATION_PATH, b"there"),
                (OptionNumber.LOCATION_QUERY, b"q"),
            ],
        )
    )
    assert rig.resolved == [
        Request(
            security=Security.PLAIN,
            method=Code.PUT,
            path=("api", "v2", "i", "schlüssel"),
            query=("a=1", "ä=2"),
            content_format=11542,
            location_path=("there",),
            location_query=("q",),
        )
    ]


def test_the_resolver_is_told_how_the_request_came() -> None:
    rig = Rig(security=Security.DTLS)
    rig.one_answer(request(7))
    assert rig.resolved[0].security is Security.DTLS


@pytest.mark.parametrize("number", [OptionNumber.URI_PATH, OptionNumber.URI_QUERY, OptionNumber.LOCATION_PATH])
def test_a_text_that_is_not_utf_8_is_a_bad_request(rig: Rig, number: int) -> None:
    answer = rig.one_answer(request(7, options=[(number, b"\xff\xfe")]))
    assert (answer.code, answer.payload) == (Code.BAD_REQUEST, b"paths and queries must be UTF-8")
    assert rig.uplinks == []


@pytest.mark.parametrize("option", [(OptionNumber.PROXY_URI, b"coap://x/"), (OptionNumber.PROXY_SCHEME, b"coap")])
def test_the_gateway_is_no_proxy(rig: Rig, option: Option) -> None:
    assert rig.one_answer(request(7, options=[option])).code == 0xA5
    assert rig.one_answer(request(8, type_=Type.NON, options=[option])).code == 0xA5
    assert rig.uplinks == []


@pytest.mark.parametrize("code", [Code.GET, Code.DELETE, Code.FETCH, Code.PATCH, Code.IPATCH, 0x1F])
def test_other_methods_are_the_resolvers_to_refuse(code: int) -> None:
    def refuse(asked: Request) -> Handler:
        assert asked.method == code
        raise NotFoundError("not here")

    answer = Rig(resolve=refuse).one_answer(request(7, code=code, payload=b""))
    assert (answer.type, answer.code, answer.payload) == (Type.ACK, Code.NOT_FOUND, b"not here")


# -- No-Response (RFC 7967) --------------------------------------------------------------------------


@pytest.mark.parametrize("seen_before", [False, True])
@pytest.mark.parametrize(
    ("unwanted", "outcome", "suppressed"),
    [
        (b"", CREATED, False),
        (SUCCESSES, CREATED, True),
        (CLIENT_ERRORS, CREATED, False),
        (SERVER_ERRORS, CREATED, False),
        (b"\x1a", CREATED, True),
        (SUCCESSES, BadRequestError("no").outcome, False),
        (CLIENT_ERRORS, BadRequestError("no").outcome, True),
        (SERVER_ERRORS, UnavailableError("no").outcome, True),
        (CLIENT_ERRORS, UnavailableError("no").outcome, False),
        (b"\x1a", UnavailableError("no").outcome, True),
        (b"\x00\x02", CREATED, False),  # malformed: ignored
    ],
)
def test_no_response_turns_a_con_into_an_empty_ack_and_a_non_into_silence(
    rig: Rig, unwanted: bytes, outcome: Outcome, suppressed: bool, seen_before: bool
) -> None:
    options = [(OptionNumber.NO_RESPONSE, unwanted)]
    if seen_before:
        rig.feed(request(1, options=options))
        rig.uplinks.clear()
    rig.answer = outcome
    con = rig.one_answer(request(7, options=options))
    non = rig.answers(request(8, type_=Type.NON, options=options))
    assert len(rig.uplinks) == 2
    if suppressed:
        assert con == (Type.ACK, Code.EMPTY, 7, b"", (), b"")
        assert non == []
        assert rig.one_answer(request(7, options=options)) == con
    else:
        assert (con.code, con.mid) == (outcome.code, 7)
        assert [message.code for message in non] == [outcome.code]


def test_no_response_holds_for_what_the_endpoint_itself_refuses(rig: Rig) -> None:
    options = [(OptionNumber.NO_RESPONSE, CLIENT_ERRORS), (UNKNOWN_CRITICAL, b"")]
    assert rig.one_answer(request(7, options=options)) == (Type.ACK, Code.EMPTY, 7, b"", (), b"")


# -- memoised routes ---------------------------------------------------------------------------------


def test_equal_options_are_resolved_once(rig: Rig) -> None:
    for mid in range(5):
        rig.one_answer(request(mid, token=bytes(mid), payload=bytes(mid + 1)))
    rig.one_answer(request(5, type_=Type.NON, code=Code.PUT))
    assert len(rig.resolved) == 1
    rig.one_answer(request(6, path="i/other"))
    rig.one_answer(request(7, options=[(OptionNumber.CONTENT_FORMAT, b"\x32")]))
    assert len(rig.resolved) == 3
    assert len(rig.uplinks) == 8


def test_forgotten_handlers_are_resolved_anew(rig: Rig) -> None:
    rig.one_answer(request(1))
    rig.endpoint.forget_handlers()
    rig.one_answer(request(2))
    rig.one_answer(request(3))
    assert len(rig.resolved) == 2


def test_what_could_not_be_resolved_is_asked_for_each_time() -> None:
    asked: list[Request] = []

    def refuse(request: Request) -> Handler:
        asked.append(request)
        raise NotFoundError("not here")

    rig = Rig(resolve=refuse)
    for mid in range(3):
        assert rig.one_answer(request(mid)).code == Code.NOT_FOUND
    assert len(asked) == 3


@pytest.mark.parametrize(
    "value", [b"\xff", b"\xff\xff\xff", b"a\xffb", b"\xff{}", bytes([0xFF]) * 300, b"\xc3\xbf", b"\xb1a\xff"]
)
@pytest.mark.parametrize("number", [UNKNOWN_ELECTIVE, OptionNumber.CONTENT_FORMAT, 4])
def test_a_marker_byte_in_an_option_never_splits_the_message(rig: Rig, number: int, value: bytes) -> None:
    plain = request(0, payload=b"before")
    rig.one_answer(plain)
    for mid, payload in enumerate((b"\xff", b"{}", b"a\xff", b"\xff\xffx", b""), start=1):
        assert rig.one_answer(request(mid, options=[(number, value)], payload=payload)).code == Code.CREATED
        assert rig.uplinks[-1] == payload
        assert rig.one_answer(request(mid + 100, payload=payload)).code == Code.CREATED
        assert rig.uplinks[-1] == payload


def test_a_payload_that_looks_like_options_is_a_payload(rig: Rig) -> None:
    rig.one_answer(request(0))
    payload = encode_message(Type.CON, Code.POST, 0, b"", path_options("i/key"), b"{}")[4:]
    rig.one_answer(request(1, payload=payload))
    assert rig.uplinks[-1] == payload


def test_tokens_that_look_like_options_and_markers_are_tokens(rig: Rig) -> None:
    rig.one_answer(request(0))
    for mid, token in enumerate((b"\xff", b"\xff" * 8, b"\xb1i\x03key\xff{"), start=1):
        assert rig.one_answer(request(mid, token=token)).token == token
    assert rig.uplinks == [b"{}"] * 4


def test_memoised_routes_are_bounded(rig: Rig) -> None:
    for number in range(MEMOISED_ROUTES + 10):
        rig.feed(request(number, path=f"i/{number}"))
        assert len(rig.endpoint._handlers) <= MEMOISED_ROUTES
    assert len(rig.resolved) == MEMOISED_ROUTES + 10
    assert rig.one_answer(request(0xFFFF, path="i/0")).code == Code.CREATED


def test_long_options_are_served_but_not_memoised(rig: Rig) -> None:
    overhead = len(request(0, token=b"", payload=b"")) - 4 + 5
    for length, resolved in ((MEMOISED_BYTES - overhead, 1), (MEMOISED_BYTES - overhead + 1, 3)):
        for mid in range(2):
            message = request(1000 * length + mid & 0xFFFF, options=[(UNKNOWN_ELECTIVE, bytes(length))])
            assert rig.one_answer(message).code == Code.CREATED
        assert len(rig.resolved) == resolved
