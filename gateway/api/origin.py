"""Whose pages a browser's request comes from, and by which name it found us."""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.settings import Settings

_OWN_NAMES: Final = frozenset({"localhost"})


def is_cross_site(headers: Mapping[str, str], scheme: str, settings: Settings) -> bool:
    """Whether a browser's unsafe request may come from another site's page: none of it says that it is from ours.

    By Origin (RFC 6454 §7), where there is none by Sec-Fetch-Site (W3C Fetch Metadata §2.4). Every browser of today
    sends one of them.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") != "same-origin"
    return not is_own_origin(origin, headers.get("host", ""), scheme, settings)


def is_own_origin(origin: str, host: str, scheme: str, settings: Settings) -> bool:
    """Whether an Origin is that of our own pages: where the request went, or the public URL."""
    own = {_origin_of(f"{scheme}://{host}")}
    if settings.gateway_http_public_url:
        own.add(_origin_of(settings.gateway_http_public_url))
    given = _origin_of(origin)
    return given is not None and given in own


def is_own_host(host: str, settings: Settings) -> bool:
    """Whether a Host header names this gateway, and not some name that an attacker's DNS answers with our address.

    An address can't be rebound; of names ours are localhost, the machine's and that of the public URL.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name in _OWN_NAMES | {socket.gethostname().lower(), _public_name(settings)} - {""}
    return True


def _public_name(settings: Settings) -> str:
    return urlsplit(settings.gateway_http_public_url).hostname or ""


def _origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port (RFC 6454 §4); None where it has none, as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port
