"""A CoAP server endpoint without I/O: datagrams in, requests to a callable, datagrams out.

The express lane answers the one hot shape, a POST or PUT without block-wise transfer, in a few microseconds. What it
does not know goes through `_examine`, which follows RFC 7252 step by step, and from there, where it takes more than one
message, to the bridge (aiocoap). Both lanes share one memory of exchanges and end in the same handler.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from gateway.coap.codec import (
    TRUNCATED_ERROR,
    VERSION_ERROR,
    Message,
    MessageFormatError,
    Option,
    OptionNumber,
    Type,
    diagnostic_payload,
    encode_message,
    encode_uint,
    parse_message,
    unacceptable_option,
)
from gateway.coap.exchanges import UNANSWERED, ExchangeKey, Exchanges
from gateway.coap.express import ACKNOWLEDGED, CREATED, CREATED_CODE, CREATED_NON, EXPRESS_HEADS, IS_ACK
from gateway.coap.requests import Arrived, is_unwanted, request_of, unwanted_responses
from gateway.errors import GatewayError
from gateway.metrics import DATAGRAMS_DROPPED_TOTAL, DUPLICATES_TOTAL, Metrics
from gateway.model import Code, Outcome, Principal, Request, Security
from gateway.refusal_log import RefusalLog

Route: TypeAlias = bytes
"""Who sent a datagram, and to which of our addresses; opaque here."""

Datagram: TypeAlias = tuple[bytes, Route]

MEMOISED_ROUTES = 16384
"""Most distinct option sequences that are kept resolved; one per endpoint as a rule, and with sessions one for each."""

MEMOISED_BYTES = 1024
"""Longest option sequence that is kept resolved; with up to 64 KB each they could fill the memory."""

DISCOVERY_PATH = (".well-known", "core")

_NOT_PROXYING = 0xA5  # 5.05 Proxying Not Supported (RFC 7252 §5.9.3.6)


class Ticket(Protocol):
    """A request that waits for its outcome."""

    def acknowledge(self) -> None:
        """Say that the request has arrived and that its response will follow (RFC 7252 §5.2.2)."""

    def complete(self, outcome: Outcome) -> None:
        """Respond. Only the first call counts."""

    def peer(self) -> str:
        """The address that the request came from, a session's as it is now; for people."""


PeerOf: TypeAlias = Callable[[Route], str]
"""The address at the other end of a route, as people write it; empty where a session has ended."""

PrincipalOf: TypeAlias = Callable[[Route], Principal | None]
"""Who is at the other end of a route, where that is a secured session."""

Handler: TypeAlias = Callable[[bytes, int, Ticket], Outcome | None]
"""Takes a payload, its time of receipt (ms) and its ticket; gives the outcome, or None where the ticket gets it."""

Resolver: TypeAlias = Callable[[Request], Handler]
"""Finds the handler for a request, or raises the GatewayError that is its answer."""


class SlowLane(Protocol):
    """Takes the requests that need more than one message."""

    def admit(self) -> bool:
        """Whether one more message may come now."""

    def receive(self, data: bytes, route: Route) -> None:
        """Take a message: a request, or an empty ACK or RST."""

    def respond_separately(self, route: Route, mid: bytes, token: bytes, outcome: Outcome) -> None:
        """With this message ID, send a confirmable response, again until it is acknowledged (RFC 7252 §5.2.2)."""


_log = logging.getLogger(__name__)


class Exchange:
    """A request of this endpoint that waits for its outcome.

    It holds the bare 2.01 that will answer it as a rule, ready-made; the message ID and token are in there.
    """

    __slots__ = ("_created", "_endpoint", "_key", "_no_response", "_route", "_state")

    def __init__(self, endpoint: "Endpoint", route: Route, key: ExchangeKey, created: bytes, no_response: int) -> None:
        self._endpoint = endpoint
        self._route = route
        self._key = key
        self._created = created
        self._no_response = no_response
        self._state = 0  # bit 0: acknowledged, bit 1: completed

    def acknowledge(self) -> None:
        """Send the empty ACK that announces a separate response, once."""
        if self._created[0] & IS_ACK and not self._state:
            self._state = 1
            self._endpoint._answer(self._route, self._key, ACKNOWLEDGED + self._created[2:4])

    def complete(self, outcome: Outcome) -> None:
        """Respond, within the ACK or, where that has gone out already, separately."""
        state = self._state
        if state >= 2:
            return
        self._state = state | 2
        if state:
            self._endpoint._separately(self._route, self._created[2:4], self._created[4:], outcome, self._no_response)
        elif outcome.code is CREATED_CODE and not self._no_response:
            self._endpoint._release(self._route, self._key, self._created)
        else:
            self._endpoint._respond(self._route, self._key, self._created, outcome, self._no_response)

    def peer(self) -> str:
        """The address that the request came from."""
        return self._endpoint.peer_of(self._route)


class Endpoint:
    """The CoAP server behind one listener."""

    def __init__(
        self,
        *,
        security: Security,
        resolve: Resolver,
        exchanges: Exchanges,
        metrics: Metrics,
        max_body_bytes: int,
        on_output: Callable[[], None],
        principal_of: PrincipalOf | None = None,
        peer_of: PeerOf = lambda route: "",
        arrived: Arrived = lambda security, now_s: None,
    ) -> None:
        """`on_output` is called when there is something to send that no `receive` call is about to return, `arrived`
        before what has arrived is handled.

        With `principal_of`, a route is a session, and what a request resolves to depends on whose it is.
        """
        self._security = security
        self._resolve = resolve
        self._exchanges = exchanges
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._on_output = on_output
        self._principal_of = principal_of
        self.peer_of = peer_of
        self.arrived = partial(arrived, security)
        """To be told when what is handled next has arrived (s, monotonic clock)."""
        self.refusals = RefusalLog()
        self._slow_lane: SlowLane | None = None
        self._handlers: dict[bytes, tuple[Handler, int]] = {}
        self._pending: set[ExchangeKey] = set()
        """Confirmable requests whose response is made already, and must not go out yet."""
        self._outbox: list[Datagram] = []
        self._receiving = False

    def attach(self, slow_lane: SlowLane) -> None:
        """Name the lane for what takes more than one message."""
        self._slow_lane = slow_lane

    def forget_handlers(self) -> None:
        """Resolve each request anew, since what they resolve to has changed."""
        self._handlers.clear()

    def datagrams_to_send(self) -> list[Datagram]:
        """What is ready to go out; the caller sends it."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def send(self, data: bytes, route: Route) -> None:
        """Put a datagram into what is ready to go out."""
        if not self._outbox and not self._receiving:
            self._on_output()
        self._outbox.append((data, route))

    def receive(self, datagrams: Sequence[Datagram], *, received_ms: int, now_s: float) -> None:
        """Take a batch of datagrams; never raises on what a peer sent.

        `received_ms` is the wall clock (ms since 1970), `now_s` a monotonic one.
        """
        self.arrived(now_s)
        exchanges = self._exchanges
        exchanges.advance(now_s)
        younger, older = exchanges.younger, exchanges.older
        handlers = self._handlers
        max_body_bytes = self._max_body_bytes
        has_sessions = self._principal_of is not None
        pending, outbox, stamp = self._pending, self._outbox, exchanges.stamp
        self._receiving = True
        for data, route in datagrams:
            try:
                head = EXPRESS_HEADS.get(data[:2])
                if head is None:
                    self._examine(data, route, received_ms)
                    continue
                options_start, confirmable = head
                marker = data.find(b"\xff", options_start)
                # An option's value may hold 0xFF too; but what is memoised is a whole sequence of options, and
                # behind one of those 0xFF can only be the payload marker.
                options = data[options_start:marker]
                entry = handlers.get(route + options if has_sessions else options) if marker > 0 else None
                if entry is None or not 1 < len(data) - marker <= max_body_bytes:
                    self._examine(data, route, received_ms)
                    continue
                key = route + data[2:4]
                if (key in younger or key in older) and self._repeat(key, route):
                    continue
                handler, no_response = entry
                if confirmable:
                    created = CREATED[options_start - 4] + data[2:options_start]
                else:
                    created = CREATED_NON[options_start - 4] + exchanges.own_mid(data[2:4]) + data[4:options_start]
                exchange = Exchange(self, route, key, created, no_response)
                try:
                    outcome = handler(data[marker + 1 :], received_ms, exchange)
                except GatewayError as error:
                    outcome = error.outcome
                except Exception:  # noqa: BLE001  a bug of ours must not leave the device without an answer
                    outcome = _bug()
                younger[key] = created + stamp if confirmable else stamp
                if outcome is None:
                    if confirmable:
                        pending.add(key)
                elif outcome.code is CREATED_CODE and not no_response:
                    outbox.append((created, route))
                else:
                    exchange.complete(outcome)
            except Exception:  # noqa: BLE001  a bug of ours must cost one datagram, not the listener
                self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "internal error")
                _log.exception("a datagram of %d bytes could not be handled", len(data))
        self._receiving = False

    # -- the way for everything but the hot shape ------------------------------------------------

    def _examine(self, data: bytes, route: Route, received_ms: int) -> None:
        try:
            message = parse_message(data)
        except MessageFormatError as error:
            self._metrics.count(DATAGRAMS_DROPPED_TOTAL, str(error))
            # RFC 7252 §4.2: a CON that is malformed is rejected. What is cut short may be anything.
            if str(error) not in (VERSION_ERROR, TRUNCATED_ERROR) and data[0] >> 4 & 3 == Type.CON:
                self.send(encode_message(Type.RST, Code.EMPTY, data[2] << 8 | data[3]), route)
            return
        if message.type in (Type.ACK, Type.RST):
            if message.code == Code.EMPTY and self._slow_lane:
                self._slow_lane.receive(data, route)
            else:
                self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "unexpected")
        elif message.code == Code.EMPTY or message.code >> 5:
            # A ping (RFC 7252 §4.3), or a response to a request that we never made.
            if message.type is Type.CON:
                self.send(encode_message(Type.RST, Code.EMPTY, message.mid), route)
            else:
                self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "unexpected")
        else:
            self._examine_request(message, data, route, received_ms)

    def _examine_request(self, message: Message, data: bytes, route: Route, received_ms: int) -> None:
        key = route + data[2:4]
        if self._repeat(key, route):
            return
        bad_option = unacceptable_option(message.options)
        confirmable = message.type is Type.CON
        if bad_option is not None and not confirmable:
            self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "option")  # RFC 7252 §5.4.1 has us reject it
            return
        self._exchanges.answer(key, UNANSWERED)
        token_length = len(message.token)
        if confirmable:
            created = CREATED[token_length] + data[2 : 4 + token_length]
        else:
            created = CREATED_NON[token_length] + self._exchanges.own_mid(data[2:4]) + message.token
        exchange = Exchange(self, route, key, created, unwanted_responses(message.options))
        if bad_option is not None:
            exchange.complete(Outcome(Code.BAD_OPTION, f"option {bad_option} is not supported"))
            return
        try:
            outcome = self._dispatch(message, data, route, received_ms, exchange)
        except GatewayError as error:
            outcome = self.refuse(error, route)
        except Exception:  # noqa: BLE001  likewise
            outcome = _bug()
        if outcome is not None:
            exchange.complete(outcome)

    def _dispatch(
        self, message: Message, data: bytes, route: Route, received_ms: int, exchange: Exchange
    ) -> Outcome | None:
        numbers = {number for number, _ in message.options}
        if numbers & {OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME}:
            return Outcome(_NOT_PROXYING, "this is no proxy")  # type: ignore[arg-type]
        principal = self._principal_of(route) if self._principal_of is not None else None
        request = request_of(message.code, message.options, self._security, principal)
        if self._slow_lane and (numbers & {OptionNumber.BLOCK1, OptionNumber.BLOCK2} or request.path == DISCOVERY_PATH):
            if not self._slow_lane.admit():
                return Outcome(Code.SERVICE_UNAVAILABLE, "too many block-wise and discovery requests", 1)
            self._slow_lane.receive(data, route)
            return None
        handler = self._resolve(request)
        if len(message.payload) > self._max_body_bytes:
            return Outcome(Code.REQUEST_ENTITY_TOO_LARGE, f"the payload is larger than {self._max_body_bytes} bytes")
        options_start = 4 + len(message.token)
        options_end = len(data) - len(message.payload) - bool(message.payload)
        if options_end - options_start <= MEMOISED_BYTES:
            if len(self._handlers) >= MEMOISED_ROUTES:
                self._handlers.clear()
            options = data[options_start:options_end]
            key = route + options if self._principal_of is not None else options
            self._handlers[key] = handler, unwanted_responses(message.options)
        return handler(message.payload, received_ms, exchange)

    def refuse(self, error: GatewayError, route: Route) -> Outcome:
        """The outcome of a request that did not come as far as its integration, which the log hears of."""
        if self.refusals.admits():
            principal = self._principal_of(route) if self._principal_of is not None else None
            self.refusals.refused(error.outcome, peer=self.peer_of(route), principal=principal)
        return error.outcome

    def _repeat(self, key: ExchangeKey, route: Route) -> bool:
        """Whether a message is a duplicate. It is answered as its original was, or not at all where that has not been
        answered (yet), or was non-confirmable.
        """
        response = self._exchanges.recall(key)
        if response is None:
            return False
        self._metrics.count(DUPLICATES_TOTAL)
        if response and key not in self._pending:
            self.send(response, route)
        return True

    # -- responses -------------------------------------------------------------------------------

    def _answer(self, route: Route, key: ExchangeKey, response: bytes) -> None:
        """Send what answers a confirmable request, and remember it for its duplicates."""
        self._pending.discard(key)
        self._exchanges.answer(key, response)
        self.send(response, route)

    def _release(self, route: Route, key: ExchangeKey, created: bytes) -> None:
        """Send the 2.01 that was made when the request came."""
        pending = self._pending
        if key in pending:
            pending.remove(key)
        elif created[0] & IS_ACK:
            self._exchanges.answer(key, created)
        if not self._outbox and not self._receiving:
            self._on_output()
        self._outbox.append((created, route))

    def _respond(self, route: Route, key: ExchangeKey, created: bytes, outcome: Outcome, no_response: int) -> None:
        """Send another response than the bare 2.01, with that one's message ID and token."""
        suppressed = is_unwanted(outcome, no_response)
        mid, token = int.from_bytes(created[2:4], "big"), created[4:]
        if created[0] & IS_ACK and suppressed:
            self._answer(route, key, ACKNOWLEDGED + created[2:4])
        elif created[0] & IS_ACK:
            self._answer(route, key, self._encode(Type.ACK, mid, token, outcome))
        elif not suppressed:
            # A duplicate of a non-confirmable request is ignored (RFC 7252 §4.5): nothing to remember.
            self.send(self._encode(Type.NON, mid, token, outcome), route)

    def _encode(self, type_: Type, mid: int, token: bytes, outcome: Outcome) -> bytes:
        """An outcome as a message: code, Max-Age where there is one, Size1 with a 4.13, diagnostic payload."""
        options: list[Option] = []
        if outcome.max_age_s is not None:
            options.append((OptionNumber.MAX_AGE, encode_uint(outcome.max_age_s)))
        if outcome.code is Code.REQUEST_ENTITY_TOO_LARGE:  # RFC 7252 §5.9.2.9
            options.append((OptionNumber.SIZE1, encode_uint(self._max_body_bytes)))
        return encode_message(type_, outcome.code, mid, token, options, diagnostic_payload(outcome.diagnostic))

    def _separately(self, route: Route, mid: bytes, token: bytes, outcome: Outcome, no_response: int) -> None:
        if self._slow_lane and not is_unwanted(outcome, no_response):
            self._slow_lane.respond_separately(route, self._exchanges.own_mid(mid), token, outcome)


def _bug() -> Outcome:
    """Log the exception that is being handled; the answer to the request that met it."""
    _log.exception("a request could not be handled")
    return Outcome(Code.INTERNAL_SERVER_ERROR)
