"""A debug event's shape in JSON, and which events somebody asks for."""

import json
from typing import TYPE_CHECKING

from gateway.model import JsonValue
from gateway.presentation.payload_view import PayloadView, view_payload

if TYPE_CHECKING:
    from gateway.storage.events import Event


def as_json(event: "Event") -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    shown = shown_in(event)
    return {
        "id": event.id,
        "ts": event.ts,
        "integration": event.integration,
        "peer": event.peer,
        "principal": event.principal,
        "payload_format": shown.format,
        "payload": shown.text,
        "payload_hex": event.payload.hex(),
        "payload_bytes": event.payload_bytes,
        "metadata": event.metadata,
        "out": _parsed(event.out),
        "error": event.error,
        "duration_ms": event.duration_us / 1000,
        "names": list(event.names),
    }


def shown_in(event: "Event") -> PayloadView:
    """The payload in words, with a mark where there was more of it."""
    format, text = view_payload(event.payload, event.metadata.get("Option:content-format", ""))
    return PayloadView(format, text + ("…" if event.payload_bytes > len(event.payload) else ""))


def is_wanted(event: "Event", integration: str | None, device: str | None, *, errors: bool) -> bool:
    """Whether an event is of this integration and device, and, where only `errors` are wanted, of a failure.

    A device is called by a name that was written, by its principal, or by its address with or without the port.
    """
    if integration not in (None, event.integration) or (errors and event.error is None):
        return False
    host = event.peer.rpartition(":")[0]
    return device is None or device in (*event.names, event.principal, event.peer, host, host.strip("[]"))


def _parsed(out: str | None) -> JsonValue:
    """What the decoder returned; as the text that it is where it was cut, or is deeper than writers of JSON can go."""
    if out is None:
        return None
    from gateway.converters.cases import DEPTH_MAX, is_deeper  # with all that converters need; few want it

    try:
        value = json.loads(out)
    except (ValueError, RecursionError):
        return out
    return out if is_deeper(value, DEPTH_MAX) else value
