"""How the commands print: tables for people, JSON for scripts, errors with their cure.

Names and values come from devices, so nothing of them may reach a terminal as a control sequence.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from gateway.errors import GatewayError
from gateway.model import JsonValue


class Format(StrEnum):
    """What a list or show command prints."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="A table for people, or JSON for scripts")]


def printable(text: str) -> str:
    """`text` with everything escaped that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_line(text: str = "", *, flush: bool = False) -> None:
    """One line on standard output; with `flush` at once, for who follows it through a pipe."""
    print(printable(text), flush=flush)


def print_note(text: str) -> None:
    """One line on standard error, where it does not disturb what a script reads."""
    print(printable(text), file=sys.stderr)


def print_source(source: str) -> None:
    """A text of several lines: as it is into a file or pipe, escaped on a terminal."""
    if sys.stdout.isatty():
        source = "\n".join("\t".join(map(printable, line.split("\t"))) for line in source.split("\n"))
    sys.stdout.write(source if source.endswith("\n") else source + "\n")


def print_json(value: JsonValue) -> None:
    """`value` as indented JSON; in ASCII, so that it survives every locale and steers no terminal."""
    print(json.dumps(value, indent=2))


def program() -> str:
    """This program as its user called it, for a shell: what is shown ready-made must run where it is pasted."""
    called = sys.argv[0]
    found = shutil.which("gateway")
    if found is not None and os.path.exists(called) and os.path.samefile(called, found):
        return "gateway"
    if os.path.basename(called) == "__main__.py":  # as `python -m gateway` has it
        return f"{shlex.quote(sys.orig_argv[0])} -m gateway"
    return shlex.quote(called)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns without borders; on a terminal cells wrap to its width, elsewhere they are never cut."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(Text(printable(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 100_000, highlight=False, emoji=False).print(table)


def print_fields(fields: Mapping[str, str]) -> None:
    """One `name  value` line each, values in one column."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print_line(f"{name:<{width}}  {value}".rstrip())


def print_error(error: GatewayError) -> None:
    """What is wrong, a line for each mistake, and then the cure; on standard error."""
    for line in error.message.splitlines() or [type(error).__name__]:
        print_note(f"error: {line}")
    for line in error.hint.splitlines():
        print_note(f"hint: {line}")


def cell(value: JsonValue) -> str:
    """A device's value in a table: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def time_text(ts_ms: int) -> str:
    """Milliseconds since 1970 as UTC; as the bare number where no calendar has it."""
    try:
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(ts_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ts_ms % 1000:03}Z"
