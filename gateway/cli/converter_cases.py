"""`gateway converter case`: examples that are kept with a converter, and that each new source is tried on."""

import json as json_module
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import converter_inputs as inputs
from gateway.cli.converter_trial import explained
from gateway.cli.inputs import read_file
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, print_table
from gateway.errors import ConverterError, NotFoundError, UsageError
from gateway.integrations.endpoints import check_name
from gateway.model import Converter, ConverterCase, JsonValue
from gateway.operations.converters import compile_for
from gateway.settings import Settings, load_settings

EXPECTED_BYTES_MAX = 1 << 18
"""Longest expected result of a case, in bytes."""

app = typer.Typer(help="Example cases of a converter: each new source is tried on them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The converter's name")]
CaseName = Annotated[str, typer.Argument(help="The case's name", metavar="CASE")]


@app.command()
def add(
    name: Name,
    case: CaseName,
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
    expect: Annotated[
        Path | None, typer.Option(help="File with the result that is expected, JSON; - reads standard input")
    ] = None,
    expect_current: Annotated[
        bool, typer.Option("--expect-current", help="Expect what the converter returns today")
    ] = False,
    replace_: Annotated[bool, typer.Option("--replace", help="Replace a case of that name")] = False,
) -> None:
    """Keep a payload, and the result that is expected; without one, any result that makes reports is right."""
    from gateway.converters.cases import check_number, check_payload
    from gateway.converters.trial import try_case

    settings = load_settings()
    check_name("case", case)
    if expect is not None and expect_current:
        raise UsageError("--expect and --expect-current exclude each other", hint="leave one of them out")
    given = inputs.Given(
        text, json, hex, base64, cbor, payload_file, metadata, content_format, principal, principal_type, integration
    )
    with open_catalogue(settings) as catalogue:
        converter = catalogue.converter(name)
        others = tuple(one for one in converter.cases if one.name != case)
        if len(others) < len(converter.cases) and not replace_:
            raise UsageError(f"converter {name!r} has a case {case!r} already", hint="replace it with --replace")
        check_number(len(others) + 1)
        payload, metadata_given = given.uplink(name, catalogue)
        check_payload(payload)
        added = ConverterCase(case, payload, metadata_given)
        if expect is not None:
            added = replace(added, expected=_read_expected(expect))
        elif expect_current:
            added = replace(added, expected=_current(converter, added, settings))
        catalogue.update_converter(name, replace(converter, cases=(*others, added)))
    print_line(f'Case "{case}" is kept with converter "{name}".')
    with explained(converter, Format.TABLE):
        trial = try_case(compile_for(converter, settings), added)
    if trial.wrong:
        print_note(f"note: the converter fails on it as it is now: {trial.wrong}")


@app.command("list")
def list_(name: Name, format: FormatOption = Format.TABLE) -> None:
    """List a converter's cases."""
    from gateway.converters.cases import case_as_json

    with open_catalogue(load_settings()) as catalogue:
        cases = catalogue.converter(name).cases
    if format is Format.JSON:
        print_json([case_as_json(case) for case in cases])
        return
    print_table(
        ("case", "payload", "expected"),
        ((case.name, f"{len(case.payload)} bytes", _brief(case.expected)) for case in cases),
    )


@app.command()
def remove(name: Name, case: CaseName) -> None:
    """Forget a case."""
    with open_catalogue(load_settings()) as catalogue:
        converter = catalogue.converter(name)
        rest = tuple(one for one in converter.cases if one.name != case)
        if len(rest) == len(converter.cases):
            names = ", ".join(one.name for one in converter.cases)
            raise NotFoundError(
                f"converter {name!r} has no case {case!r}", hint=f"there are: {names}" if names else "it has none"
            )
        catalogue.update_converter(name, replace(converter, cases=rest))
    print_line(f'Case "{case}" of converter "{name}" is removed.')


def _current(converter: Converter, case: ConverterCase, settings: Settings) -> JsonValue:
    """What the converter returns today; ends the command where that is nothing to expect."""
    from gateway.converters.trial import CASE_RECEIVED_MS, try_payload

    with explained(converter, Format.TABLE):
        trial = try_payload(compile_for(converter, settings), case.payload, case.metadata, CASE_RECEIVED_MS)
        if trial.error is not None:
            raise trial.error
    return trial.output


def _read_expected(file: Path) -> JsonValue:
    from gateway.converters.cases import check_json
    from gateway.converters.results import reports_of

    content = read_file(file, limit_bytes=EXPECTED_BYTES_MAX)
    try:
        expected = json_module.loads(content.decode("utf-8-sig"))
        check_json(expected, f"--expect {str(file)!r}")
        reports_of(expected, 0)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--expect {str(file)!r} is not JSON: {error}") from None
    except ConverterError as error:
        raise UsageError(
            f"--expect {str(file)!r} is no result of a converter: {error.message}",
            hint='it is what the decoder shall return, such as {"deviceName": …, "telemetry": {…}}',
        ) from None
    return expected


def _brief(expected: JsonValue) -> str:
    if expected is None:
        return "any result"
    text = json_module.dumps(expected, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
