"""`gateway converter import` and `export`: ThingsBoard's converter files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.inputs import read_file
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, program
from gateway.errors import ConverterError, UsageError
from gateway.model import Language
from gateway.operations.converters import chosen_imports, named, refuse_failing_cases
from gateway.presentation.converter import as_json
from gateway.settings import load_settings


def import_(
    file: Annotated[Path, typer.Argument(help="File that ThingsBoard exported; - reads standard input")],
    new_name: Annotated[
        str | None, typer.Option("--name", help="Name of the converter", show_default="the one in the file")
    ] = None,
    language: Annotated[
        Language | None,
        typer.Option(help="Take this one of its decoders", case_sensitive=False, show_default="as its scriptLang says"),
    ] = None,
    replace_: Annotated[bool, typer.Option("--replace", help="Replace a converter of that name")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even where example cases fail")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Take over uplink converters from ThingsBoard: the file of one, or an array of them.

    Each is compiled first, and tried on its example cases; of an array, all are taken or none. A converter that is
    replaced keeps its cases, unless the file has some.
    """
    from gateway.converters.thingsboard_file import FILE_BYTES_MAX, read_converters

    settings = load_settings()
    imported = read_converters(read_file(file, limit_bytes=FILE_BYTES_MAX), language=language)
    with open_catalogue(settings) as catalogue:
        known = {converter.name: converter for converter in catalogue.converters()}
        taken = chosen_imports(imported, known, name=new_name, replace_known=replace_)
        for converter in taken:
            try:
                refuse_failing_cases(converter, settings, force=force)
            except ConverterError as error:
                raise named(error, converter) from None
        catalogue.import_converters(taken, replacing=known)
    for converter, one in zip(taken, imported, strict=True):
        for note in one.notes:
            print_note(f"note: {converter.name}: {note}")
    if format is Format.JSON:
        print_json([as_json(converter) for converter in taken] if len(taken) > 1 else as_json(taken[0]))
        return
    for converter in taken:
        verb = "replaced" if converter.name in known else "imported"
        print_line(f'Converter "{converter.name}" ({converter.language}) is {verb}.')
    if len(taken) == 1 and taken[0].name not in known:
        print_line(f'Use it: {program()} integration create NAME --converter "{taken[0].name}"')


def export(
    name: Annotated[str, typer.Argument(help="The converter's name")],
    file: Annotated[
        Path | None, typer.Option("--file", help="Write to this file", show_default="standard output")
    ] = None,
) -> None:
    """Write a converter as the file that ThingsBoard imports, its example cases with it."""
    from gateway.converters.thingsboard_file import converter_file

    with open_catalogue(load_settings()) as catalogue:
        content = converter_file(catalogue.converter(name))
    if file is None or str(file) == "-":
        print_json(content)
        return
    try:
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"file {str(file)!r} can't be written: {error.strerror}") from None
    print_line(f'Converter "{name}" is written to {file}.')
