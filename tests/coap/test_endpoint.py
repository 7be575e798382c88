"""The express lane's message layer: responses, duplicates, what is dropped."""

import logging

import pytest

from gateway.coap.codec import Type, encode_message, parse_message
from gateway.errors import (
    BadRequestError,
    GatewayError,
    MethodNotAllowedError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
)
from gateway.metrics import DUPLICATES_TOTAL
from gateway.model import Code, Outcome, Principal, Security

from .rig import CREATED, OTHER_PEER, PEER, RECEIVED_MS, Rig, option, request

METHODS = [Code.POST, Code.PUT]
TOKENS = [b"", b"t", b"eight by"]


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture(params=["first", "memoised"])
def seasoned(request: pytest.FixtureRequest, rig: Rig) -> Rig:
    """A rig for which the endpoint's options are new, or have been seen before."""
    if request.param == "memoised":
        memoise(rig)
    return rig


def memoise(rig: Rig) -> None:
    """Let the endpoint see the options of all requests here."""
    rig.one_answer(request(0xFFF0))
    rig.uplinks.clear()
    rig.tickets.clear()


@pytest.mark.parametrize("code", METHODS)
@pytest.mark.parametrize("token", TOKENS)
def test_a_con_is_answered_in_its_acknowledgement(seasoned: Rig, code: Code, token: bytes) -> None:
    answer = seasoned.one_answer(request(0x1234, code=code, token=token, payload=b"25.7"))
    assert answer == (Type.ACK, Code.CREATED, 0x1234, token, (), b"")
    assert seasoned.uplinks == [b"25.7"]
    assert seasoned.received_ms[-1] == RECEIVED_MS


@pytest.mark.parametrize("code", METHODS)
@pytest.mark.parametrize("token", TOKENS)
def test_a_non_is_answered_by_a_non_with_a_message_id_of_its_own(seasoned: Rig, code: Code, token: bytes) -> None:
    first = seasoned.one_answer(request(0x1234, type_=Type.NON, code=code, token=token))
    second = seasoned.one_answer(request(0x1235, type_=Type.NON, code=code, token=token))
    assert (first.type, first.code, first.token, first.payload) == (Type.NON, Code.CREATED, token, b"")
    assert len({first.mid, second.mid, 0x1234, 0x1235}) == 4
    assert len(seasoned.uplinks) == 2


def test_a_response_may_come_later_within_the_acknowledgement(seasoned: Rig) -> None:
    seasoned.answer = None
    assert seasoned.answers(request(7), request(8, type_=Type.NON)) == []
    for ticket in seasoned.tickets:
        ticket.complete(CREATED)
    con, non = seasoned.sent()
    assert con == (Type.ACK, Code.CREATED, 7, b"tk", (), b"")
    assert (non.type, non.code, non.token) == (Type.NON, Code.CREATED, b"tk")


def test_output_between_batches_is_announced_once(rig: Rig) -> None:
    rig.answer = None
    rig.feed(request(7), request(8))
    assert rig.outputs_announced == 0
    for ticket in rig.tickets:
        ticket.complete(CREATED)
    assert rig.outputs_announced == 1
    assert len(rig.sent()) == 2
    rig.answer = CREATED
    rig.feed(request(9))
    assert rig.outputs_announced == 1


def test_only_the_first_outcome_counts(rig: Rig) -> None:
    rig.answer = None
    rig.feed(request(7))
    rig.tickets[0].complete(Outcome(Code.SERVICE_UNAVAILABLE))
    rig.tickets[0].complete(CREATED)
    rig.tickets[0].acknowledge()
    assert [message.code for message in rig.sent()] == [Code.SERVICE_UNAVAILABLE]


# -- duplicates --------------------------------------------------------------------------------------


def test_a_duplicate_con_gets_the_same_bytes_and_the_handler_sees_one(seasoned: Rig) -> None:
    (first,) = seasoned.feed(request(7))
    assert seasoned.feed(request(7), request(7)) == [first, first]
    assert len(seasoned.uplinks) == 1
    assert seasoned.metrics.counters[(DUPLICATES_TOTAL,)] == 2


def test_a_duplicate_in_the_same_batch_is_recognised(seasoned: Rig) -> None:
    first, second = seasoned.feed(request(7), request(7))
    assert first == second
    assert len(seasoned.uplinks) == 1


def test_a_duplicate_of_an_error_gets_the_error_again(seasoned: Rig) -> None:
    seasoned.answer = BadRequestError("no")
    (first,) = seasoned.feed(request(7))
    seasoned.answer = CREATED
    assert seasoned.feed(request(7)) == [first]


def test_a_duplicate_non_is_ignored(seasoned: Rig) -> None:
    assert len(seasoned.feed(request(7, type_=Type.NON))) == 1
    assert seasoned.feed(request(7, type_=Type.NON)) == []
    assert len(seasoned.uplinks) == 1


def test_a_duplicate_of_a_pending_con_is_silent_until_there_is_an_answer(seasoned: Rig) -> None:
    seasoned.answer = None
    assert seasoned.feed(request(7), request(7)) == []
    seasoned.tickets[0].complete(CREATED)
    (first,) = seasoned.endpoint.datagrams_to_send()
    assert seasoned.feed(request(7)) == [first]
    assert len(seasoned.uplinks) == 1


def test_the_same_message_id_of_another_peer_is_no_duplicate(seasoned: Rig) -> None:
    seasoned.one_answer(request(7), PEER)
    seasoned.one_answer(request(7), OTHER_PEER)
    assert len(seasoned.uplinks) == 2


def test_a_duplicate_is_recognised_for_247_s(seasoned: Rig) -> None:
    (first,) = seasoned.feed(request(7))
    seasoned.now_s += 246.9
    assert seasoned.feed(request(7)) == [first]
    seasoned.now_s += 247.2
    seasoned.feed(request(8))
    seasoned.feed(request(7))
    assert len(seasoned.uplinks) == 3


def test_after_the_empty_ack_a_duplicate_gets_the_empty_ack(seasoned: Rig) -> None:
    seasoned.answer = None
    seasoned.feed(request(7))
    seasoned.tickets[0].acknowledge()
    seasoned.tickets[0].acknowledge()
    assert seasoned.sent() == [(Type.ACK, Code.EMPTY, 7, b"", (), b"")]
    assert seasoned.answers(request(7)) == [(Type.ACK, Code.EMPTY, 7, b"", (), b"")]


def test_a_non_has_no_empty_ack(seasoned: Rig) -> None:
    seasoned.answer = None
    seasoned.feed(request(7, type_=Type.NON))
    seasoned.tickets[0].acknowledge()
    assert seasoned.sent() == []
    seasoned.tickets[0].complete(CREATED)
    (response,) = seasoned.sent()
    assert (response.type, response.code) == (Type.NON, Code.CREATED)


# -- what is no request ------------------------------------------------------------------------------


def test_a_ping_is_answered_by_a_reset(rig: Rig) -> None:
    assert rig.feed(encode_message(Type.CON, Code.EMPTY, 0x0102)) == [(b"\x70\x00\x01\x02", PEER)]


@pytest.mark.parametrize("code", [Code.CREATED, Code.CONTENT, Code.NOT_FOUND, 0x20, 0xC0, 0xE1])
def test_a_con_that_is_no_request_is_reset_and_as_a_non_dropped(rig: Rig, code: int) -> None:
    assert rig.answers(encode_message(Type.CON, code, 5, b"t")) == [(Type.RST, Code.EMPTY, 5, b"", (), b"")]
    assert rig.feed(encode_message(Type.NON, code, 6, b"t")) == []
    assert rig.dropped("unexpected") == 1


def test_acknowledgements_and_resets_of_nothing_are_dropped(rig: Rig) -> None:
    assert rig.feed(encode_message(Type.ACK, Code.CREATED, 5, b"t"), encode_message(Type.RST, Code.EMPTY, 5)) == []
    assert rig.dropped("unexpected") == 2


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        (b"", "truncated"),
        (b"\x40\x02\x00", "truncated"),
        (b"\x00\x02\x00\x01", "version"),
        (b"\x80\x02\x00\x01", "version"),
        (b"\x44\x02\x00\x01abc", "truncated"),
        (b"\x40\x02\x00\x01\xb5ab", "truncated"),
        (b"\x59\x02\x00\x01123456789", "token"),
        (b"\x50\x02\x00\x01\xb1a\xff", "marker"),
        (b"\x50\x02\x00\x01\xf1", "option"),
        (b"\x50\x00\x00\x01\xff", "empty"),
    ],
)
def test_what_is_cut_short_or_of_another_version_or_a_malformed_non_is_dropped_and_counted(
    rig: Rig, junk: bytes, reason: str
) -> None:
    assert rig.feed(junk) == []
    assert rig.dropped(reason) == 1
    assert rig.uplinks == []
    assert len(rig.exchanges) == 0


@pytest.mark.parametrize(
    ("junk", "reason"),
    [
        (b"\x49\x02\x00\x01123456789", "token"),
        (b"\x40\x02\x00\x01\xb1a\xff", "marker"),
        (b"\x40\x02\x00\x01\xf1", "option"),
        (b"\x40\x00\x00\x01\xff", "empty"),
    ],
)
def test_a_malformed_con_is_rejected_with_a_reset(rig: Rig, junk: bytes, reason: str) -> None:
    assert [data for data, _ in rig.feed(junk)] == [encode_message(Type.RST, Code.EMPTY, 1)]
    assert rig.dropped(reason) == 1
    assert rig.uplinks == []
    assert len(rig.exchanges) == 0


def test_a_marker_without_payload_is_a_format_error_on_a_memoised_route_too(seasoned: Rig) -> None:
    answers = seasoned.feed(request(7, payload=b"") + b"\xff")
    assert [data for data, _ in answers] == [encode_message(Type.RST, Code.EMPTY, 7)]
    assert seasoned.dropped("marker") == 1
    assert seasoned.uplinks == []


def test_an_empty_payload_reaches_the_handler(seasoned: Rig) -> None:
    seasoned.one_answer(request(7, payload=b""))
    assert seasoned.uplinks == [b""]


# -- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadRequestError("because"), Code.BAD_REQUEST),
        (NotFoundError("because"), Code.NOT_FOUND),
        (MethodNotAllowedError("because"), Code.METHOD_NOT_ALLOWED),
        (RateLimitedError("because", max_age_s=300), Code.TOO_MANY_REQUESTS),
        (UnavailableError("because", max_age_s=5), Code.SERVICE_UNAVAILABLE),
        (GatewayError("because", hint="for operators only"), Code.INTERNAL_SERVER_ERROR),
    ],
)
def test_what_the_handler_refuses_is_answered_with_code_reason_and_max_age(
    seasoned: Rig, error: GatewayError, code: Code
) -> None:
    seasoned.answer = error
    con = seasoned.one_answer(request(7))
    non = seasoned.one_answer(request(8, type_=Type.NON))
    assert (con.type, con.mid, non.type) == (Type.ACK, 7, Type.NON)
    for answer in (con, non):
        assert (answer.code, answer.token, answer.payload) == (code, b"tk", b"because")
        max_age = None if error.max_age_s is None else error.max_age_s.to_bytes(1 + (error.max_age_s > 255), "big")
        assert option(answer, 14) == max_age


def test_a_bug_is_answered_5_00_and_logged(seasoned: Rig, caplog: pytest.LogCaptureFixture) -> None:
    seasoned.answer = ZeroDivisionError("a bug")
    assert seasoned.one_answer(request(7)).code == Code.INTERNAL_SERVER_ERROR
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    seasoned.answer = CREATED
    assert seasoned.one_answer(request(8)).code == Code.CREATED
    assert seasoned.outputs_announced == 0


def test_a_bug_in_the_middle_of_a_batch_spares_the_others(seasoned: Rig) -> None:
    outcomes = iter([CREATED, None, CREATED])

    def handler(payload: bytes, received_ms: int, ticket: object) -> Outcome:
        outcome = next(outcomes)
        if outcome is None:
            raise KeyError("a bug")
        return outcome

    rig = Rig(resolve=lambda request: handler)
    answers = rig.answers(request(1), request(2), request(3))
    assert [(message.mid, message.code) for message in answers] == [
        (1, Code.CREATED),
        (2, Code.INTERNAL_SERVER_ERROR),
        (3, Code.CREATED),
    ]


# -- the payload's limit -----------------------------------------------------------------------------


@pytest.mark.parametrize("seen_before", [False, True])
@pytest.mark.parametrize(("length", "code"), [(99, Code.CREATED), (100, Code.CREATED), (101, 0x8D)])
def test_a_payload_beyond_the_limit_is_answered_4_13_with_size1(length: int, code: int, seen_before: bool) -> None:
    rig = Rig(max_body_bytes=100)
    if seen_before:
        rig.one_answer(request(1))
        rig.uplinks.clear()
    answer = rig.one_answer(request(7, payload=b"x" * length))
    assert answer.code == code
    assert option(answer, 60) == (None if code == Code.CREATED else b"\x64")
    assert len(rig.uplinks) == (code == Code.CREATED)


def test_an_answer_is_a_well_formed_message_whatever_the_diagnostic_says() -> None:
    rig = Rig()
    rig.answer = BadRequestError("ß" * 5000)
    ((data, _),) = rig.feed(request(7))
    assert len(data) < 600
    assert parse_message(data).payload.decode().strip("ß") == ""


# -- sessions ----------------------------------------------------------------------------------------


def test_with_sessions_the_same_options_resolve_to_what_each_principal_may() -> None:
    who = {PEER: Principal("psk", "one"), OTHER_PEER: None}
    rig = Rig(security=Security.DTLS, principal_of=who.get)
    for mid in range(3):
        for peer in who:
            assert rig.one_answer(request(mid), peer)[1] == Code.CREATED
    assert [one.principal for one in rig.resolved] == [who[PEER], who[OTHER_PEER]]
    assert {one.security for one in rig.resolved} == {Security.DTLS}


def test_with_sessions_a_message_id_is_known_by_the_session_that_it_came_in() -> None:
    rig = Rig(security=Security.DTLS, principal_of=lambda route: None)
    for _ in range(2):
        for peer in (PEER, OTHER_PEER):
            rig.one_answer(request(7), peer)
    assert len(rig.uplinks) == 2


def test_with_sessions_what_is_memoised_is_forgotten_when_it_changes() -> None:
    rig = Rig(security=Security.DTLS, principal_of=lambda route: None)
    rig.one_answer(request(1))
    rig.endpoint.forget_handlers()
    rig.one_answer(request(2))
    assert len(rig.resolved) == 2
