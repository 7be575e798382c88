"""An MQTT session with ThingsBoard: hands over records in their order, keeps house of devices, listens.

Calls of `deliver` send one after the other, and wait for their acknowledgements together, so that there is always
something under way. A call is told that records arrived only when all calls before it are done: however the server
orders its acknowledgements, what is on record is never ahead of what arrived.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import aiomqtt
import orjson

from gateway.errors import GatewayError
from gateway.metrics import SINK_INCOMING_TOTAL, SINK_NOT_CARRIED_TOTAL
from gateway.sinks.mqtt import Connection, Ended, Listener
from gateway.sinks.parcels import Kind, Limits, Parcel, connect_payload, pack
from gateway.sinks.sink import Clock, Host, Record, RefusedRecords, SinkError, Taken, Trouble
from gateway.sinks.thingsboard_devices import ConnectedDevices
from gateway.sinks.thingsboard_errors import takes_no_qos_1, takes_too_little
from gateway.sinks.thingsboard_flight import TOPICS, Flight, Load
from gateway.sinks.thingsboard_incoming import MOST_BYTES, answer_payload, parse_rpc, parse_shared_attributes

IDLE_INTERVAL_S: Final = 1.0
IDLE_DEVICES: Final = 100
"""How often it is looked for devices that are idle, and most of them that are reported then."""

MOST_INCOMING: Final = 256
"""Most messages of ThingsBoard that wait to be looked at; what comes beyond is dropped."""

LEAST_PACKET_BYTES: Final = 1024
"""A server that takes less is none to deliver to: what does not fit would all be refused."""

_FAILURE: Final = 0x80
"""Reason codes from here on say that a subscription was not made (MQTT 5 §2.4)."""

SUBSCRIPTIONS: Final = (TOPICS[Kind.ATTRIBUTES], TOPICS[Kind.RPC])

RPC_ERROR: Final = "not supported yet: this gateway passes on what devices send, and nothing to them"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session behaves."""

    window: int
    """Most messages under way."""
    max_message_bytes: int
    """Largest message behind its fixed header."""
    ack_timeout_s: float
    idle_s: float
    """How long a device must be silent to be reported disconnected."""
    clock: Clock = time.monotonic


@dataclass(slots=True, eq=False)
class _Call:
    """A call of `deliver` that is under way."""

    taken: Taken
    loads: deque[Load] = field(default_factory=deque)
    """What it has sent and is not on record."""
    gap_before: bool = False
    """Whether a call before it has failed, so that nothing of it may be put on record."""
    done: bool = False


class ThingsBoardSession:
    """A session over one connection; `open` it, and `close` it in any case."""

    def __init__(self, options: SessionOptions, host: Host, connect: Callable[[Listener], Connection]) -> None:
        """`connect` makes the connection, which is opened later."""
        self._options = options
        self._host = host
        self._clock = options.clock
        self._devices = ConnectedDevices()
        self._connection = connect(self)
        self._flight = Flight(
            self._connection,
            window=options.window,
            ack_timeout_s=options.ack_timeout_s,
            host=host,
            forget_device=self._devices.remove,
        )
        self._limits = Limits(0, 0, 0, "")
        self._sending = asyncio.Lock()
        self._calls: list[_Call] = []
        self._incoming: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_INCOMING)
        self._chores: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect and begin. Raises what `Connection.open` raises, and SinkError."""
        await self._connection.open()
        self._flight.window = max(1, min(self._options.window, self._connection.receive_maximum))
        self._limits = self._find_limits()
        self._chores = [asyncio.create_task(self._do(chore)) for chore in (self._listen, self._watch_devices)]

    async def close(self, *, politely: bool) -> None:
        """End it; politely, with a DISCONNECT."""
        for chore in self._chores:
            chore.cancel()
        if self._chores:
            await asyncio.wait(self._chores)
        self._flight.stop()
        await self._connection.close(politely=politely and self._flight.failure is None)

    async def closed(self) -> None:
        """See `Session`."""
        raise await self._flight.lost()

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        """See `Session`."""
        call = _Call(taken)
        self._calls.append(call)
        try:
            async with self._sending:
                self._settle(call)
                for parcel in pack(records, self._limits):
                    await self._send(parcel, call)
                    if any(load.refusal for load in call.loads):
                        # Other calls wait: what they sent now would come again behind this.
                        await self._wait_for_all(call)
            await self._wait_for_all(call)
            call.done = True
        finally:
            self._leave(call)

    def acknowledged(self, packet_id: int, reason: int, text: str) -> None:
        """See `Listener`."""
        self._flight.acknowledged(packet_id, reason, text)

    def received(self, topic: str, payload: bytes) -> None:
        """See `Listener`."""
        if len(payload) > MOST_BYTES or self._incoming.full():
            self._host.count(SINK_INCOMING_TOTAL, "dropped")
        else:
            self._incoming.put_nowait((topic, payload))

    def ended(self, end: Ended) -> None:
        """See `Listener`."""
        self._flight.ended(end)

    def _find_limits(self) -> Limits:
        connection, most = self._connection, self._options.max_message_bytes
        if connection.maximum_qos < 1:
            raise takes_no_qos_1()
        packet = connection.maximum_packet_size
        if packet is not None and packet < LEAST_PACKET_BYTES:
            raise takes_too_little(packet)
        cause = f"TB_MQTT_MAX_MESSAGE_BYTES={most}"
        theirs = connection.longest_message
        if theirs is not None and theirs < most:
            most, cause = theirs, f"ThingsBoard takes packets of {packet} bytes at most"
        connect, telemetry, attributes = (
            most - connection.overhead(TOPICS[kind]) for kind in (Kind.CONNECT, Kind.TELEMETRY, Kind.ATTRIBUTES)
        )
        return Limits(connect, telemetry, attributes, cause)

    async def _send(self, parcel: Parcel, call: _Call) -> None:
        flight = self._flight
        keeps_room = len(parcel.messages) <= flight.window  # otherwise, it would wait for itself
        load = Load(parcel, keeps_room, parcel.refusal)
        call.loads.append(load)
        now_s = self._clock()
        unknown = [device for device in parcel.devices if not self._devices.hear(device, now_s)]
        for device in unknown:
            await self._make_room(call)
            flight.send(Kind.CONNECT, connect_payload(device, parcel.devices[device]), load, device)
            self._devices.add(device, now_s)
        for kind, payload in parcel.messages:
            await self._make_room(call)
            flight.send(kind, payload, load)
        load.sent = True
        self._settle(call)
        await asyncio.sleep(0)  # so that the socket gets to work

    async def _make_room(self, call: _Call | None = None) -> None:
        """Wait until one more message may be sent. Raises what `_settle` raises."""
        flight = self._flight
        while flight.is_full and flight.failure is None:
            await flight.news()
            if call is not None:
                self._settle(call)
        if flight.failure is not None:
            if call is not None:
                self._settle(call)
            raise flight.failure

    async def _wait_for_all(self, call: _Call) -> None:
        """Wait until all that a call has sent is on record. Raises what `_settle` raises."""
        self._settle(call)
        while call.loads:
            await self._flight.news()
            self._settle(call)

    def _settle(self, call: _Call) -> None:
        """Put on record what has arrived. Raises RefusedRecords or SinkError where the call can't go on."""
        flight = self._flight
        if call is self._calls[0] and not call.gap_before:
            self._record(call)
            if call.loads:
                self._look_at_first(call.loads[0])
        if flight.failure is not None:
            raise flight.failure
        if call.gap_before:
            message = "what was handed over before was not taken"
            raise SinkError(Trouble.BUSY, message, hint="it is sent again, and this behind it")

    def _record(self, call: _Call) -> None:
        arrived = list(takewhile(lambda load: load.has_arrived, call.loads))
        if not arrived:
            return
        call.taken(arrived[-1].parcel.end)
        for load in arrived:
            call.loads.popleft()
            self._flight.release(load)
            for what in ("assets", "customers", "groups"):
                if number := getattr(load.parcel, what):
                    self._host.count(SINK_NOT_CARRIED_TOTAL, what, by=number)
        self._flight.ring()

    def _look_at_first(self, load: Load) -> None:
        """Whether what all others wait for will never be taken."""
        refusal = load.refusal
        if not refusal and load.outstanding and self._flight.too_large:
            refusal, self._flight.too_large = self._flight.too_large, ""
        if refusal:
            raise RefusedRecords(load.parcel.start, load.parcel.end, refusal)

    def _leave(self, call: _Call) -> None:
        """The call is over, one way or the other."""
        for load in call.loads:
            self._flight.release(load)
        if not call.done:
            for later in self._calls[self._calls.index(call) + 1 :]:
                later.gap_before = True
        self._calls.remove(call)
        self._flight.ring()

    async def _do(self, chore: Callable[[], Awaitable[None]]) -> None:
        try:
            await chore()
        except SinkError:  # which `closed` and `deliver` tell of
            pass
        except Exception:  # noqa: BLE001  a bug of ours here must not keep records from being delivered
            _log.exception("the session with ThingsBoard goes on without looking after devices or messages")

    async def _watch_devices(self) -> None:
        """Report devices that have been silent for long, a few at a time."""
        while True:
            await asyncio.sleep(IDLE_INTERVAL_S)
            if self._idle_devices():
                async with self._sending:  # what is being sent may be of one of them
                    for device in self._idle_devices():
                        await self._make_room()
                        self._flight.send(Kind.DISCONNECT, orjson.dumps({"device": device}))
                        self._devices.remove(device)

    def _idle_devices(self) -> list[str]:
        return self._devices.silent_since(self._clock() - self._options.idle_s, IDLE_DEVICES)

    async def _listen(self) -> None:
        """Subscribe, and look at what comes."""
        for topic in SUBSCRIPTIONS:
            try:
                code = await self._connection.listen_to(topic)
            except aiomqtt.MqttError as error:
                _log.warning("ThingsBoard does not answer the subscription to %s: %s", topic, error)
                continue
            if code >= _FAILURE:
                _log.warning("ThingsBoard refuses the subscription to %s (0x%02x)", topic, code)
        while True:
            topic, payload = await self._incoming.get()
            try:
                await self._take_in(topic, payload)
            except ValueError as error:
                self._host.count(SINK_INCOMING_TOTAL, "ignored")
                _log.debug("a message on %r is ignored: %s", topic, error)
            except SinkError:
                raise
            except GatewayError as error:
                self._host.count(SINK_INCOMING_TOTAL, "not kept")
                _log.error("a message on %r could not be kept: %s; %s", topic, error.message, error.hint)

    async def _take_in(self, topic: str, payload: bytes) -> None:
        now_ms = time.time_ns() // 1_000_000
        if topic == TOPICS[Kind.ATTRIBUTES]:
            attributes = parse_shared_attributes(payload)
            self._host.keep_shared_attributes(attributes.device, attributes.values, now_ms)
            self._host.count(SINK_INCOMING_TOTAL, "attributes")
        elif topic == TOPICS[Kind.RPC]:
            rpc = parse_rpc(payload)
            self._host.keep_rpc(rpc.device, rpc.request, now_ms)
            self._host.count(SINK_INCOMING_TOTAL, "rpc")
            answer = answer_payload(rpc, RPC_ERROR)
            if len(answer) <= self._limits.connect:  # its topic is the shorter one
                await self._make_room()
                self._flight.send(Kind.RPC, answer)
        else:
            raise ValueError("nobody asked for it")
