"""Whatever comes in: nothing but replies or silence goes out, no bug shows in the log, and memory stays bounded."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.coap.blockwise import BodyAssembler
from gateway.coap.codec import Message, Type, encode_message, parse_message
from gateway.coap.endpoint import Datagram, Handler, Route, Ticket
from gateway.errors import UnavailableError
from gateway.integrations.registry import Registry
from gateway.metrics import DATAGRAMS_DROPPED_TOTAL
from gateway.model import Code, Integration, Outcome, Request
from tests.coap.rig import CREATED, RECEIVED_MS, BridgedRig, Rig, run

from .datagrams import datagrams, mutated, requests

MAX_BODY_BYTES = 100
MAX_ENTRIES, MAX_TRANSFERS, MAX_ROUTES = 16, 2, 4
LARGEST_BATCH = 8
LONGEST_REPLY_BYTES = 600
"""Header, token, a few options and a diagnostic; discovery has its blocks."""
LONGEST_DISCOVERY_BYTES = 1100
EXCHANGE_OVER_S = 100
"""After this time every separate response is given up (MAX_TRANSMIT_WAIT, RFC 7252 §4.8.2)."""

REGISTRY = Registry(
    [
        Integration("one", "c", "key"),
        Integration("two", "c", "other", path_prefix="api/v2"),
        *(Integration(f"n{number}", "c", f"key-{number}", path_prefix="many") for number in range(100)),
    ]
)

fuzzing = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


class Victim(BridgedRig):
    """An endpoint with both lanes and small bounds, whose handler answers as the payload asks."""

    def __init__(self) -> None:
        super().__init__(
            endpoints=REGISTRY.paths,
            max_body_bytes=MAX_BODY_BYTES,
            max_entries=MAX_ENTRIES,
            piggyback_timeout_s=0.5,
            resolve=self._find,
        )
        self.assembler = BodyAssembler(max_body_bytes=MAX_BODY_BYTES, max_transfers=MAX_TRANSFERS)
        self.bridge._assembler = self.assembler
        self.messages = self.bridge._messages
        self.tokens = self.messages.token_manager
        self.replies: list[tuple[Message, Route]] = []

    def _find(self, request: Request) -> Handler:
        REGISTRY.find(request)
        return self._handle

    def _handle(self, payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
        if payload == b"refuse":
            raise UnavailableError("the spool is full", max_age_s=5)
        if len(payload) % 2:
            return CREATED
        self.tickets.append(ticket)
        return None

    def attack(self, batch: list[Datagram]) -> None:
        """Receive datagrams as one batch."""
        self.endpoint.receive(batch, received_ms=RECEIVED_MS, now_s=self.now_s)
        self.collect()
        assert len(self.exchanges) <= MAX_ENTRIES + 2 * LARGEST_BATCH  # its halves are looked at between batches
        assert len(self.endpoint._handlers) <= MAX_ROUTES
        assert len(self.assembler) <= MAX_TRANSFERS

    async def settle(self) -> None:
        """Let the loop do all that can be done now."""
        for _ in range(10):
            await asyncio.sleep(0)
        self.collect()

    def finish_uplinks(self) -> None:
        """Answer what waits, part of it after an empty acknowledgement."""
        for number, ticket in enumerate(self.tickets):
            if number % 2:
                ticket.acknowledge()
            ticket.complete(CREATED)
        self.tickets.clear()

    def collect(self) -> None:
        """Take what is to be sent; each reply must be a message of a kind that a server sends."""
        for data, route in self.endpoint.datagrams_to_send():
            message = parse_message(data)
            self.replies.append((message, route))
            if message.code == Code.EMPTY:
                assert message.type in (Type.ACK, Type.RST)
                assert len(data) == 4
            else:
                assert message.type is not Type.RST
                assert message.code >> 5 in (2, 4, 5)
            discovered = message.code == Code.CONTENT
            assert len(data) <= (LONGEST_DISCOVERY_BYTES if discovered else LONGEST_REPLY_BYTES)

    def assert_drained(self) -> None:
        """Nothing is kept of what was answered."""
        assert self.messages._recent_messages == {}
        assert self.messages._piggyback_opportunities == {}
        assert self.tokens.incoming_requests == {}
        assert self.tokens.outgoing_requests == {}

    def assert_no_bugs(self) -> None:
        assert self.metrics.counters[(DATAGRAMS_DROPPED_TOTAL, "internal error")] == 0


class _Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def nothing_logged() -> Iterator[None]:
    """Fail where anything is logged as an error or a warning, but for what the handler refuses when asked to."""
    handler = _Records(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in handler.records if not _is_asked_for(record)] == []


def _is_asked_for(record: logging.LogRecord) -> bool:
    """Whether it is the line of a full spool; one of a bug has another code."""
    fields: Mapping[str, str] = getattr(record, "fields", {})
    return (record.name, fields.get("code")) == ("gateway.refusal_log", Code.SERVICE_UNAVAILABLE.dotted)


@pytest.fixture(autouse=True)
def few_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.coap.endpoint.MEMOISED_ROUTES", MAX_ROUTES)


peers = st.sampled_from([b"peer 1", b"peer 2", b"peer 3"])
batches = st.lists(st.tuples(datagrams, peers), min_size=1, max_size=LARGEST_BATCH)


@settings(fuzzing, max_examples=250)
@given(st.lists(st.tuples(batches, st.sampled_from([0.0, 0.0, 100.0, 300.0])), min_size=1, max_size=4))
def test_any_datagrams_yield_replies_or_silence(rounds: list[tuple[list[Datagram], float]]) -> None:
    async def scenario() -> None:
        async with Victim() as victim:
            count = 0
            for batch, pause_s in rounds:
                victim.attack(batch)
                await victim.settle()
                count += len(batch)
                victim.now_s += pause_s
            asked = {route for batch, _ in rounds for _, route in batch}
            assert {route for _, route in victim.replies} <= asked
            assert len(victim.replies) <= count
            victim.finish_uplinks()
            await victim.settle()
            assert len(victim.replies) <= 2 * count
            victim.assert_drained()
            await asyncio.sleep(EXCHANGE_OVER_S)
            victim.collect()
            assert len(victim.replies) <= 2 * count + 4 * count  # MAX_RETRANSMIT
            assert victim.messages._active_exchanges == {}
            assert victim.messages._backlogs == {}
            victim.assert_no_bugs()

    with nothing_logged():
        run(scenario())


@settings(fuzzing, max_examples=150)
@given(
    st.lists(st.tuples(requests(), peers), min_size=1, max_size=LARGEST_BATCH),
    st.lists(st.tuples(st.sampled_from([Type.ACK, Type.RST]), st.integers(0, 20), peers), max_size=10),
    st.booleans(),
)
def test_any_acknowledgements_of_separate_responses_are_taken(
    batch: list[Datagram], acknowledgements: list[tuple[Type, int, bytes]], again: bool
) -> None:
    async def scenario() -> None:
        async with Victim() as victim:
            victim.attack(batch)
            for ticket in victim.tickets:
                ticket.acknowledge()
                ticket.complete(CREATED)
            victim.collect()
            sent = [message.mid for message, _ in victim.replies if message.code != Code.EMPTY] or [0]
            for type_, index, peer in acknowledgements:
                mid = sent[index % len(sent)] if index < 16 else index
                victim.attack([(encode_message(type_, Code.EMPTY, mid), peer)] * (1 + again))
            await asyncio.sleep(EXCHANGE_OVER_S)
            victim.collect()
            assert victim.messages._active_exchanges == {}
            assert victim.messages._backlogs == {}
            victim.assert_drained()
            victim.assert_no_bugs()

    with nothing_logged():
        run(scenario())


@settings(fuzzing, max_examples=600)
@given(st.lists(st.one_of(requests(), mutated()), max_size=4), st.one_of(datagrams, requests(), mutated()))
def test_what_was_seen_before_changes_no_answer(before: list[bytes], datagram: bytes) -> None:
    fresh, seasoned = Rig(max_body_bytes=MAX_BODY_BYTES), Rig(max_body_bytes=MAX_BODY_BYTES)
    seasoned.feed(*before, peer=b"another peer")
    seasoned.uplinks.clear()

    def answers(rig: Rig) -> list[Message]:
        # A NON's message ID is ours, and random.
        return [answer._replace(mid=0) if answer.type is Type.NON else answer for answer in rig.answers(datagram)]

    assert answers(fresh) == answers(seasoned)
    assert fresh.uplinks == seasoned.uplinks
    for rig in (fresh, seasoned):
        assert rig.dropped("internal error") == 0
