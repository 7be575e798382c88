"""`gateway settings`: what is in force, and where each value comes from."""

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from gateway.cli.output import Format, FormatOption, print_json, print_table
from gateway.model import JsonValue
from gateway.settings import Settings, load_settings


class EffectiveSetting(NamedTuple):
    """One variable as the gateway sees it."""

    name: str
    value: JsonValue
    """A JSON scalar; of a secret only `******`, None where nothing is set."""
    source: str
    """`environment`, `.env` or `default`."""
    description: str
    secret: bool


def settings(format: FormatOption = Format.TABLE) -> None:
    """Show all settings as they are in force.

    Each with its value, where that comes from, and what it means; secrets are masked.
    """
    rows = effective_settings(load_settings())
    if format is Format.JSON:
        print_json([{"name": r.name, "value": r.value, "source": r.source, "description": r.description} for r in rows])
        return
    print_table(
        ("variable", "value", "source", "description"),
        ((r.name, "••••••" if r.secret else _text(r.value), r.source, r.description) for r in rows),
    )


def effective_settings(current: Settings) -> list[EffectiveSetting]:
    """Every variable of `current`, in the order of the settings' own groups."""
    environment = EnvSettingsSource(Settings)()
    dotenv = DotEnvSettingsSource(Settings)()
    rows = []
    for field, definition in Settings.model_fields.items():
        value = getattr(current, field)
        source = "environment" if field in environment else ".env" if field in dotenv else "default"
        rows.append(
            EffectiveSetting(
                field.upper(),
                _plain(value),
                source,
                definition.description or "",
                isinstance(value, SecretStr),
            )
        )
    return rows


def _plain(value: object) -> JsonValue:
    if isinstance(value, SecretStr):
        return "******"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
