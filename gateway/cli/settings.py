"""`gateway settings`: what is in force, and where each value comes from."""

from gateway.cli.output import Format, FormatOption, print_json, print_table
from gateway.model import JsonValue
from gateway.presentation.setting import as_json, effective_settings
from gateway.settings import load_settings


def settings(format: FormatOption = Format.TABLE) -> None:
    """Show all settings as they are in force.

    Each with its value, where that comes from, and what it means; secrets are masked.
    """
    rows = effective_settings(load_settings())
    if format is Format.JSON:
        print_json([as_json(row) for row in rows])
        return
    print_table(
        ("variable", "value", "source", "description"),
        ((r.name, "••••••" if r.secret else _text(r.value), r.source, r.description) for r in rows),
    )


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
