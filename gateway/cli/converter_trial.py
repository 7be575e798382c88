"""`gateway converter test`: a converter on one payload or on its example cases, without a server."""

import json as json_module
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import converter_inputs as inputs
from gateway.cli.converter_source import read_source
from gateway.cli.findings import Mark
from gateway.cli.integration import open_catalogue
from gateway.cli.output import (
    Format,
    FormatOption,
    cell,
    print_error,
    print_json,
    print_line,
    print_note,
    printable,
    time_text,
)
from gateway.errors import ConverterError, UsageError
from gateway.model import Converter, DeviceReport, JsonValue, Language
from gateway.operations.converters import compile_for, try_cases
from gateway.presentation.converter import case_trials_as_json, failure_as_json, trial_as_json
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.converters import Decoder
    from gateway.converters.trial import CaseTrial, Place

LINE_WIDTH = 100
"""How much of a long line is shown around a mistake, in characters."""

_NO_CONVERTER = "name a converter, or give --file with --language"


def test(
    name: Annotated[str | None, typer.Argument(help="The converter's name")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Try this source in place of the converter's")] = None,
    language: Annotated[
        Language | None, typer.Option(help="Language of the file", case_sensitive=False, show_default="the converter's")
    ] = None,
    text: inputs.Text = None,
    json: inputs.Json = None,
    hex: inputs.Hex = None,
    base64: inputs.Base64 = None,
    cbor: inputs.Cbor = None,
    payload_file: inputs.PayloadFile = None,
    metadata: inputs.Metadata = None,
    content_format: inputs.ContentFormat = None,
    principal: inputs.PrincipalName = None,
    principal_type: inputs.PrincipalType = "psk",
    integration: inputs.IntegrationName = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Try a converter on a payload, or without one on its example cases; no server is needed.

    Shows what the decoder returned, the reports that this makes, and how long a call takes; or what went wrong, and
    where. Exit code 1 where it fails, and where a case does.
    """
    settings = load_settings()
    given = inputs.Given(
        text, json, hex, base64, cbor, payload_file, metadata, content_format, principal, principal_type, integration
    )
    converter = _converter(name, file, language, settings)
    if not given.has_payload:
        given.refuse()
        raise typer.Exit(0 if _test_cases(converter, settings, format) else 1)
    uplink = _uplink(given, converter.name, settings)
    with explained(converter, format):
        decoder = compile_for(converter, settings)
    raise typer.Exit(0 if _test_payload(converter, decoder, uplink, format) else 1)


def _converter(name: str | None, file: Path | None, language: Language | None, settings: Settings) -> Converter:
    """The converter that is meant: the catalogue's, a file's, or the catalogue's with a file in its place."""
    if name is None:
        if file is None or language is None:
            raise UsageError("there is nothing to test", hint=_NO_CONVERTER)
        return Converter("test", language, read_source(file))
    with open_catalogue(settings) as catalogue:
        converter = catalogue.converter(name)
    if language is not None and file is None:
        raise UsageError("--language is for a --file", hint=_NO_CONVERTER)
    if file is not None:
        converter = replace(converter, source=read_source(file), language=language or converter.language)
    return converter


def _uplink(given: inputs.Given, converter: str, settings: Settings) -> inputs.Uplink:
    if given.integration is None:  # no data directory is made for a file that is tried
        return given.uplink(converter, None)
    with open_catalogue(settings) as catalogue:
        return given.uplink(converter, catalogue)


# -- one payload ---------------------------------------------------------------------------------------


def _test_payload(converter: Converter, decoder: "Decoder", uplink: inputs.Uplink, format: Format) -> bool:
    from gateway.converters.trial import try_payload

    trial = try_payload(decoder, *uplink, time.time_ns() // 1_000_000)
    if format is Format.JSON:
        print_json(trial_as_json(trial, converter.source))
        return trial.error is None
    if trial.returned:
        print_line("The decoder returned")
        _print_indented(trial.output)
    if trial.error is not None:
        print_error(trial.error)
        print_excerpt(trial.error, converter.source)
        return False
    print_line(f"Reports: {len(trial.reports)}")
    for report in trial.reports:
        _print_report(report)
    print_line(f"Took {trial.duration_us:.1f} µs (median of {trial.calls} calls).")
    return True


def _print_indented(value: JsonValue) -> None:
    for line in json_module.dumps(value, indent=2, ensure_ascii=False).splitlines():
        print_line(f"  {line}")


def _print_report(report: DeviceReport) -> None:
    belongs = "".join(
        f', {what} "{name}"' for what, name in (("customer", report.customer), ("group", report.group)) if name
    )
    print_line(f'  {report.kind} "{report.name}" of type "{report.type}"{belongs}')
    for key, value in report.attributes.items():
        print_line(f"    attribute  {key} = {cell(value)}")
    for ts, values in report.telemetry:
        print_line(f"    telemetry  {time_text(ts)}  {', '.join(f'{key} = {cell(v)}' for key, v in values.items())}")


# -- what is wrong with the source ---------------------------------------------------------------------


@contextmanager
def explained(converter: Converter, format: Format) -> Iterator[None]:
    """Show the line of a mistake that the block finds in the source, and end the command."""
    try:
        yield
    except ConverterError as error:
        if format is Format.JSON:
            print_json(failure_as_json(error, converter.source))
        else:
            print_error(error)
            print_excerpt(error, converter.source)
        raise typer.Exit(1) from None


def print_excerpt(error: ConverterError, source: str) -> None:
    """The line that an error speaks of, with a caret below its column; on standard error."""
    from gateway.converters.trial import place_of

    place = place_of(error, source)
    if place is not None:
        for line in excerpt(place):
            print_note(line)


def excerpt(place: "Place") -> list[str]:
    """A line with its number, a part of it where it is long, and below it the caret where the column is known."""
    at = min((place.column or 1) - 1, len(place.text))
    start = max(0, at - LINE_WIDTH // 2) if len(place.text) > LINE_WIDTH else 0
    shown = place.text[start : start + LINE_WIDTH].replace("\t", "    ")
    before = printable(place.text[start:at].replace("\t", "    "))
    if start:
        shown, before = f"…{shown}", f"…{before}"
    number = f"{place.line:>5} | "
    lines = [number + printable(shown).rstrip()]
    if place.column is not None:
        lines.append(" " * (len(number) - 2) + "| " + " " * len(before) + "^")
    return lines


# -- example cases -------------------------------------------------------------------------------------


def _test_cases(converter: Converter, settings: Settings, format: Format) -> bool:
    if not converter.cases:
        raise UsageError(
            f"converter {converter.name!r} has no example cases, and there is no payload",
            hint="give one of --text, --json, --hex, --base64, --cbor and --payload-file, "
            f"or keep a case: gateway converter case add {converter.name} CASE --json … --expect-current",
        )
    with explained(converter, format):
        trials = try_cases(converter, settings)
    failed = sum(1 for trial in trials if trial.wrong)
    if format is Format.JSON:
        print_json(case_trials_as_json(trials))
        return not failed
    for trial in trials:
        print_case(trial)
    print_line(f"Cases passed: {len(trials) - failed}, failed: {failed}.")
    return not failed


def print_case(trial: "CaseTrial") -> None:
    """One line of a case, and below it the difference."""
    print_line(
        f"{Mark.FAILED if trial.wrong else Mark.OK} {trial.case.name}{f': {trial.wrong}' if trial.wrong else ''}"
    )
    for line in trial.difference:
        print_line(f"    {line}")
