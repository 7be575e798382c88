"""What flows through the gateway, from a datagram's request to a device's report.

Everything here is immutable. Types that exist once per uplink are `NamedTuple`s: a frozen dataclass takes
three times as long to make, which would be a tenth of the packet loop's whole budget. The others are frozen,
slotted dataclasses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Literal, NamedTuple, TypeAlias

JsonValue: TypeAlias = Any
"""A value that JSON can hold. The one place where `Any` is honest: it is the device's own data."""


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same as JSON: numbers by their value, objects in whatever order of keys."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


Timeseries: TypeAlias = list[tuple[int, dict[str, JsonValue]]]
"""Telemetry samples: (time in milliseconds since 1970, key → value)."""


class Code(IntEnum):
    """CoAP method and response codes (RFC 7252 §12.1, RFC 7959 §6, RFC 8516 §6): class in the upper three bits."""

    EMPTY = 0x00
    GET = 0x01
    POST = 0x02
    PUT = 0x03
    DELETE = 0x04
    FETCH = 0x05
    PATCH = 0x06
    IPATCH = 0x07
    CREATED = 0x41
    CHANGED = 0x44
    CONTENT = 0x45
    CONTINUE = 0x5F
    BAD_REQUEST = 0x80
    UNAUTHORIZED = 0x81
    BAD_OPTION = 0x82
    FORBIDDEN = 0x83
    NOT_FOUND = 0x84
    METHOD_NOT_ALLOWED = 0x85
    REQUEST_ENTITY_INCOMPLETE = 0x88
    REQUEST_ENTITY_TOO_LARGE = 0x8D
    TOO_MANY_REQUESTS = 0x9D
    INTERNAL_SERVER_ERROR = 0xA0
    SERVICE_UNAVAILABLE = 0xA3

    @property
    def dotted(self) -> str:
        """The code as the RFCs write it, such as `4.04`."""
        return f"{self >> 5}.{self & 0x1F:02}"


class Security(StrEnum):
    """How a request reached the gateway. The value is the URI scheme."""

    PLAIN = "coap"
    DTLS = "coaps"


class Role(StrEnum):
    """What a user may: an admin everything, a viewer look."""

    ADMIN = "admin"
    VIEWER = "viewer"


class SecurityMode(StrEnum):
    """ThingsBoard's security mode of an integration: which listeners may carry its uplinks."""

    NO_SECURE = "NO SECURE"
    DTLS = "DTLS"
    MIXED = "MIXED"

    def allows(self, security: Security) -> bool:
        """Whether a request that came over `security` may be taken."""
        return self is SecurityMode.MIXED or (self is SecurityMode.DTLS) == (security is Security.DTLS)


class Language(StrEnum):
    """The language of an uplink converter's script."""

    JAVASCRIPT = "javascript"
    TBEL = "tbel"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a DTLS session belongs to; set when its handshake completes. A PSK identity has a kind and a name alone."""

    kind: Literal["psk", "x509", "rpk"]
    name: str
    subject: str | None = None
    """The certificate's subject, as RFC 4514 writes it."""
    sans: tuple[str, ...] = ()
    """The certificate's alternative names in its own order: DNS names, URIs, e-mail and IP addresses, as bare text."""
    fingerprint: str | None = None
    """SHA-256 of the certificate, or of a raw public key's SubjectPublicKeyInfo: 64 lower-case hex digits."""
    issuer: str | None = None
    """The certificate's issuer, as RFC 4514 writes it."""
    serial: str | None = None
    """The certificate's serial number, in lower-case hex."""
    expires_s: int | None = None
    """The last second of the certificate's validity, since 1970."""
    credential: str | None = field(default=None, repr=False, compare=False)
    """What vouched for it, so that its sessions can end with that: the SHA-256 fingerprint of the trusted certificate
    at the end of its path (its own where it is pinned), or a keyed digest of the pre-shared key. Shown to nobody."""


class DebugMode(StrEnum):
    """Which uplinks of an integration leave a debug event (ThingsBoard's debug settings)."""

    OFF = "off"
    FAILURES = "failures"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ConverterCase:
    """An example that is kept with a converter: what goes in, and what must come out."""

    name: str
    payload: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    """All that the decoder is told besides the payload."""
    expected: JsonValue = None
    """A result as a decoder returns it, which must make the same reports; None: any result that makes reports."""


@dataclass(frozen=True, slots=True)
class Converter:
    """An uplink converter as the catalogue keeps it.

    Two that are equal are compiled from the same text: what does not matter for that is not compared.
    """

    name: str
    language: Language
    source: str
    update_only_keys: tuple[str, ...] = field(default=(), compare=False)
    """ThingsBoard's updateOnlyKeys: telemetry and attribute keys that are written only where their value changes."""
    cases: tuple[ConverterCase, ...] = field(default=(), compare=False)
    """Examples that its source is tried on before it is replaced."""


@dataclass(frozen=True, slots=True)
class Integration:
    """One way in for devices: an endpoint path, and the converter that its uplinks go through."""

    name: str
    converter: str
    """The name of its uplink converter."""
    routing_key: str
    enabled: bool = True
    security_mode: SecurityMode = SecurityMode.NO_SECURE
    path_prefix: str = ""
    """Path before `/i/<routing key>`, without a slash at either end; may hold several segments."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The integration's own key-values, given to the converter with each uplink."""
    identity_binding: str = "none"
    """Which devices a DTLS session may write: see `gateway.integrations.identity`."""
    require_principal: bool = False
    """Whether only sessions whose peer has an identity may write, by pre-shared key or certificate."""
    debug_mode: DebugMode = DebugMode.OFF
    debug_until_ms: int = 0
    """When `DebugMode.ALL` ends by itself, in milliseconds since 1970."""

    @property
    def path(self) -> tuple[str, ...]:
        """The endpoint's Uri-Path segments."""
        prefix = tuple(self.path_prefix.split("/")) if self.path_prefix else ()
        return (*prefix, "i", self.routing_key)


@dataclass(frozen=True, slots=True)
class Request:
    """What a CoAP request asks for, without its payload: equal options make equal requests, so it can be memoised."""

    security: Security
    method: int
    path: tuple[str, ...]
    query: tuple[str, ...] = ()
    content_format: int | None = None
    location_path: tuple[str, ...] = ()
    location_query: tuple[str, ...] = ()
    principal: Principal | None = None


class DeviceReport(NamedTuple):
    """What a converter says of one device or asset (thingsboard: "uplink data")."""

    kind: Literal["device", "asset"]
    name: str
    type: str
    customer: str | None
    group: str | None
    attributes: dict[str, JsonValue]
    telemetry: Timeseries


class StoredReport(NamedTuple):
    """A `DeviceReport` as the spool keeps it, with where and when it came from; the order is the file format."""

    integration: str
    received_ms: int
    principal: str | None
    kind: Literal["device", "asset"]
    name: str
    type: str
    customer: str | None
    group: str | None
    attributes: dict[str, JsonValue]
    telemetry: Timeseries


class Outcome(NamedTuple):
    """How a request ended: the response code and what the response says."""

    code: Code
    diagnostic: str = ""
    max_age_s: int | None = None
    """When it is worth trying again (5.03, 4.29), in seconds."""


@dataclass(frozen=True, slots=True)
class FailedUplink:
    """An uplink that its converter failed on, with all that it takes to try again."""

    integration: str
    received_ms: int
    principal: Principal | None
    """Whose session it came through: kind, name and alternative names."""
    payload: bytes
    metadata: Mapping[str, str]
    """What the converter was told besides the payload."""
    error: str


class Delivery(NamedTuple):
    """One committed batch of a spool, on its way to a sink."""

    batch_id: int
    reports: list[StoredReport]
    failed: Sequence[FailedUplink] = ()
