"""`gateway tap`: debug events as they come.

It follows the events' file, so that it costs the gateway nothing and goes on when the gateway is started anew.
"""

import json
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.events import note_what_is_missing, result, took
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_line, print_note, time_text
from gateway.presentation.event import as_json, is_wanted, shown_in
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.storage.events import Event

POLL_S: Final = 0.1
"""How often it is looked for new events."""

PORTION: Final = 500
"""Most events that are read in one go."""


def tap(
    integration: Annotated[str | None, typer.Option(help="Only uplinks of this integration")] = None,
    device: Annotated[
        str | None, typer.Option(help="Only uplinks of this device: its name, its principal, or its address")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only uplinks that failed")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many", show_default="until Ctrl+C")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show debug events live, one a line; as JSON, one object a line."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        watched = catalogue.integrations() if integration is None else [catalogue.integration(integration)]
    note_what_is_missing(watched, errors=errors)
    from gateway.storage.events import EventView

    shown = 0
    with EventView(settings.gateway_data_dir) as view:
        last = view.last_id()
        print_note("Waiting for events; Ctrl+C ends it.")
        while limit is None or shown < limit:
            found = view.after(last, limit=PORTION)
            for event in found:
                last = event.id
                if is_wanted(event, integration, device, errors=errors) and (limit is None or shown < limit):
                    _print(event, format)
                    shown += 1
            if not found:
                time.sleep(POLL_S)


def _print(event: "Event", format: Format) -> None:
    if format is Format.JSON:
        print(json.dumps(as_json(event)), flush=True)
        return
    who = event.peer if event.principal is None else f"{event.peer} {event.principal}"
    parts = (time_text(event.ts), event.integration, who, took(event), f"{shown_in(event).text} → {result(event)}")
    print_line("  ".join(parts), flush=True)
