"""What an MQTT client did in its sessions, as seen from the other end, held to ThingsBoard's contract.

A session is one connection: the gateway's device in ThingsBoard forgets at its end which devices were connected.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import orjson

from gateway.model import JsonValue

from .mqtt_packets import FAILURE, Connect, Publish

CONNECT: Final = "v1/gateway/connect"
DISCONNECT: Final = "v1/gateway/disconnect"
TELEMETRY: Final = "v1/gateway/telemetry"
ATTRIBUTES: Final = "v1/gateway/attributes"
ATTRIBUTES_REQUEST: Final = "v1/gateway/attributes/request"
RPC: Final = "v1/gateway/rpc"

MAX_PAYLOAD_BYTES: Final = 65_536
"""ThingsBoard's (NETTY_MAX_PAYLOAD_SIZE)."""

Values: TypeAlias = dict[str, JsonValue]


@dataclass(slots=True)
class Message:
    """A PUBLISH and how it was answered."""

    publish: Publish
    reason: int | None = None
    """Of its PUBACK; None: it was not acknowledged."""

    @property
    def arrived(self) -> bool:
        """Whether the receiver said that it has it."""
        return self.reason is not None and self.reason < FAILURE


@dataclass(slots=True)
class Session:
    """A connection of a client."""

    connect: Connect
    accepted: bool = False
    messages: list[Message] = field(default_factory=list)
    """In the order in which they were sent."""
    most_waiting: int = 0
    """Most messages that waited for their acknowledgement at a time."""
    subscriptions: list[str] = field(default_factory=list)
    open: bool = True
    _waiting: dict[int, Message] = field(default_factory=dict)

    def add(self, publish: Publish) -> Message:
        """Note a message."""
        message = Message(publish)
        self.messages.append(message)
        if publish.qos:
            self._waiting[publish.packet_id] = message
            self.most_waiting = max(self.most_waiting, len(self._waiting))
        return message

    def acknowledge(self, packet_id: int, reason: int) -> None:
        """Note that a message was answered. Raises KeyError where there is none."""
        self._waiting.pop(packet_id).reason = reason


class Sample(NamedTuple):
    """A telemetry sample."""

    ts: int
    values: Values


class Contract:
    """Takes messages in their order, and finds what in them is not as ThingsBoard's Gateway MQTT API wants it."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.types: dict[str, str] = {}
        """Each device's type as it was told last."""
        self.telemetry: dict[str, list[Sample]] = defaultdict(list)
        """What arrived, by device, in its order; repetitions too."""
        self.attributes: dict[str, list[Values]] = defaultdict(list)
        self.disconnects: list[str] = []
        self.rpc_answers: list[JsonValue] = []
        self._connected: set[str] = set()

    def begin_session(self) -> None:
        """From now on devices have to be connected anew."""
        self._connected.clear()

    def take(self, topic: str, payload: bytes, *, arrived: bool = True) -> None:
        """Judge a message; what did not arrive is judged alike, and not kept."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            self._complain(topic, f"{len(payload)} bytes")
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            self._complain(topic, f"no JSON: {error}")
            return
        if not isinstance(document, dict) or not document:
            self._complain(topic, f"no object with anything in it: {document!r:.80}")
        elif topic == CONNECT:
            self._take_connect(document)
        elif topic == DISCONNECT:
            self._take_disconnect(document)
        elif topic == TELEMETRY:
            self._take_telemetry(document, arrived)
        elif topic == ATTRIBUTES:
            self._take_attributes(document, arrived)
        elif topic == RPC:
            self._require(document.keys() == {"device", "id", "data"}, topic, document)
            self.rpc_answers.append(document)
        elif topic == ATTRIBUTES_REQUEST:
            self._require({"id", "device"} <= document.keys(), topic, document)
        else:
            self._complain(topic, "an unknown topic")

    def _take_connect(self, document: Values) -> None:
        self._require(document.keys() == {"device", "type"}, CONNECT, document)
        name, type_ = document.get("device"), document.get("type")
        if not (isinstance(name, str) and name and isinstance(type_, str) and type_):
            self._complain(CONNECT, f"names that are none: {document!r:.200}")
            return
        self._connected.add(name)
        self.types[name] = type_

    def _take_disconnect(self, document: Values) -> None:
        self._require(document.keys() == {"device"}, DISCONNECT, document)
        name = document.get("device")
        self._require(name in self._connected, DISCONNECT, f"{name!r:.80} is not connected")
        self._connected.discard(str(name))
        self.disconnects.append(str(name))

    def _take_telemetry(self, document: Values, arrived: bool) -> None:
        for device, samples in document.items():
            self._require(device in self._connected, TELEMETRY, f"{device!r:.80} is not connected")
            if not isinstance(samples, list) or not samples:
                self._complain(TELEMETRY, f"no samples of {device!r:.80}")
                continue
            for sample in samples:
                if _is_sample(sample):
                    if arrived:
                        self.telemetry[device].append(Sample(sample["ts"], sample["values"]))
                else:
                    self._complain(TELEMETRY, f"no sample: {sample!r:.200}")

    def _take_attributes(self, document: Values, arrived: bool) -> None:
        for device, values in document.items():
            self._require(device in self._connected, ATTRIBUTES, f"{device!r:.80} is not connected")
            if not _are_values(values):
                self._complain(ATTRIBUTES, f"no attributes: {values!r:.200}")
            elif arrived:
                self.attributes[device].append(values)

    def _require(self, holds: bool, topic: str, what: JsonValue) -> None:
        if not holds:
            self._complain(topic, f"{what!r:.200}")

    def _complain(self, topic: str, what: str) -> None:
        self.violations.append(f"{topic}: {what}")


def _is_sample(sample: JsonValue) -> bool:
    return (
        isinstance(sample, dict)
        and sample.keys() == {"ts", "values"}
        and type(sample["ts"]) is int
        and sample["ts"] > 0
        and _are_values(sample["values"])
    )


def _are_values(values: JsonValue) -> bool:
    """Keys and their values; a null has no meaning there."""
    return isinstance(values, dict) and bool(values) and None not in values.values()


def judge(sessions: Iterable[Session]) -> Contract:
    """Hold sessions to the contract, one after the other."""
    contract = Contract()
    for session in sessions:
        contract.begin_session()
        for message in session.messages:
            contract.take(message.publish.topic, message.publish.payload, arrived=message.arrived)
            if message.publish.qos != 1:
                contract.violations.append(f"{message.publish.topic}: QoS {message.publish.qos}")
    return contract


def samples_of(message: Message) -> Iterator[tuple[str, Sample]]:
    """The samples of a telemetry message, each with its device; none where it is another message."""
    if message.publish.topic == TELEMETRY:
        for device, samples in orjson.loads(message.publish.payload).items():
            for sample in samples:
                yield device, Sample(sample["ts"], sample["values"])
