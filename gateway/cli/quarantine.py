"""`gateway quarantine`: uplinks that a converter failed on, and reports that a sink's receiver refused."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.integration import open_catalogue
from gateway.cli.output import (
    Format,
    FormatOption,
    print_fields,
    print_json,
    print_line,
    print_note,
    print_table,
    time_text,
)
from gateway.errors import ConfigurationError, GatewayError
from gateway.model import JsonValue, StoredReport
from gateway.presentation.quarantine import as_json, outcome_as_json, view_of
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.storage.quarantine import QuarantinedUplink, QuarantineView

LOCK_PATIENCE_S: Final = 5.0
"""How long a gateway may take that is just starting or stopping."""

app = typer.Typer(
    help="Uplinks that a converter failed on, and reports that a sink's receiver refused: look, and try again.",
    no_args_is_help=True,
)

Ids = Annotated[list[int] | None, typer.Argument(help="Ids of uplinks", metavar="[ID]...", show_default=False)]
IntegrationOption = Annotated[str | None, typer.Option(help="Those of this integration")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them")]


@app.command("list")
def list_(
    integration: IntegrationOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Most to list; the oldest come first")] = 1000,
    format: FormatOption = Format.TABLE,
) -> None:
    """List uplinks in the quarantine, the oldest first."""
    with _view(load_settings()) as view:
        uplinks = view.uplinks(integration=integration, limit=limit)
        total = view.size(integration=integration)
    if total > len(uplinks):
        print_note(f"hint: only the first {len(uplinks)} of {total} are listed; --limit lists more")
    if format is Format.JSON:
        print_json([as_json(one) for one in uplinks])
        return
    print_table(
        ("id", "received", "integration", "principal", "sink", "in", "error"),
        (
            (
                str(one.id),
                time_text(one.uplink.received_ms),
                one.uplink.integration,
                _principal(one),
                one.sink or "",
                view_of(one).text,
                one.uplink.error,
            )
            for one in uplinks
        ),
    )


@app.command()
def show(id: Annotated[int, typer.Argument(help="The uplink's id")], format: FormatOption = Format.TABLE) -> None:
    """Show an uplink: what came in, with which metadata, and what the converter said; or a report that was refused."""
    with _view(load_settings()) as view:
        one = view.uplink(id)
    if format is Format.JSON:
        print_json(as_json(one))
        return
    print_fields(
        {
            "id": str(one.id),
            "received": time_text(one.uplink.received_ms),
            "integration": one.uplink.integration,
            "principal": _principal(one),
            **({"sink": one.sink} if one.sink is not None else {}),
            "bytes": str(len(one.uplink.payload)),
            "error": one.uplink.error,
        }
    )
    print_line()
    shown = view_of(one)
    print_line(f"In ({shown.format}):" if one.sink is None else "Report:")
    for line in shown.text.splitlines():
        print_line(f"  {line}")
    if one.sink is None:
        print_line()
        print_table(("metadata", "value"), one.uplink.metadata.items())


@app.command()
def replay(
    ids: Ids = None,
    integration: IntegrationOption = None,
    all: AllOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of them")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Run uplinks again through today's converters. What succeeds now is stored as of its first receipt and leaves.

    A report that a sink's receiver refused is sent to that sink again.
    """
    from gateway.operations.quarantine import TodaysConverters, reports_of, selected
    from gateway.operations.sinks import wanted_sinks

    settings = load_settings()
    replayed: list[dict[str, JsonValue]] = []
    with open_catalogue(settings) as catalogue:
        converters = TodaysConverters(settings, *catalogue.snapshot())
    sinks = {wanted.name for wanted in wanted_sinks(settings)}
    with _view(settings) as view:
        for portion in selected(view, ids, integration, all=all):
            outcomes = {one.id: reports_of(one, converters, sinks) for one in portion}
            done = {id: reports for id, reports in outcomes.items() if not isinstance(reports, GatewayError)}
            released = list(done) if dry_run or not done else release(settings, done, converters.update_only)
            replayed.extend(outcome_as_json(one, outcomes[one.id], one.id in released) for one in portion)
    failed = [outcome for outcome in replayed if outcome["error"] is not None]
    if format is Format.JSON:
        print_json(replayed)
    else:
        for outcome in replayed:
            print_line(_outcome_text(outcome, dry_run=dry_run))
        verb = "Would succeed" if dry_run else "Replayed"
        succeeded = [outcome for outcome in replayed if outcome["error"] is None and outcome["was_there"]]
        print_line(f"{verb}: {len(succeeded)}. Still failing, and kept: {len(failed)}.")
    if failed:
        raise typer.Exit(1)


@app.command()
def delete(ids: Ids = None, integration: IntegrationOption = None, all: AllOption = False) -> None:
    """Delete uplinks from the quarantine for good."""
    from gateway.operations.quarantine import selected

    settings = load_settings()
    deleted = 0
    with _view(settings) as view:
        for portion in selected(view, ids, integration, all=all):
            deleted += len(release(settings, {one.id: [] for one in portion}, {}))
    print_line(f"Deleted: {deleted}.")


def release(
    settings: Settings,
    converted: Mapping[int, Sequence[StoredReport]],
    update_only: Mapping[str, frozenset[str]],
) -> list[int]:
    """Take uplinks out of the quarantine and store their reports; gives the ids of those that were still there.

    The running gateway does it, being the one that writes the device store; where none runs, it is done here, under
    the lock that a gateway would hold. Raises ConfigurationError or UnavailableError where neither can.
    """
    from gateway.command_socket import ask
    from gateway.storage.devices import DeviceStore
    from gateway.supervisor import exclusive

    wanted = [(id, list(map(tuple, reports))) for id, reports in converted.items()]
    deadline_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        released = ask(settings.gateway_data_dir, "release", wanted)
        if released is not None:
            return list(released)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(exclusive(settings.gateway_data_dir))
            except ConfigurationError:
                if time.monotonic() >= deadline_s:
                    raise
                continue  # one that is just starting or stopping; taking the lock has waited already
            keep_history = settings.gateway_history_days > 0
            store = stack.enter_context(DeviceStore(settings.gateway_data_dir, keep_history=keep_history))
            store.update_only = update_only
            return store.release(converted)


def _view(settings: Settings) -> "QuarantineView":
    from gateway.storage.quarantine import QuarantineView

    return QuarantineView(settings.gateway_data_dir)


def _principal(one: "QuarantinedUplink") -> str:
    if one.sink is not None:
        return one.report.principal or ""
    return one.uplink.principal.name if one.uplink.principal else ""


def _outcome_text(outcome: Mapping[str, JsonValue], *, dry_run: bool) -> str:
    if outcome["error"] is not None:
        return f"{outcome['id']}  {outcome['integration']}  error: {outcome['error']}"
    if not outcome["was_there"]:
        return f"{outcome['id']}  {outcome['integration']}  somebody else has taken it out meanwhile"
    names = ", ".join(outcome["names"]) or "no reports"
    if outcome["sink"] is not None:
        done = f"{'would go' if dry_run else 'goes'} to {outcome['sink']} again: {names}"
    else:
        done = f"{'would write' if dry_run else 'wrote'} {names}"
    return f"{outcome['id']}  {outcome['integration']}  {done}"
