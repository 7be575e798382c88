"""An integration's endpoint: the URLs that devices use, and what its name, path and security mode may be."""

import re

from gateway.errors import UsageError
from gateway.integrations.identity import check_binding, needs_identity
from gateway.model import Integration, Security, SecurityMode
from gateway.settings import Settings

NAME_CHARACTERS_MAX = 255
"""Longest name of an integration, in characters."""

SEGMENT_BYTES_MAX = 255
"""Longest path segment, in bytes (RFC 7252 §5.10: a Uri-Path option)."""

PREFIX_BYTES_MAX = 255
"""Longest path prefix in all, in bytes; with a routing key it still fits a datagram (RFC 7252 §4.6)."""

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
"""The characters that a URI never has to escape (RFC 3986 §2.3), so every client spells the path alike."""

_RESERVED = re.compile(r"/(?:cases|commands|debug|export)(?:/|$)")
"""What follows a name in the REST API's paths, where slashes in it can't be told from those around it."""

_ALLOWED = "allowed are letters, digits, '-', '.', '_' and '~'"


def endpoint_urls(integration: Integration, settings: Settings) -> list[str]:
    """The URLs that the integration's security mode gives: one, or for MIXED the plain and the DTLS one."""
    path = "/".join(integration.path)
    return [
        f"{settings.base_url(security)}/{path}" for security in Security if integration.security_mode.allows(security)
    ]


def check_integration(integration: Integration, settings: Settings) -> None:
    """Refuse what can't be served: raises UsageError for a bad name, routing key, path prefix or identity binding,
    for a security mode that none of the listeners of `settings` carries, and for one under which no device has the
    identity that is asked for.
    """
    check_name("integration", integration.name)
    _check_routing_key(integration.routing_key)
    if integration.path_prefix:
        _check_path_prefix(integration.path_prefix)
    for key in integration.metadata:
        if not key or not key.isprintable():
            raise UsageError(
                f"metadata key {key!r} is empty or not printable", hint="write it as KEY=VALUE", field="metadata"
            )
    check_binding(integration.identity_binding)
    _check_security_mode(integration, settings)
    if needs_identity(integration) and integration.security_mode is SecurityMode.NO_SECURE:
        wish = "requires an identity" if integration.require_principal else "has an identity binding"
        raise UsageError(
            f"integration {integration.name!r} {wish}, and over plain CoAP no device has one",
            hint="choose --security-mode DTLS or MIXED, or --identity-binding none and --no-require-principal",
            field="security_mode",
        )


def check_name(noun: str, name: str) -> None:
    """Refuse a name that a person can't type, tell from another or pass to a command; raises UsageError."""
    if not name or name != name.strip() or not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
        raise UsageError(
            f"{noun} name {name!r} is not usable",
            hint=f"a name is 1 to {NAME_CHARACTERS_MAX} printable characters, with no space at either end",
            field="name",
        )
    if _RESERVED.search(name):
        raise UsageError(
            f"{noun} name {name!r} is not usable: in the REST API's paths it would mean something else",
            hint="a name has no /cases, /commands, /debug or /export in it",
            field="name",
        )


def _check_routing_key(routing_key: str) -> None:
    problem = _segment_problem(routing_key)
    if problem:
        raise UsageError(
            f"routing key {routing_key!r} {problem}", hint=f"{_ALLOWED}; a UUID is usual", field="routing_key"
        )


def _check_path_prefix(prefix: str) -> None:
    segments = prefix.split("/")
    for segment in segments:
        problem = _segment_problem(segment)
        if problem:
            raise UsageError(
                f"path prefix {prefix!r}: segment {segment!r} {problem}",
                hint=f"write it like api/v2, with no slash at either end; {_ALLOWED}",
                field="path_prefix",
            )
    if segments[0] == ".well-known":
        raise UsageError(
            f"path prefix {prefix!r}: .well-known belongs to discovery (RFC 8615)",
            hint="choose another one, such as api",
            field="path_prefix",
        )
    if len(prefix) > PREFIX_BYTES_MAX:
        raise UsageError(
            f"path prefix has {len(prefix)} bytes",
            hint=f"at most {PREFIX_BYTES_MAX} are allowed",
            field="path_prefix",
        )


def _segment_problem(segment: str) -> str:
    """What keeps `segment` from being one Uri-Path option; empty where nothing does."""
    if not segment:
        return "is empty"
    if segment in (".", ".."):
        return "is no path segment (RFC 7252 §5.10.1)"
    if not _UNRESERVED.fullmatch(segment):
        return "has characters that a URI can't hold as they are"
    if len(segment) > SEGMENT_BYTES_MAX:
        return f"has {len(segment)} bytes, and a CoAP path segment holds at most {SEGMENT_BYTES_MAX}"
    return ""


def _check_security_mode(integration: Integration, settings: Settings) -> None:
    mode = integration.security_mode
    where = f"integration {integration.name!r}: security mode {mode}"
    # COAP_SECURITY_MODE outranks the two switches, so where it is set, only it cures.
    if mode is not SecurityMode.NO_SECURE and not settings.dtls_listener:
        cure = "COAP_DTLS_ENABLED=true"
        if settings.coap_security_mode is not None:
            cure = "COAP_SECURITY_MODE=MIXED (it outranks COAP_DTLS_ENABLED)"
        raise UsageError(
            f"{where} needs the DTLS listener, which the settings leave off",
            hint=f'set {cure}, or choose --security-mode "NO SECURE"',
            field="security_mode",
        )
    if mode is SecurityMode.NO_SECURE and not settings.plain_listener:
        cure = "COAP_SERVER_ENABLED=true"
        if settings.coap_security_mode is not None:
            cure = "COAP_SECURITY_MODE=MIXED (it outranks COAP_SERVER_ENABLED)"
        raise UsageError(
            f"{where} needs the plain listener, which the settings leave off",
            hint=f"set {cure}, or choose --security-mode DTLS",
            field="security_mode",
        )
