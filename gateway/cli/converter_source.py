"""What the commands about converters read from files and options."""

from pathlib import Path

from gateway.cli.inputs import read_file
from gateway.errors import UsageError
from gateway.operations.converters import SOURCE_BYTES_MAX, check_update_only_keys


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


def given_update_only_keys(keys: list[str]) -> tuple[str, ...]:
    """Keys from the command line; raises UsageError for what can't be one. An empty one alone stands for none."""
    return () if keys == [""] else check_update_only_keys(keys, "--update-only-key")
