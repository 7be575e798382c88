"""Messages on their way to ThingsBoard: how many there may be, what answers to them mean, when these are overdue."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.metrics import SINK_MESSAGES_TOTAL
from gateway.sinks.mqtt import Connection, Ended
from gateway.sinks.parcels import Kind, Parcel
from gateway.sinks.sink import Host, SinkError
from gateway.sinks.thingsboard_errors import PACKET_TOO_LARGE, silent, why_ended, why_not_taken

TOPICS: Final[Mapping[Kind, str]] = {
    Kind.CONNECT: "v1/gateway/connect",
    Kind.DISCONNECT: "v1/gateway/disconnect",
    Kind.TELEMETRY: "v1/gateway/telemetry",
    Kind.ATTRIBUTES: "v1/gateway/attributes",
    Kind.RPC: "v1/gateway/rpc",
}

_FAILURE: Final = 0x80
"""Reason codes from here on say that a message was not taken (MQTT 5 §2.4)."""


@dataclass(slots=True, eq=False)
class Load:
    """A parcel on its way."""

    parcel: Parcel
    keeps_room: bool
    """Whether its messages count as under way until they are on record, not only until they are acknowledged."""
    refusal: str = ""
    """Why it will never be taken."""
    outstanding: int = 0
    """Its messages that were not taken, as yet or at all."""
    room: int = 0
    """Its messages that were answered, and still count as under way."""
    sent: bool = False
    """Whether all of it was sent."""

    @property
    def has_arrived(self) -> bool:
        """Whether all of it was sent and acknowledged."""
        return self.sent and not self.outstanding and not self.refusal


class _Sent(NamedTuple):
    kind: Kind
    load: Load | None
    device: str


class Flight:
    """Sends messages and hears of their acknowledgements. `window` is the most that may count as under way."""

    def __init__(
        self,
        connection: Connection,
        *,
        window: int,
        ack_timeout_s: float,
        host: Host,
        forget_device: Callable[[str], object],
    ) -> None:
        """`forget_device` is told of a device whose `connect` was not taken."""
        self.window = window
        self.too_large = ""
        """What the server said when it ended the connection because a message was too large for it."""
        self._connection = connection
        self._ack_timeout_s = ack_timeout_s
        self._host = host
        self._forget_device = forget_device
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[SinkError] = self._loop.create_future()
        self._news = asyncio.Event()
        self._waiting: dict[int, _Sent] = {}
        self._used = 0
        self._heard_s = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be sent now."""
        return self._used >= self.window

    @property
    def failure(self) -> SinkError | None:
        """Why nothing can be sent any more."""
        return self._lost.result() if self._lost.done() else None

    async def lost(self) -> SinkError:
        """Wait until nothing can be sent any more."""
        return await asyncio.shield(self._lost)

    async def news(self) -> None:
        """Wait until something has changed: to be called right behind a look at how things stand."""
        self._news.clear()
        await self._news.wait()

    def ring(self) -> None:
        """Something has changed."""
        self._news.set()

    def send(self, kind: Kind, payload: bytes, load: Load | None = None, device: str = "") -> None:
        """Send a message, for which there must be room. Raises SinkError."""
        if self.failure is not None:
            raise self.failure
        try:
            packet_id = self._connection.send(TOPICS[kind], payload)
        except Ended as end:
            self.ended(end)
            raise why_ended(end) from None
        if not self._waiting:
            self._heard_s = time.monotonic()
            self._arm(self._ack_timeout_s)
        self._waiting[packet_id] = _Sent(kind, load, device)
        self._used += 1
        if load is not None:
            load.outstanding += 1
        self._host.count(SINK_MESSAGES_TOTAL, kind)

    def release(self, load: Load) -> None:
        """What a load has sent is on record, or is of no interest any more: it does not count now."""
        self._used -= load.room
        load.room = 0
        load.keeps_room = False

    def fail(self, error: SinkError) -> None:
        """Nothing can be sent any more; the first reason stands."""
        if not self._lost.done():
            self._lost.set_result(error)
        self.ring()

    def stop(self) -> None:
        """Do not look after acknowledgements any longer."""
        if self._watch is not None:
            self._watch.cancel()

    def acknowledged(self, packet_id: int, reason: int, text: str) -> None:
        """See `Listener`. ThingsBoard may acknowledge a message once for each device in it: the first one counts."""
        sent = self._waiting.pop(packet_id, None)
        if sent is None:
            return
        self._heard_s = time.monotonic()
        kind, load, device = sent
        if load is not None and load.keeps_room and kind is not Kind.CONNECT:
            load.room += 1
        else:
            self._used -= 1
        if load is not None:
            if reason < _FAILURE:
                load.outstanding -= 1
            else:
                self._not_taken(load, kind, device, reason, text)
        self.ring()

    def ended(self, end: Ended) -> None:
        """See `Listener`."""
        if end.reason == PACKET_TOO_LARGE:
            self.too_large = end.text
        self.fail(why_ended(end))

    def _not_taken(self, load: Load, kind: Kind, device: str, reason: int, text: str) -> None:
        if kind is Kind.CONNECT:
            self._forget_device(device)
        error = why_not_taken(reason, text)
        if error is not None:
            self.fail(error)
        else:
            load.refusal = load.refusal or f"ThingsBoard refused the message ({kind}): {text}"

    def _arm(self, after_s: float) -> None:
        self.stop()
        self._watch = self._loop.call_later(after_s, self._look_after)

    def _look_after(self) -> None:
        if not self._waiting or self._lost.done():
            return
        left_s = self._heard_s + self._ack_timeout_s - time.monotonic()
        if left_s <= 0:
            self.fail(silent(self._ack_timeout_s))
        else:
            self._arm(left_s)
