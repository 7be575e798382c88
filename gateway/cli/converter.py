"""`gateway converter`: what makes device reports of payloads."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import converter_cases, converter_file, converter_trial
from gateway.cli.converter_source import given_update_only_keys, read_source
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_source, print_table, program
from gateway.errors import UsageError
from gateway.integrations.endpoints import check_name
from gateway.model import Converter, Language
from gateway.operations.converters import compile_for, refuse_failing_cases
from gateway.presentation.converter import as_json
from gateway.settings import load_settings

app = typer.Typer(help="Uplink converters: what makes device reports of payloads.", no_args_is_help=True)
app.command("import")(converter_file.import_)
app.command("export")(converter_file.export)
app.command("test")(converter_trial.test)
app.add_typer(converter_cases.app, name="case")

Name = Annotated[str, typer.Argument(help="The converter's name")]
FileOption = Annotated[Path, typer.Option("--file", help="File with the source; - reads standard input")]
UpdateOnlyKeyHelp = "Telemetry or attribute KEY that is written only where its value changes; may be repeated"


@app.command()
def create(
    name: Name,
    language: Annotated[Language, typer.Option(help="Language of the source", case_sensitive=False)],
    file: FileOption,
    update_only_key: Annotated[list[str] | None, typer.Option(help=UpdateOnlyKeyHelp)] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Create a converter. It is compiled first: one with a syntax error is refused."""
    settings = load_settings()
    check_name("converter", name)
    keys = given_update_only_keys(update_only_key or [])
    converter = Converter(name, language, read_source(file), keys)
    with converter_trial.explained(converter, Format.TABLE):
        compile_for(converter, settings)
    with open_catalogue(settings) as catalogue:
        catalogue.add_converter(converter)
    _print_changed(converter, format, "created")


@app.command("list")
def list_(format: FormatOption = Format.TABLE) -> None:
    """List all converters."""
    with open_catalogue(load_settings()) as catalogue:
        converters = catalogue.converters()
        users = {
            converter.name: [i.name for i in catalogue.integrations() if i.converter == converter.name]
            for converter in converters
        }
    if format is Format.JSON:
        print_json([as_json(converter) for converter in converters])
        return
    print_table(
        ("name", "language", "lines", "used by"),
        ((c.name, c.language, str(len(c.source.splitlines())), ", ".join(users[c.name])) for c in converters),
    )


@app.command()
def show(name: Name, format: FormatOption = Format.TABLE) -> None:
    """Show a converter; without JSON it is the source alone, so that it can go to a file."""
    with open_catalogue(load_settings()) as catalogue:
        converter = catalogue.converter(name)
    if format is Format.JSON:
        print_json(as_json(converter))
        return
    print_source(converter.source)


@app.command()
def update(
    name: Name,
    new_name: Annotated[
        str | None, typer.Option("--name", help="Give it another name; its integrations follow")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="File with the source; - reads standard input")] = None,
    update_only_key: Annotated[
        list[str] | None, typer.Option(help=f'{UpdateOnlyKeyHelp}; replaces those there are; "" for none')
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even where example cases fail with the new source")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Change what is given, and leave the rest; a running gateway has followed when this ends.

    A new source is compiled first, and refused where one of the converter's example cases fails with it.
    """
    settings = load_settings()
    if new_name is None and file is None and update_only_key is None:
        raise UsageError("there is nothing to change", hint="give --name, --file or --update-only-key")
    with open_catalogue(settings) as catalogue:
        converter = catalogue.converter(name)
        if update_only_key is not None:
            converter = replace(converter, update_only_keys=given_update_only_keys(update_only_key))
        if file is not None:
            converter = replace(converter, source=read_source(file))
            with converter_trial.explained(converter, Format.TABLE):
                compile_for(converter, settings)
            refuse_failing_cases(converter, settings, force=force)
        if new_name is not None:
            check_name("converter", new_name)
            converter = replace(converter, name=new_name)
        catalogue.update_converter(name, converter)
    _print_changed(converter, format, "updated")


@app.command()
def delete(name: Name) -> None:
    """Delete a converter that no integration uses."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.remove_converter(name)
    print_line(f'Converter "{name}" is deleted.')


def _print_changed(converter: Converter, format: Format, verb: str) -> None:
    if format is Format.JSON:
        print_json(as_json(converter))
        return
    print_line(f'Converter "{converter.name}" ({converter.language}) is {verb}.')
    if verb == "created":
        print_line(f'Use it: {program()} integration create NAME --converter "{converter.name}"')
