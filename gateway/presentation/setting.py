"""Settings as they are in force, and their shape in JSON."""

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from gateway.model import JsonValue
from gateway.settings import Settings


class EffectiveSetting(NamedTuple):
    """One variable as the gateway sees it."""

    name: str
    value: JsonValue
    """A JSON scalar; of a secret only `******`, None where nothing is set."""
    source: str
    """`environment`, `.env` or `default`."""
    description: str
    secret: bool


def as_json(setting: EffectiveSetting) -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    return {
        "name": setting.name,
        "value": setting.value,
        "source": setting.source,
        "description": setting.description,
    }


def effective_settings(current: Settings, *, passed_on: bool = False) -> list[EffectiveSetting]:
    """Every variable of `current`, in the order of the settings' own groups.

    `passed_on`: this process was started by the gateway, with all variables in its environment. Then those count as of
    the environment that are not as by default, and do not stand in `.env`.
    """
    environment = EnvSettingsSource(Settings)()
    dotenv = DotEnvSettingsSource(Settings)()
    rows = []
    for field, definition in Settings.model_fields.items():
        value = getattr(current, field)
        if passed_on and value == definition.get_default(call_default_factory=True, validated_data={}):
            source = "default"
        elif field in environment and not (passed_on and field in dotenv):
            source = "environment"
        else:
            source = ".env" if field in dotenv else "default"
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
