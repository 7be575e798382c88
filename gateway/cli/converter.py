"""`gateway converter`: what makes device reports of payloads."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.inputs import read_file
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_source, print_table, program
from gateway.errors import UsageError
from gateway.integrations.endpoints import check_name
from gateway.model import Converter, JsonValue, Language
from gateway.settings import Settings, load_settings

SOURCE_BYTES_MAX = 1 << 20
"""Longest source of a converter, in bytes: what is larger is some other file."""

app = typer.Typer(help="Uplink converters: what makes device reports of payloads.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The converter's name")]
FileOption = Annotated[Path, typer.Option("--file", help="File with the source; - reads standard input")]


@app.command()
def create(
    name: Name,
    language: Annotated[Language, typer.Option(help="Language of the source", case_sensitive=False)],
    file: FileOption,
    format: FormatOption = Format.TABLE,
) -> None:
    """Create a converter. It is compiled first: one with a syntax error is refused."""
    settings = load_settings()
    check_name("converter", name)
    converter = Converter(name, language, _read_source(file))
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
def update(name: Name, file: FileOption, format: FormatOption = Format.TABLE) -> None:
    """Replace a converter's source; a running gateway uses it within a second."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        converter = Converter(name, catalogue.converter(name).language, _read_source(file))
        compile_for(converter, settings)
        catalogue.update_converter(name, converter)
    _print_changed(converter, format, "updated")


@app.command()
def delete(name: Name) -> None:
    """Delete a converter that no integration uses."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.remove_converter(name)
    print_line(f'Converter "{name}" is deleted.')


def compile_for(converter: Converter, settings: Settings) -> None:
    """Compile as a worker would; raises ConverterError with the line of a mistake."""
    from gateway.converters import compile_converter

    compile_converter(
        converter,
        time_limit_ms=settings.gateway_javascript_time_limit_ms,
        memory_limit_bytes=settings.gateway_javascript_memory_limit_bytes,
    )


def as_json(converter: Converter) -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    return {"name": converter.name, "language": converter.language.value, "source": converter.source}


def _read_source(file: Path) -> str:
    content = read_file(file, limit_bytes=SOURCE_BYTES_MAX)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"file {str(file)!r} is not UTF-8 text (byte {error.start})",
            hint="save it with the encoding UTF-8",
        ) from None


def _print_changed(converter: Converter, format: Format, verb: str) -> None:
    if format is Format.JSON:
        print_json(as_json(converter))
        return
    print_line(f'Converter "{converter.name}" ({converter.language}) is {verb}.')
    if verb == "created":
        print_line(f'Use it: {program()} integration create NAME --converter "{converter.name}"')
