"""MQTT packets as bytes, 3.1.1 and 5, as far as whoever stands between the gateway and a broker has to know them."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

V311: Final = 4
"""The protocol level of MQTT 3.1.1 in CONNECT (§3.1.2.2)."""
V5: Final = 5

SUCCESS: Final = 0
FAILURE: Final = 0x80
"""Reason codes from here on say that it failed (MQTT 5 §2.4); one below is that nobody subscribed to the topic."""
QUOTA_EXCEEDED: Final = 0x97
PACKET_TOO_LARGE: Final = 0x95
IMPLEMENTATION_SPECIFIC_ERROR: Final = 0x83
PAYLOAD_FORMAT_INVALID: Final = 0x99

NOT_AUTHORIZED: Final = {V311: 5, V5: 0x87}
"""CONNACK: the credentials are known, and not allowed (3.1.1 §3.2.2.3, 5 §3.2.2.2)."""
BAD_CREDENTIALS: Final = {V311: 4, V5: 0x86}
SERVER_UNAVAILABLE: Final = {V311: 3, V5: 0x88}

_REASON_STRING: Final = 0x1F


class Kind(IntEnum):
    """Control packet types (§2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Packet(NamedTuple):
    """One packet behind its fixed header."""

    kind: int
    flags: int
    body: bytes


class Connect(NamedTuple):
    """How a client introduces itself."""

    version: int
    client_id: str
    keep_alive_s: int
    clean: bool
    username: str | None
    password: bytes | None


class Publish(NamedTuple):
    """A message."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    """0 where its QoS is 0."""
    repeated: bool
    """Whether the sender says that it sends it again (DUP)."""


class Ack(NamedTuple):
    """What answers a PUBLISH of QoS 1."""

    packet_id: int
    reason: int


class PacketReader:
    """Makes packets of a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete with these bytes. Raises ValueError where it is no MQTT."""
        self._waiting += data
        while (found := _fixed_header(self._waiting)) is not None:
            begin, end = found
            if len(self._waiting) < end:
                return
            first, body = self._waiting[0], bytes(self._waiting[begin:end])
            del self._waiting[:end]
            yield Packet(first >> 4, first & 0x0F, body)


def _fixed_header(data: bytearray) -> tuple[int, int] | None:
    """Where the body of the first packet begins and ends (§2.1.4); None where that can't be told yet."""
    length = 0
    for place in range(4):
        if len(data) < place + 2:
            return None
        byte = data[place + 1]
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return place + 2, place + 2 + length
    raise ValueError("a remaining length of more than four bytes")


class _Fields:
    """Takes a body's fields one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._place = 0

    @property
    def rest(self) -> bytes:
        """What was not taken yet."""
        return self._body[self._place :]

    def take(self, count: int) -> bytes:
        """So many bytes."""
        begin, self._place = self._place, self._place + count
        if self._place > len(self._body):
            raise ValueError("a packet is shorter than it says")
        return self._body[begin : self._place]

    def integer(self, count: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(count), "big")

    def data(self) -> bytes:
        """Binary data, or a string, behind its length of two bytes."""
        return self.take(self.integer(2))

    def skip_properties(self) -> None:
        """Pass over what MQTT 5 adds."""
        length = shift = 0
        while True:
            byte = self.integer(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        self.take(length)


def parse_connect(packet: Packet) -> Connect:
    """A CONNECT (§3.1). Raises ValueError."""
    fields = _Fields(packet.body)
    if fields.data() != b"MQTT":
        raise ValueError("another protocol than MQTT")
    version, flags, keep_alive_s = fields.integer(1), fields.integer(1), fields.integer(2)
    if version == V5:
        fields.skip_properties()
    client_id = fields.data().decode()
    if flags & 0x04:  # a will
        if version == V5:
            fields.skip_properties()
        fields.data(), fields.data()
    username = fields.data().decode() if flags & 0x80 else None
    password = fields.data() if flags & 0x40 else None
    return Connect(version, client_id, keep_alive_s, bool(flags & 0x02), username, password)


def parse_publish(packet: Packet, version: int) -> Publish:
    """A PUBLISH (§3.3). Raises ValueError."""
    fields = _Fields(packet.body)
    qos = packet.flags >> 1 & 3
    topic = fields.data().decode()
    packet_id = fields.integer(2) if qos else 0
    if version == V5:
        fields.skip_properties()
    return Publish(topic, fields.rest, qos, packet_id, bool(packet.flags & 8))


def parse_puback(packet: Packet) -> Ack:
    """A PUBACK (§3.4): without a reason, it is a success. Raises ValueError."""
    fields = _Fields(packet.body)
    packet_id = fields.integer(2)
    return Ack(packet_id, fields.integer(1) if fields.rest else SUCCESS)


def parse_subscribe(packet: Packet, version: int) -> tuple[int, list[str]]:
    """A SUBSCRIBE's packet identifier and topic filters (§3.8). Raises ValueError."""
    fields = _Fields(packet.body)
    packet_id = fields.integer(2)
    if version == V5:
        fields.skip_properties()
    filters = []
    while fields.rest:
        filters.append(fields.data().decode())
        fields.integer(1)
    return packet_id, filters


def _packet(kind: Kind, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + _variable(len(body)) + body


def _variable(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _with_properties(version: int, properties: bytes = b"") -> bytes:
    return _variable(len(properties)) + properties if version == V5 else b""


def connack(version: int, code: int = SUCCESS, properties: bytes = b"") -> bytes:
    """A CONNACK (§3.2), with properties as they are where it is MQTT 5."""
    return _packet(Kind.CONNACK, bytes([0, code]) + _with_properties(version, properties))


def puback(version: int, packet_id: int, reason: int = SUCCESS, text: str = "") -> bytes:
    """A PUBACK (§3.4); 3.1.1 knows no reasons."""
    body = packet_id.to_bytes(2, "big")
    if version == V5 and reason != SUCCESS:
        encoded = text.encode()
        properties = bytes([_REASON_STRING]) + len(encoded).to_bytes(2, "big") + encoded if text else b""
        body += bytes([reason]) + _with_properties(version, properties)
    return _packet(Kind.PUBACK, body)


def suback(version: int, packet_id: int, codes: bytes) -> bytes:
    """A SUBACK (§3.9) with a code for each topic filter."""
    return _packet(Kind.SUBACK, packet_id.to_bytes(2, "big") + _with_properties(version) + codes)


def unsuback(version: int, packet_id: int, count: int) -> bytes:
    """An UNSUBACK (§3.11) for so many topic filters."""
    return _packet(Kind.UNSUBACK, packet_id.to_bytes(2, "big") + (b"\0" + bytes(count) if version == V5 else b""))


def publish(version: int, topic: str, payload: bytes, packet_id: int = 0) -> bytes:
    """A PUBLISH (§3.3) of QoS 1, or 0 where it has no packet identifier."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if packet_id else b"")
    return _packet(Kind.PUBLISH, body + _with_properties(version) + payload, flags=2 if packet_id else 0)


def disconnect(reason: int) -> bytes:
    """A DISCONNECT of a server, which only MQTT 5 knows (§3.14)."""
    return _packet(Kind.DISCONNECT, bytes([reason]))


def pingresp() -> bytes:
    """A PINGRESP (§3.13)."""
    return _packet(Kind.PINGRESP, b"")
