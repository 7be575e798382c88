"""`gateway events` and what `gateway tap` shares with it: what went into converters, and what came out."""

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
from gateway.errors import NotFoundError
from gateway.integrations.debug_mode import mode_at
from gateway.model import DebugMode, Integration
from gateway.presentation.event import as_json, shown_in
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
    from gateway.storage.events import EventView

    with EventView(settings.gateway_data_dir) as view:
        found = view.newest(integration, limit=limit, failed_only=errors)
    with open_catalogue(settings) as catalogue:
        try:
            note_what_is_missing([catalogue.integration(integration)], errors=errors)
        except NotFoundError:
            if not found:  # of one that was renamed or deleted there may be some
                raise
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


def result(event: "Event") -> str:
    """What became of it."""
    return f"error: {event.error}" if event.error is not None else event.out or ""
