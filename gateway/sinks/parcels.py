"""Packs reports into messages of ThingsBoard's Gateway MQTT API: those of many devices, and many of each, in one.

A parcel covers records that follow each other, and has their telemetry in one message and their attributes in another.
It is closed where a message would get too large, or where an attribute of a device would get a second value: in a JSON
object there is room for one. This runs for every record; what is counted are the very bytes that are sent.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

import orjson

from gateway.model import JsonValue, StoredReport, Timeseries, same_json
from gateway.sinks.sink import Record

_DEVICE_BYTES: Final = 4
"""What a device costs in a message besides its name and what is told of it: `:[…],` or `:{…},`."""

_BRACES_BYTES: Final = 1
"""What a message costs besides its devices: `{…}`, less the comma that the last device does not have."""

_MOST_BYTES_PER_CHARACTER: Final = 6
"""A control character in a JSON text: `\\u0001`."""

_SHOWN_KEY_LENGTH: Final = 40


class Kind(StrEnum):
    """What a message is about; named in metrics."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    TELEMETRY = "telemetry"
    ATTRIBUTES = "attributes"
    RPC = "rpc"


class Limits(NamedTuple):
    """Most bytes of a payload, by the kind of its message."""

    connect: int
    telemetry: int
    attributes: int
    cause: str
    """Where that comes from, for people: a setting and its value."""


class Message(NamedTuple):
    """A message of telemetry or attributes."""

    kind: Kind
    payload: bytes


@dataclass(slots=True)
class Parcel:
    """Records that follow each other, and the messages that carry them."""

    start: int
    end: int
    devices: dict[str, str] = field(default_factory=dict)
    """The devices that it tells of, with their types."""
    messages: list[Message] = field(default_factory=list)
    assets: int = 0
    """Reports of assets, which the API can't carry."""
    customers: int = 0
    """Reports with a customer, and with a group, of which the API can't tell."""
    groups: int = 0
    refusal: str = ""
    """Why its one record can't be sent at all; it has no messages then."""


class _TooLargeError(Exception):
    """Something that can't be cut does not fit into a message."""


def pack(records: Sequence[Record], limits: Limits) -> Iterator[Parcel]:
    """All records, in parcels that follow each other.

    A report that is too large for a message gets a parcel of its own, cut by samples, and these by keys; where even
    that does not help, the parcel says so.
    """
    draft = _Draft(0, limits)
    for index, record in enumerate(records):
        report = record.report
        if draft.add(report):
            continue
        if draft.start < index:
            yield draft.close(index)
            draft = _Draft(index, limits)
            if draft.add(report):
                continue
        yield _cut(index, report, limits)
        draft = _Draft(index + 1, limits)
    if draft.start < len(records):
        yield draft.close(len(records))


def connect_payload(device: str, type_: str) -> bytes:
    """Tells that a device is there, and its type."""
    return orjson.dumps({"device": device, "type": type_})


class _Draft:
    """A parcel that grows."""

    __slots__ = ("_attributes", "_attributes_bytes", "_known", "_limits", "_parcel", "_telemetry", "_telemetry_bytes")

    def __init__(self, start: int, limits: Limits) -> None:
        self._parcel = Parcel(start, start)
        self._limits = limits
        self._telemetry: dict[str, list[bytes]] = {}
        self._attributes: dict[str, list[bytes]] = {}
        self._known: dict[str, dict[str, JsonValue]] = {}
        self._telemetry_bytes = self._attributes_bytes = _BRACES_BYTES

    @property
    def start(self) -> int:
        """The first record."""
        return self._parcel.start

    def add(self, report: StoredReport) -> bool:
        """Put a report behind the others; False where it can't be put there, and then nothing of it is."""
        _, _, _, kind, name, type_, customer, group, attributes, telemetry = report
        parcel = self._parcel
        if kind == "asset":
            parcel.assets += 1
            return True
        if name not in parcel.devices and not _connects(name, type_, self._limits):
            return False
        samples = pairs = b""
        telemetry_bytes, attributes_bytes = self._telemetry_bytes, self._attributes_bytes
        if telemetry:
            samples = b",".join([_sample(ts, values) for ts, values in telemetry if values])
            telemetry_bytes += _cost(samples, name, self._telemetry)
            if telemetry_bytes > self._limits.telemetry:
                return False
        if attributes:
            news = self._news(name, attributes)
            if news is None:
                return False
            if news:
                pairs = _pairs(news)
                attributes_bytes += _cost(pairs, name, self._attributes)
                if attributes_bytes > self._limits.attributes:
                    return False
                self._known.setdefault(name, {}).update(news)
                self._attributes.setdefault(name, []).append(pairs)
        if samples:
            self._telemetry.setdefault(name, []).append(samples)
        self._telemetry_bytes, self._attributes_bytes = telemetry_bytes, attributes_bytes
        parcel.devices.setdefault(name, type_)
        if customer is not None:
            parcel.customers += 1
        if group is not None:
            parcel.groups += 1
        return True

    def close(self, end: int) -> Parcel:
        """What it has got, up to record `end`."""
        parcel = self._parcel
        parcel.end = end
        if self._telemetry:
            parcel.messages.append(_telemetry_message(self._telemetry))
        if self._attributes:
            parcel.messages.append(_attributes_message(self._attributes))
        return parcel

    def _news(self, name: str, attributes: dict[str, JsonValue]) -> dict[str, JsonValue] | None:
        """The attributes that the message does not have yet; None where it has another value for one."""
        known = self._known.get(name)
        if known is None:
            return attributes
        news = {}
        for key, value in attributes.items():
            if key not in known:
                news[key] = value
            elif not same_json(known[key], value):
                return None
        return news


def _connects(name: str, type_: str, limits: Limits) -> bool:
    """Whether the device can be told of at all."""
    if _MOST_BYTES_PER_CHARACTER * (len(name) + len(type_)) + 32 <= limits.connect:
        return True
    return len(connect_payload(name, type_)) <= limits.connect


def _sample(ts: int, values: dict[str, JsonValue]) -> bytes:
    return orjson.dumps({"ts": ts, "values": values})


def _pairs(values: dict[str, JsonValue]) -> bytes:
    """Keys and values, without the braces around them."""
    return orjson.dumps(values)[1:-1]


def _cost(content: bytes, name: str, devices: dict[str, list[bytes]]) -> int:
    """By how many bytes a message grows by this."""
    if not content:
        return 0
    return len(content) + (1 if name in devices else len(orjson.dumps(name)) + _DEVICE_BYTES)


def _telemetry_message(devices: dict[str, list[bytes]]) -> Message:
    told = [b"%b:[%b]" % (orjson.dumps(name), b",".join(parts)) for name, parts in devices.items()]
    return Message(Kind.TELEMETRY, b"{%b}" % b",".join(told))


def _attributes_message(devices: dict[str, list[bytes]]) -> Message:
    told = [b"%b:{%b}" % (orjson.dumps(name), b",".join(parts)) for name, parts in devices.items()]
    return Message(Kind.ATTRIBUTES, b"{%b}" % b",".join(told))


def _cut(index: int, report: StoredReport, limits: Limits) -> Parcel:
    """A parcel with one report that does not fit into one message."""
    parcel = Parcel(index, index + 1)
    name = report.name
    try:
        if not _connects(name, report.type, limits):
            raise _TooLargeError("its name and type")
        overhead = _BRACES_BYTES + len(orjson.dumps(name)) + _DEVICE_BYTES
        samples = _cut_samples(report.telemetry, limits.telemetry - overhead)
        pairs = _group(_each_pair(report.attributes, limits.attributes - overhead), limits.attributes - overhead)
        parcel.messages = [_telemetry_message({name: [part]}) for part in samples]
        parcel.messages += [_attributes_message({name: [part]}) for part in pairs]
    except _TooLargeError as error:
        parcel.messages = []
        parcel.refusal = f"{error} would not fit into an MQTT message ({limits.cause})"
        return parcel
    parcel.devices[name] = report.type
    parcel.customers = int(report.customer is not None)
    parcel.groups = int(report.group is not None)
    return parcel


def _cut_samples(telemetry: Timeseries, room: int) -> Iterator[bytes]:
    """Samples, as many together as there is room for."""
    return _group(_each_sample(telemetry, room), room)


def _each_sample(telemetry: Timeseries, room: int) -> Iterator[bytes]:
    """Sample after sample; one for which there is no room as several, each with some of its keys."""
    for ts, values in telemetry:
        whole = _sample(ts, values)
        if len(whole) <= room:
            if values:
                yield whole
            continue
        envelope = _sample(ts, {})
        inner = room - len(envelope)
        for pairs in _group(_each_pair(values, inner), inner):
            yield envelope[:-2] + pairs + envelope[-2:]


def _each_pair(values: dict[str, JsonValue], room: int) -> Iterator[bytes]:
    """Key after key with its value."""
    for key, value in values.items():
        pair = _pairs({key: value})
        if len(pair) > room:
            shown = key if len(key) <= _SHOWN_KEY_LENGTH else key[:_SHOWN_KEY_LENGTH] + "…"
            raise _TooLargeError(f"{shown!r}, whose value takes {len(pair)} bytes,")
        yield pair


def _group(parts: Iterable[bytes], room: int) -> Iterator[bytes]:
    """Parts with commas between them, as many together as there is room for; each of them fits."""
    together: list[bytes] = []
    used = -1
    for part in parts:
        if together and used + 1 + len(part) > room:
            yield b",".join(together)
            together, used = [], -1
        together.append(part)
        used += 1 + len(part)
    if together:
        yield b",".join(together)
