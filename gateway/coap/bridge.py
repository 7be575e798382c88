"""The slow lane: aiocoap does what takes more than one message.

Block-wise uploads, discovery in blocks, and confirmable responses that are sent until they are acknowledged. This is
the only module that touches aiocoap's inside. Duplicates never get here: the endpoint's memory of exchanges serves both
lanes, so aiocoap's own, which keeps a timer for every message, is switched off.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Sequence

import aiocoap
import aiocoap.error
import aiocoap.resource
from aiocoap import interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers import OptionNumber
from aiocoap.numbers.constants import Reliable, TransportTuning, Unreliable
from aiocoap.pipe import Pipe
from aiocoap.tokenmanager import TokenManager

from gateway.coap.blockwise import Block, BodyAssembler, TooLargeError
from gateway.coap.codec import diagnostic_payload, encode_message, is_well_formed, parse_message
from gateway.coap.discovery import Path
from gateway.coap.discovery_resource import Discovery
from gateway.coap.endpoint import DISCOVERY_PATH, Endpoint, PrincipalOf, Resolver, Route
from gateway.coap.exchanges import Exchanges
from gateway.coap.requests import request_of
from gateway.errors import GatewayError
from gateway.metrics import (
    BRIDGE_REFUSED_TOTAL,
    DATAGRAMS_DROPPED_TOTAL,
    SEPARATE_RESPONSES_TOTAL,
    Metrics,
)
from gateway.model import Outcome, Security

MAX_UNACKNOWLEDGED = 16384
"""Most peers at a time that owe an acknowledgement of a separate response; to others it goes as a NON."""

MAX_BACKLOG = 8
"""Most separate responses that wait until the peer acknowledges the one before (NSTART, RFC 7252 §4.7)."""

MAX_MESSAGE_BYTES = 1152
"""A message that fits any path (RFC 7252 §4.6)."""


_IGNORED = frozenset({OptionNumber.URI_HOST, OptionNumber.URI_PORT})
_NOT_PART_OF_A_TRANSFER = frozenset(
    {OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE, OptionNumber.SIZE1, OptionNumber.NO_RESPONSE}
)


class _Peer(interfaces.EndpointAddress):
    """A peer as aiocoap knows it: the route to it, which is all that is ever compared."""

    is_multicast = False
    is_multicast_locally = False
    hostinfo = "device"
    hostinfo_local = "gateway"

    def __init__(self, route: Route, scheme: Security) -> None:
        self.route = route
        self._scheme = scheme

    def __hash__(self) -> int:
        return hash(self.route)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Peer) and other.route == self.route

    @property
    def scheme(self) -> str:
        return self._scheme.value

    @property
    def uri_base(self) -> str:
        return f"{self._scheme}://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"{self._scheme}://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> Route:
        return self.route


class _Messages(MessageManager):
    """aiocoap's message layer, with message IDs for our responses that follow from the requests', as in both lanes."""

    def __init__(self, tokens: TokenManager, exchanges: Exchanges, metrics: Metrics) -> None:
        super().__init__(tokens)
        self._exchanges = exchanges
        self._metrics = metrics
        self._mid = 0

    def respond(self, message: aiocoap.Message, mid: bytes) -> None:
        """Send a response that is a message of its own, with this message ID."""
        self._mid = int.from_bytes(mid, "big")
        super().send_message(message, lambda: None)

    def _next_message_id(self) -> int:
        return self._mid

    def awaits(self, peer: _Peer, mid: int) -> bool:
        """Whether an ACK or RST with this message ID means anything."""
        return (peer, mid) in self._active_exchanges

    def has_room(self, peer: _Peer) -> bool:
        """Whether one more confirmable message to this peer is within the bounds."""
        return len(self._active_exchanges) < MAX_UNACKNOWLEDGED and len(self._backlogs.get(peer, ())) < MAX_BACKLOG

    def send_message(self, message: aiocoap.Message, messageerror_monitor: Callable[[], None]) -> None:
        """As aiocoap's, but what No-Response suppresses ends here: there it takes a deprecated way."""
        self._mid = int.from_bytes(self._exchanges.own_mid(message.request.mid.to_bytes(2, "big")), "big")
        unwanted = message.opt.no_response or 0
        message.opt.no_response = None
        if not unwanted >> (message.code.class_ - 1) & 1:
            super().send_message(message, messageerror_monitor)
            return
        mid, timer = self._piggyback_opportunities.pop((message.remote, message.token), (None, None))
        if timer is not None:
            timer.cancel()
            self._send_empty_ack(message.remote, mid, "No-Response (RFC 7967)")

    def _continue_backlog(self, remote: _Peer) -> None:
        """As aiocoap's, without its walk through all exchanges: NSTART is 1, so this peer has none left."""
        if self._backlogs[remote]:
            self._send_initially(*self._backlogs[remote].pop(0))
        else:
            del self._backlogs[remote]

    def _remove_exchange(self, message: aiocoap.Message) -> None:
        if self.awaits(message.remote, message.mid):
            self._metrics.count(SEPARATE_RESPONSES_TOTAL, "reset" if message.mtype is aiocoap.RST else "acknowledged")
        super()._remove_exchange(message)

    def _retransmit(self, message: aiocoap.Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter >= message.transport_tuning.MAX_RETRANSMIT:
            self._metrics.count(SEPARATE_RESPONSES_TOTAL, "lost")
        super()._retransmit(message, timeout, retransmission_counter)


class _Interface(interfaces.MessageInterface):
    """Where aiocoap's messages go: into the endpoint's outbox."""

    def __init__(self, endpoint: Endpoint, exchanges: Exchanges) -> None:
        self._endpoint = endpoint
        self._exchanges = exchanges

    def send(self, message: aiocoap.Message) -> None:
        data = message.encode()
        route = message.remote.route
        if message.mtype in (aiocoap.ACK, aiocoap.RST):
            self._exchanges.answer(route + data[2:4], data)
        self._endpoint.send(data, route)

    async def shutdown(self) -> None:
        pass

    async def determine_remote(self, message: aiocoap.Message) -> None:
        return None

    async def recognize_remote(self, remote: object) -> bool:
        return isinstance(remote, _Peer)


class _FutureTicket:
    """A request of this lane that waits for its outcome; aiocoap sends the empty ACK by its own timer."""

    def __init__(self, endpoint: Endpoint, route: Route) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._endpoint = endpoint
        self._route = route

    def acknowledge(self) -> None:
        pass

    def complete(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def peer(self) -> str:
        return self._endpoint.peer_of(self._route)


class _Site(aiocoap.resource.Resource):
    """The root of all paths: discovery, and uploads in blocks."""

    def __init__(
        self, bridge: "Bridge", endpoints: Callable[[], Sequence[Path]], room_of: Callable[[Route], int]
    ) -> None:
        super().__init__()
        self._bridge = bridge
        self._discovery = Discovery(endpoints, room_of)

    async def render_to_pipe(self, pipe: Pipe) -> None:
        if tuple(pipe.request.opt.uri_path) == DISCOVERY_PATH:
            await self._discovery.render_to_pipe(pipe)
        else:
            response = await self._bridge.upload(pipe.request)
            response.opt.no_response = pipe.request.opt.no_response
            pipe.add_response(response, is_last=True)


class _Rendering:
    """A request's answering. aiocoap may give it up before it begins; a coroutine would complain of that."""

    def __init__(self, site: _Site, pipe: Pipe) -> None:
        self._site = site
        self._pipe = pipe

    def __await__(self) -> Generator[object, None, None]:
        return self._site.render_to_pipe(self._pipe).__await__()


class _Context(aiocoap.Context):
    """aiocoap's context, with a site of our own and no transport."""

    def _render_to_pipe(self, pipe: Pipe) -> _Rendering:
        return _Rendering(self.serversite, pipe)


class Bridge:
    """The slow lane of one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        security: Security,
        resolve: Resolver,
        endpoints: Callable[[], Sequence[Path]],
        exchanges: Exchanges,
        metrics: Metrics,
        max_body_bytes: int,
        piggyback_timeout_s: float,
        messages_per_s: int,
        principal_of: PrincipalOf = lambda route: None,
        room_of: Callable[[Route], int] = lambda route: MAX_MESSAGE_BYTES,
    ) -> None:
        """To be made in a running event loop. `endpoints` gives the paths that discovery shows, `room_of` how many
        bytes a message on a route may have.
        """
        self._endpoint = endpoint
        self._principal_of = principal_of
        self._security = security
        self._resolve = resolve
        self._metrics = metrics
        self._messages_per_s = messages_per_s
        self._max_body_bytes = max_body_bytes
        self._allowance = float(messages_per_s)
        self._refilled_s = time.monotonic()
        self._assembler = BodyAssembler(max_body_bytes=max_body_bytes)
        self._tuning = type(
            "Tuning", (TransportTuning,), {"EMPTY_ACK_DELAY": piggyback_timeout_s, "EXCHANGE_LIFETIME": 0.0}
        )()
        logging.getLogger("coap-gateway").setLevel(logging.ERROR)
        self._context = _Context(
            loop=asyncio.get_running_loop(), serversite=_Site(self, endpoints, room_of), loggername="coap-gateway"
        )
        tokens = TokenManager(self._context)
        self._messages = _Messages(tokens, exchanges, metrics)
        self._messages.message_interface = _Interface(endpoint, exchanges)
        tokens.token_interface = self._messages
        self._context.request_interfaces.append(tokens)

    def admit(self) -> bool:
        """Whether one more message may come: aiocoap takes some forty times the express lane's time for each."""
        now_s = time.monotonic()
        self._allowance = min(
            float(self._messages_per_s), self._allowance + (now_s - self._refilled_s) * self._messages_per_s
        )
        self._refilled_s = now_s
        if self._allowance < 1:
            self._metrics.count(BRIDGE_REFUSED_TOTAL)
            return False
        self._allowance -= 1
        return True

    def receive(self, data: bytes, route: Route) -> None:
        """Take a message that the endpoint has found well-formed."""
        peer = _Peer(route, self._security)
        is_request = bool(data[1])
        if not is_request and not self._messages.awaits(peer, int.from_bytes(data[2:4], "big")):
            self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "unexpected")
            return
        try:
            message = aiocoap.Message.decode(_without_junk(data), peer)
        except (aiocoap.error.Error, ValueError):
            self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "option")
            return
        message.transport_tuning = self._tuning
        self._messages.dispatch_message(message)

    def respond_separately(self, route: Route, mid: bytes, token: bytes, outcome: Outcome) -> None:
        """With this message ID, send a confirmable response, again until it is acknowledged (RFC 7252 §5.2.2)."""
        message = _response(outcome)
        message.token = token
        message.remote = _Peer(route, self._security)
        if self._messages.has_room(message.remote):
            message.transport_tuning = Reliable()
        else:
            self._metrics.count(SEPARATE_RESPONSES_TOTAL, "unconfirmed")
            message.transport_tuning = Unreliable()
        self._messages.respond(message, mid)

    async def upload(self, message: aiocoap.Message) -> aiocoap.Message:
        """Take one block of an upload; the last one hands the whole body to the handler."""
        block1 = message.opt.block1
        try:
            options = [(int(option.number), option.encode()) for option in message.opt.option_list()]
            principal = self._principal_of(message.remote.route)
            handler = self._resolve(request_of(int(message.code), options, self._security, principal))
            body: bytes | None = message.payload
            if block1 is None and len(message.payload) > self._max_body_bytes:
                raise TooLargeError(f"the body is larger than {self._max_body_bytes} bytes")
            if block1 is not None:
                body = self._assembler.add(
                    (message.remote.route, message.get_cache_key(_NOT_PART_OF_A_TRANSFER)),
                    Block(block1.block_number, block1.more, block1.size_exponent),
                    message.payload,
                    now_s=time.monotonic(),
                    announced_bytes=message.opt.size1,
                )
            if body is None:
                return aiocoap.Message(code=aiocoap.CONTINUE, block1=block1)
            ticket = _FutureTicket(self._endpoint, message.remote.route)
            self._endpoint.arrived(time.monotonic())
            outcome = handler(body, time.time_ns() // 1_000_000, ticket)
            if outcome is None:
                outcome = await ticket.outcome
        except GatewayError as error:
            outcome = self._endpoint.refuse(error, message.remote.route)
        response = _response(outcome)
        response.opt.block1 = block1
        if response.code is aiocoap.REQUEST_ENTITY_TOO_LARGE:
            response.opt.size1 = self._max_body_bytes  # RFC 7959 §2.9.3
        return response

    async def close(self) -> None:
        """Give up what is under way."""
        await self._context.shutdown()


def _without_junk(data: bytes) -> bytes:
    """The message without the options that it is as good as without.

    aiocoap fails on some of them, and keeps every option number and Content-Format that it ever saw.
    """
    type_, code, mid, token, options, payload = parse_message(data)
    wanted = [option for option in options if option[0] not in _IGNORED and is_well_formed(*option)]
    return encode_message(type_, code, mid, token, wanted, payload)


def _response(outcome: Outcome) -> aiocoap.Message:
    return aiocoap.Message(
        code=aiocoap.Code(int(outcome.code)),
        payload=diagnostic_payload(outcome.diagnostic),
        max_age=outcome.max_age_s,
    )
