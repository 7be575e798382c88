"""`gateway quarantine`: uplinks that a converter failed on, and reports that a sink's receiver refused."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence, Set
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
from gateway.cli.payload_view import PayloadView, view_payload
from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UsageError
from gateway.model import Converter, DeviceReport, Integration, JsonValue, StoredReport
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.converters import Decoder
    from gateway.storage.quarantine import QuarantinedUplink, QuarantineView

PORTION_UPLINKS: Final = 200
"""Most uplinks that are replayed or deleted in one transaction."""

PORTION_BYTES: Final = 1 << 20
"""Most bytes of such uplinks."""

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
                _view_of(one).text,
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
    shown = _view_of(one)
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
    settings = load_settings()
    from gateway.cli.wanted_sinks import wanted_sinks

    replayed: list[dict[str, JsonValue]] = []
    with open_catalogue(settings) as catalogue:
        converters = _Converters(settings, *catalogue.snapshot())
    sinks = {wanted.name for wanted in wanted_sinks(settings)}
    with _view(settings) as view:
        for portion in _selected(view, ids, integration, all=all):
            outcomes = {one.id: _reports_of(one, converters, sinks) for one in portion}
            done = {id: reports for id, reports in outcomes.items() if not isinstance(reports, GatewayError)}
            released = list(done) if dry_run or not done else release(settings, done, converters.update_only)
            replayed.extend(_outcome_json(one, outcomes[one.id], one.id in released) for one in portion)
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
    settings = load_settings()
    deleted = 0
    with _view(settings) as view:
        for portion in _selected(view, ids, integration, all=all):
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


def _reports_of(
    one: "QuarantinedUplink", converters: "_Converters", sinks: Set[str]
) -> list[StoredReport] | GatewayError:
    """What becomes of an uplink today; of a report that a receiver refused, the report itself. `sinks` are on."""
    if one.sink is None:
        return converters.convert(one)
    if one.sink not in sinks:
        return NotFoundError(f"the sink {one.sink}, which it is for, is not on")
    return [one.report]


class _Converters:
    """Today's converters, each compiled when it is first needed."""

    def __init__(
        self, settings: Settings, integrations: Sequence[Integration], converters: Sequence[Converter]
    ) -> None:
        self._settings = settings
        self._integrations = {integration.name: integration for integration in integrations}
        self._converters = {converter.name: converter for converter in converters}
        self._decoders: dict[str, Decoder | GatewayError] = {}
        keys = {converter.name: frozenset(converter.update_only_keys) for converter in converters}
        self.update_only = {one.name: keys[one.converter] for one in integrations if keys[one.converter]}

    def convert(self, one: "QuarantinedUplink") -> list[StoredReport] | GatewayError:
        """The reports that an uplink makes today, or why it makes none."""
        from gateway.integrations.identity import writable_by
        from gateway.pipeline import held_to

        uplink = one.uplink
        integration = self._integrations.get(uplink.integration)
        try:
            if integration is None:
                raise NotFoundError(f"there is no integration named {uplink.integration} any more")
            decode = self._decoder(integration.converter).bind(uplink.metadata)
            writable = writable_by(integration, uplink.principal)
            if writable is not None:
                assert uplink.principal is not None
                decode = held_to(decode, writable, uplink.principal)
            reports = decode(uplink.payload, uplink.received_ms)
        except GatewayError as error:
            return error
        principal = uplink.principal.name if uplink.principal else None
        return [StoredReport(uplink.integration, uplink.received_ms, principal, *report) for report in reports]

    def _decoder(self, name: str) -> "Decoder":
        if name not in self._decoders:
            from gateway.cli.converter_source import compile_for

            try:
                self._decoders[name] = compile_for(self._converters[name], self._settings)
            except GatewayError as error:
                self._decoders[name] = error
        decoder = self._decoders[name]
        if isinstance(decoder, GatewayError):
            raise decoder
        return decoder


def _selected(
    view: "QuarantineView", ids: list[int] | None, integration: str | None, *, all: bool
) -> Iterator[list["QuarantinedUplink"]]:
    """What was chosen, in portions. What comes into the quarantine meanwhile is not part of it."""
    if [bool(ids), integration is not None, all].count(True) != 1:
        raise UsageError("say which uplinks: give ids, or --integration NAME, or --all")
    if ids:
        chosen = [view.uplink(id) for id in dict.fromkeys(ids)]
        for start in range(0, len(chosen), PORTION_UPLINKS):
            yield chosen[start : start + PORTION_UPLINKS]
        return
    last, after = view.last_id(), 0
    while portion := view.uplinks(integration=integration, after=after, limit=PORTION_UPLINKS, bytes=PORTION_BYTES):
        yield [one for one in portion if one.id <= last]
        after = portion[-1].id
        if after >= last:
            return


def _view(settings: Settings) -> "QuarantineView":
    from gateway.storage.quarantine import QuarantineView

    return QuarantineView(settings.gateway_data_dir)


def _principal(one: "QuarantinedUplink") -> str:
    if one.sink is not None:
        return one.report.principal or ""
    return one.uplink.principal.name if one.uplink.principal else ""


def _view_of(one: "QuarantinedUplink") -> PayloadView:
    """What came in; of a report that was refused, the report as converters return it."""
    if one.sink is None:
        return view_payload(one.uplink.payload, one.uplink.metadata.get("Option:content-format", ""))
    return PayloadView("json", json.dumps(_report_json(one.report), ensure_ascii=False))


def _report_json(report: StoredReport) -> JsonValue:
    from gateway.converters.trial import reports_as_json

    return reports_as_json([DeviceReport(*report[3:])], received_ms=-1)[0]


def as_json(one: "QuarantinedUplink") -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    uplink = one.uplink
    shown = _view_of(one)
    return {
        "id": one.id,
        "received_ts": uplink.received_ms,
        "integration": uplink.integration,
        "principal": _principal(one) or None,
        "principal_type": uplink.principal.kind if uplink.principal else None,
        "payload_format": shown.format,
        "payload": shown.text,
        "payload_hex": uplink.payload.hex(),
        "metadata": dict(uplink.metadata),
        "error": uplink.error,
        "sink": one.sink,
    }


def _outcome_json(
    one: "QuarantinedUplink", outcome: list[StoredReport] | GatewayError, was_there: bool
) -> dict[str, JsonValue]:
    failed = isinstance(outcome, GatewayError)
    return {
        "id": one.id,
        "integration": one.uplink.integration,
        "sink": one.sink,
        "names": [] if isinstance(outcome, GatewayError) else [report.name for report in outcome],
        "error": outcome.message if isinstance(outcome, GatewayError) else None,
        "was_there": failed or was_there,
    }


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
