"""What the commands about converters share: reading a source, compiling it, and its shape in JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.inputs import read_file
from gateway.errors import UsageError
from gateway.model import Converter, JsonValue
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.converters import Decoder

SOURCE_BYTES_MAX = 1 << 20
"""Longest source of a converter, in bytes: what is larger is some other file."""


def read_source(file: Path) -> str:
    """A source from a file; raises UsageError for what is too large or not UTF-8."""
    content = read_file(file, limit_bytes=SOURCE_BYTES_MAX)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"file {str(file)!r} is not UTF-8 text (byte {error.start})",
            hint="save it with the encoding UTF-8",
        ) from None


def compile_for(converter: Converter, settings: Settings) -> "Decoder":
    """Compile as a worker would; raises ConverterError with the line of a mistake."""
    from gateway.converters import compile_converter

    return compile_converter(
        converter,
        time_limit_ms=settings.gateway_javascript_time_limit_ms,
        memory_limit_bytes=settings.gateway_javascript_memory_limit_bytes,
    )


def as_json(converter: Converter) -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    from gateway.converters.cases import case_as_json

    return {
        "name": converter.name,
        "language": converter.language.value,
        "source": converter.source,
        "update_only_keys": list(converter.update_only_keys),
        "cases": [case_as_json(case) for case in converter.cases],
    }


def check_update_only_keys(keys: list[str]) -> tuple[str, ...]:
    """Keys from the command line; raises UsageError for what can't be one. An empty one alone stands for none."""
    from gateway.converters.thingsboard_file import check_update_only_key

    if keys == [""]:
        return ()
    for key in keys:
        check_update_only_key(key, "--update-only-key")
    return tuple(dict.fromkeys(keys))
