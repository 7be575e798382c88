"""Responses that missed the piggyback time-out: confirmable, sent until they are acknowledged (RFC 7252 §5.2.2)."""

import asyncio

import pytest

from gateway.coap.bridge import MAX_BACKLOG
from gateway.coap.codec import Message, OptionNumber, Type, encode_message
from gateway.errors import UnavailableError
from gateway.metrics import SEPARATE_RESPONSES_TOTAL
from gateway.model import Code

from .rig import CREATED, OTHER_PEER, PEER, BridgedRig, Rig, option, request, run

ACK_TIMEOUT_S, ACK_RANDOM_FACTOR, MAX_RETRANSMIT = 2.0, 1.5, 4


def empty(type_: Type, mid: int) -> bytes:
    return encode_message(type_, Code.EMPTY, mid)


def results(rig: Rig) -> dict[str, int]:
    """How separate responses ended."""
    counted = rig.metrics.counters.items()
    return {key[-1]: value for key, value in counted if key[0] == SEPARATE_RESPONSES_TOTAL}


async def separate(rig: BridgedRig, mid: int = 7, *, peer: bytes = PEER) -> Message:
    """Have a request acknowledged first and answered later; gives that answer."""
    rig.answer = None
    rig.feed(request(mid), peer=peer)
    rig.tickets[-1].acknowledge()
    assert rig.sent(peer) == [(Type.ACK, Code.EMPTY, mid, b"", (), b"")]
    rig.tickets[-1].complete(CREATED)
    (response,) = await rig.next_sent(peer)
    return response


def test_it_is_confirmable_with_the_requests_token_and_an_id_of_its_own() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            response = await separate(rig)
            assert (response.type, response.code, response.token) == (Type.CON, Code.CREATED, b"tk")
            assert (response.options, response.payload) == ((), b"")
            assert rig.outputs_announced >= 1

    run(scenario())


def test_an_error_keeps_its_reason_and_max_age() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            rig.answer = None
            rig.feed(request(7))
            rig.tickets[0].acknowledge()
            rig.sent()
            rig.tickets[0].complete(UnavailableError("full", max_age_s=5).outcome)
            (response,) = await rig.next_sent()
            assert (response.code, response.payload) == (Code.SERVICE_UNAVAILABLE, b"full")
            assert option(response, OptionNumber.MAX_AGE) == b"\x05"

    run(scenario())


def test_it_is_sent_again_at_the_rfcs_intervals_and_then_given_up() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            response = await separate(rig)
            loop = asyncio.get_running_loop()
            interval_s = 0.0
            for attempt in range(MAX_RETRANSMIT):
                before_s = loop.time()
                assert await rig.next_sent(patience_s=60) == [response]
                waited_s = loop.time() - before_s
                if attempt == 0:
                    assert ACK_TIMEOUT_S <= waited_s <= ACK_TIMEOUT_S * ACK_RANDOM_FACTOR
                else:
                    assert waited_s == pytest.approx(2 * interval_s)
                interval_s = waited_s
            assert await rig.next_sent(patience_s=300) == []
            assert results(rig) == {"lost": 1}

    run(scenario())


@pytest.mark.parametrize(("type_", "result"), [(Type.ACK, "acknowledged"), (Type.RST, "reset")])
@pytest.mark.parametrize("retransmissions", [0, 1, 4])
def test_an_acknowledgement_or_a_reset_ends_it(type_: Type, result: str, retransmissions: int) -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            response = await separate(rig)
            for _ in range(retransmissions):
                assert await rig.next_sent(patience_s=60) == [response]
            assert rig.feed(empty(type_, response.mid)) == []
            assert await rig.next_sent(patience_s=300) == []
            assert results(rig) == {result: 1}
            assert rig.feed(empty(type_, response.mid)) == []
            assert rig.dropped("unexpected") == 1

    run(scenario())


def test_what_acknowledges_nothing_is_ignored_and_counted() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            response = await separate(rig)
            for wrong in ((response.mid + 1) & 0xFFFF, 7):
                assert rig.feed(empty(Type.ACK, wrong), empty(Type.RST, wrong)) == []
            assert rig.feed(empty(Type.ACK, response.mid), peer=OTHER_PEER) == []
            assert rig.feed(encode_message(Type.ACK, Code.CREATED, response.mid, b"tk")) == []
            assert rig.dropped("unexpected") == 6
            assert await rig.next_sent(patience_s=60) == [response]

    run(scenario())


def test_duplicates_of_the_request_get_the_empty_ack_meanwhile_and_after() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            response = await separate(rig)
            assert rig.answers(request(7)) == [(Type.ACK, Code.EMPTY, 7, b"", (), b"")]
            rig.feed(empty(Type.ACK, response.mid))
            assert rig.answers(request(7)) == [(Type.ACK, Code.EMPTY, 7, b"", (), b"")]
            assert len(rig.uplinks) == 1

    run(scenario())


def test_no_response_leaves_it_at_the_empty_ack() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            rig.answer = None
            rig.feed(request(7, options=[(OptionNumber.NO_RESPONSE, b"\x02")]))
            rig.tickets[0].acknowledge()
            assert len(rig.sent()) == 1
            rig.tickets[0].complete(CREATED)
            assert await rig.next_sent(patience_s=300) == []

    run(scenario())


def test_a_peer_has_one_outstanding_at_a_time_and_gets_the_others_in_order() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            rig.answer = None
            rig.feed(*(request(mid, token=bytes((mid,))) for mid in range(3)))
            for ticket in rig.tickets:
                ticket.acknowledge()
            assert len(rig.sent()) == 3
            for ticket in rig.tickets:
                ticket.complete(CREATED)
            outstanding = rig.sent()
            for mid in range(3):
                (response,) = outstanding
                assert (response.type, response.token) == (Type.CON, bytes((mid,)))
                outstanding = rig.answers(empty(Type.ACK, response.mid))
            assert outstanding == []

    run(scenario())


def test_message_ids_of_both_lanes_never_collide() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            mids = []
            for round_ in range(20):
                peer = bytes((round_,))
                mids.append((peer, (await separate(rig, mid=1, peer=peer)).mid))
                rig.answer = CREATED
                mids.append((peer, rig.one_answer(request(2, type_=Type.NON), peer).mid))
                blockwise = request(3, type_=Type.NON, options=[(OptionNumber.BLOCK1, b"\x06")])
                mids.append((peer, (await rig.bridged(blockwise, peer)).mid))
            assert len(set(mids)) == 60

    run(scenario())


def test_beyond_the_bounds_it_goes_unconfirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.coap.bridge.MAX_UNACKNOWLEDGED", 3)

    async def scenario() -> None:
        async with BridgedRig() as rig:
            responses = [await separate(rig, peer=bytes((number,))) for number in range(5)]
            assert [response.type for response in responses] == [Type.CON] * 3 + [Type.NON] * 2
            assert results(rig) == {"unconfirmed": 2}
            rig.feed(empty(Type.ACK, responses[0].mid), peer=b"\x00")
            assert (await separate(rig, peer=b"new")).type is Type.CON

    run(scenario())


def test_what_a_silent_peer_can_have_waiting_is_bounded() -> None:
    async def scenario() -> None:
        async with BridgedRig() as rig:
            first = await separate(rig, mid=0)
            rig.feed(*(request(number) for number in range(1, MAX_BACKLOG + 3)))
            for ticket in rig.tickets[1:]:
                ticket.acknowledge()
            rig.sent()
            for ticket in rig.tickets[1:]:
                ticket.complete(CREATED)
            unconfirmed = rig.sent()
            assert [response.type for response in unconfirmed] == [Type.NON] * 2
            # Nothing but the first is sent again, and with it all that waited is given up.
            for _ in range(MAX_RETRANSMIT):
                assert await rig.next_sent(patience_s=60) == [first]
            assert await rig.next_sent(patience_s=300) == []

    run(scenario())
