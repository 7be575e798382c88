"""`gateway events` and what `gateway tap` shares with it: what went into converters, and what came out."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.integration import open_catalogue
from gateway.cli.output import (
    Format,
    FormatOption,
    print_json,
    print_note,
    print_table,
    program,
    time_text,
)
from gateway.cli.payload_view import PayloadView, view_payload
from gateway.integrations.debug_mode import mode_at
from gateway.model import DebugMode, Integration, JsonValue
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.storage.events import Event


def events(
    integration: Annotated[str, typer.Argument(help="The integration's name")],
    limit: Annotated[int, typer.Option(min=1, help="Most to show; the newest stay")] = 50,
    errors: Annotated[bool, typer.Option("--errors", help="Only uplinks that failed")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show an integration's debug events, the newest last."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        subject = catalogue.integration(integration)
    from gateway.storage.events import EventView

    with EventView(settings.gateway_data_dir) as view:
        found = view.newest(integration, limit=limit, failed_only=errors)
    note_what_is_missing([subject], errors=errors)
    if format is Format.JSON:
        print_json([as_json(event) for event in found])
        return
    print_table(
        ("time", "device's address", "principal", "took", "in", "out or error"),
        ((time_text(e.ts), e.peer, e.principal or "", took(e), shown_in(e).text, result(e)) for e in found),
    )


def note_what_is_missing(integrations: list[Integration], *, errors: bool) -> None:
    """Say how debugging is switched on, where none of these integrations leaves events of all uplinks, or, where only
    `errors` are wanted, of failures.
    """
    modes = {mode_at(one, time.time_ns() // 1_000_000) for one in integrations}
    if DebugMode.ALL in modes or (errors and DebugMode.FAILURES in modes):
        return
    name = integrations[0].name if len(integrations) == 1 else "NAME"
    now = "records failures only" if DebugMode.FAILURES in modes else "is off"
    print_note(f"hint: debugging {now}; for 15 minutes of all: {program()} integration update {name} --debug all")


def took(event: "Event") -> str:
    """How long the decoder took."""
    return f"{event.duration_us / 1000:.2f} ms"


def shown_in(event: "Event") -> PayloadView:
    """The payload in words, with a mark where there was more of it."""
    format, text = view_payload(event.payload, event.metadata.get("Option:content-format", ""))
    return PayloadView(format, text + ("…" if event.payload_bytes > len(event.payload) else ""))


def result(event: "Event") -> str:
    """What became of it."""
    return f"error: {event.error}" if event.error is not None else event.out or ""


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


def _parsed(out: str | None) -> JsonValue:
    """What the decoder returned; as the text that it is where it was cut."""
    if out is None:
        return None
    try:
        return json.loads(out)
    except (ValueError, RecursionError):
        return out
