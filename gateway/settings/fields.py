"""What a setting can be, besides numbers, texts and paths."""

import ipaddress
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field


class CredentialsType(StrEnum):
    """Where the DTLS server's key comes from."""

    PEM = "PEM"
    KEYSTORE = "KEYSTORE"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


class RateLimit(BaseModel, frozen=True):
    """One limit of ThingsBoard's `count:seconds` form."""

    count: int
    seconds: int


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address, such as 0.0.0.0 or ::") from None


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _rate_limits(value: str) -> str:
    parse_rate_limits(value)
    return value


def _base_url(value: str) -> str:
    """`coap://host` or `coap://host:port`, with no path: integrations bring their own."""
    if not value:
        return value
    parts = urlsplit(value)
    try:
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        port_ok = False
    if parts.scheme != "coap" or not parts.hostname or not port_ok or parts.path.strip("/") or parts.query:
        raise ValueError("must look like coap://host or coap://host:port")
    return value.rstrip("/")


def _http_url(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(value)
    try:
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        port_ok = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise ValueError("must look like https://host/path")
    return value


def parse_rate_limits(value: str) -> tuple[RateLimit, ...]:
    """`"10:1,300:60"` → 10 in any second and 300 in any minute; an empty text is no limit."""
    limits = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        count, colon, seconds = part.partition(":")
        if not (colon and count.isdecimal() and seconds.isdecimal() and int(count) and int(seconds)):
            raise ValueError("must be COUNT:SECONDS pairs separated by commas, such as 10:1,300:60")
        limits.append(RateLimit(count=int(count), seconds=int(seconds)))
    return tuple(limits)


IpAddress = Annotated[str, AfterValidator(_ip_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
WholeNumber = BeforeValidator(_number)
"""For a Literal of numbers: a variable is text, and a Literal of numbers takes numbers only."""
RateLimits = Annotated[str, AfterValidator(_rate_limits)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
