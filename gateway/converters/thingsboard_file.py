"""ThingsBoard's converter file: what its console exports and imports, as JSON.

    {"name": …, "type": "UPLINK", "configuration": {"scriptLang": "TBEL"|"JS", "decoder": …, "tbelDecoder": …,
     "updateOnlyKeys": […]}, "debugSettings": …, "additionalInfo": …}

Files of before TBEL have no `scriptLang`: they are JavaScript. Both decoders are there as a rule, one of them
ThingsBoard's template. What has no meaning here is left out, and said. Example cases travel in `additionalInfo`, which
ThingsBoard keeps as it is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.converters.cases import case_as_json, read_cases
from gateway.errors import UsageError
from gateway.model import Converter, JsonValue, Language

FILE_BYTES_MAX: Final = 16 << 20
"""Largest file that is read, in bytes."""

SOURCE_CHARACTERS_MAX: Final = 1 << 20
"""Longest decoder, in characters."""

UPDATE_ONLY_KEYS_MAX: Final = 1_000
"""Most keys in one list."""

KEY_CHARACTERS_MAX: Final = 255
"""Longest telemetry or attribute key, in characters."""

CONVERTERS_MAX: Final = 1_000
"""Most converters in one file."""

CASES_KEY: Final = "gatewayCases"
"""Where in `additionalInfo` the example cases are."""

_DECODERS: Final[Mapping[Language, tuple[str, str]]] = {
    Language.JAVASCRIPT: ("JS", "decoder"),
    Language.TBEL: ("TBEL", "tbelDecoder"),
}
"""Language → ThingsBoard's name of it, and the field of its source."""

_SILENT_OUTSIDE: Final = {
    *("name", "type", "configuration", "debugMode", "debugSettings", "additionalInfo", "edgeTemplate"),
    *("id", "tenantId", "customerId", "createdTime", "version", "externalId", "converterVersion"),
}
"""Fields that are used, told of on their own, or without meaning in another installation."""
_SILENT_INSIDE: Final = {"scriptLang", "decoder", "tbelDecoder", "encoder", "tbelEncoder", "updateOnlyKeys"}
_DEBUG_FLAGS: Final = ("failuresEnabled", "allEnabled")


@dataclass(frozen=True, slots=True)
class ImportedConverter:
    """A converter from a file, and what of the file has no place in it."""

    converter: Converter
    notes: tuple[str, ...]
    """What was left out, a sentence each."""


def read_converters(content: bytes, *, language: Language | None = None) -> list[ImportedConverter]:
    """The converters of a file: of one export, an array of them, or a page of ThingsBoard's REST API.

    `language` chooses between the decoders of a file, in place of its `scriptLang`. Raises UsageError with the place in
    the JSON, for what is no uplink converter, and where there is no decoder in the language that is wanted.
    """
    if language is Language.PYTHON:
        raise UsageError("ThingsBoard's files hold no Python", hint="choose --language javascript or tbel")
    document = _parsed(content)
    if isinstance(document, dict) and isinstance(document.get("data"), list) and "configuration" not in document:
        return _read_all(document["data"], "data", language)
    if isinstance(document, list):
        return _read_all(document, "", language)
    return [_read(document, "", language)]


def converter_file(converter: Converter) -> dict[str, JsonValue]:
    """What ThingsBoard imports; raises UsageError for a language that it does not have."""
    if converter.language not in _DECODERS:
        raise UsageError(
            f"converter {converter.name} is written in {converter.language}, which ThingsBoard does not have",
            hint=f"its source alone: gateway converter show {converter.name}",
        )
    name, field = _DECODERS[converter.language]
    additional: dict[str, JsonValue] = {"description": ""}
    if converter.cases:
        additional[CASES_KEY] = [case_as_json(case) for case in converter.cases]
    return {
        "name": converter.name,
        "type": "UPLINK",
        "debugSettings": {"failuresEnabled": False, "allEnabled": False, "allEnabledUntil": 0},
        "configuration": {
            "scriptLang": name,
            "decoder": "",
            "tbelDecoder": "",
            "encoder": None,
            "tbelEncoder": None,
            "updateOnlyKeys": list(converter.update_only_keys),
            field: converter.source,
        },
        "additionalInfo": additional,
        "edgeTemplate": False,
    }


def _parsed(content: bytes) -> JsonValue:
    if len(content) > FILE_BYTES_MAX:
        raise UsageError(f"the file is too large: at most {FILE_BYTES_MAX} bytes are taken")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"the file is not UTF-8 text (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the file is not JSON: {error}", hint="a decoder's source alone goes to `gateway converter create`"
        ) from None


def _read_all(parts: list[JsonValue], path: str, language: Language | None) -> list[ImportedConverter]:
    if not parts:
        raise UsageError(f"{path or 'the file'} is an empty array: there is no converter in it")
    if len(parts) > CONVERTERS_MAX:
        raise UsageError(f"{path or 'the file'} has {len(parts)} converters, {CONVERTERS_MAX} is the most")
    return [_read(part, f"{path}[{i}]", language) for i, part in enumerate(parts)]


def _read(source: JsonValue, path: str, language: Language | None) -> ImportedConverter:
    if isinstance(source, dict) and isinstance(source.get("entity"), dict) and "configuration" not in source:
        return _read(source["entity"], _at(path, "entity"), language)  # as ThingsBoard's version control has it
    if not isinstance(source, dict):
        raise UsageError(f"{path or 'the file'} must be an object, a converter as ThingsBoard exports it")
    name = _text(source, "name", path)
    if not name:
        raise UsageError(f"{_at(path, 'name')} is missing")
    kind = _text(source, "type", path)
    if kind != "UPLINK":
        raise UsageError(
            f"{_at(path, 'type')}: converter {name!r} is of type {kind[:40] or 'none'!r}, and only UPLINK is taken",
            hint="a downlink converter turns commands into payloads; integrations here have no downlink",
        )
    configuration = source.get("configuration")
    at = _at(path, "configuration")
    if not isinstance(configuration, dict):
        raise UsageError(f"{at} must be an object with a decoder, not {_kind(configuration)}")
    chosen, text = _decoder(configuration, at, language)
    converter = Converter(name, chosen, text, _update_only_keys(configuration, at), ())
    additional = source.get("additionalInfo")
    if isinstance(additional, dict) and CASES_KEY in additional:
        cases = read_cases(additional[CASES_KEY], _at(path, f"additionalInfo.{CASES_KEY}"))
        converter = Converter(name, chosen, text, converter.update_only_keys, cases)
    return ImportedConverter(converter, tuple(_notes(source, configuration, chosen)))


def _decoder(configuration: dict[str, JsonValue], at: str, language: Language | None) -> tuple[Language, str]:
    sources = {known: _text(configuration, field, at) for known, (_, field) in _DECODERS.items()}
    said = _text(configuration, "scriptLang", at)
    if language is not None:
        chosen = language
    elif said:
        chosen = next((known for known, (name, _) in _DECODERS.items() if name == said.upper()), Language.PYTHON)
        if chosen is Language.PYTHON:
            raise UsageError(f"{at}.scriptLang must be JS or TBEL, not {said[:40]!r}")
    else:
        only_tbel = sources[Language.TBEL].strip() and not sources[Language.JAVASCRIPT].strip()
        chosen = Language.TBEL if only_tbel else Language.JAVASCRIPT
    field = _DECODERS[chosen][1]
    text = sources[chosen]
    if not text.strip():
        others = [known for known, source in sources.items() if source.strip()]
        raise UsageError(
            f"{at}.{field} is empty: there is no decoder in {chosen}",
            hint=f"take the other one: --language {others[0]}" if others else "",
        )
    if len(text) > SOURCE_CHARACTERS_MAX:
        raise UsageError(f"{at}.{field} has {len(text)} characters, {SOURCE_CHARACTERS_MAX} is the most")
    return chosen, text


def _update_only_keys(configuration: dict[str, JsonValue], at: str) -> tuple[str, ...]:
    keys = configuration.get("updateOnlyKeys")
    if keys is None:
        return ()
    if not isinstance(keys, list):
        raise UsageError(f"{at}.updateOnlyKeys must be an array of texts, not {_kind(keys)}")
    if len(keys) > UPDATE_ONLY_KEYS_MAX:
        raise UsageError(f"{at}.updateOnlyKeys has {len(keys)} keys, {UPDATE_ONLY_KEYS_MAX} is the most")
    for i, key in enumerate(keys):
        check_update_only_key(key, f"{at}.updateOnlyKeys[{i}]")
    return tuple(dict.fromkeys(keys))


def check_update_only_key(key: JsonValue, where: str) -> None:
    """Raises UsageError for what can't be the key of a telemetry value or an attribute."""
    if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise UsageError(f"{where} must be a text of 1 to {KEY_CHARACTERS_MAX} characters")
    _check_unicode(key, where)


def _notes(source: dict[str, JsonValue], configuration: dict[str, JsonValue], chosen: Language) -> Iterator[str]:
    """What of the file has no place here. Fields that are there in every file, or say nothing, are passed over."""
    for other, (name, field) in _DECODERS.items():
        if other is not chosen and _said(configuration.get(field)):
            yield f"its decoder in {name} (configuration.{field}) is left out; --language {other} takes that one"
    debug = source.get("debugSettings")
    if source.get("debugMode") is True or (isinstance(debug, dict) and any(debug.get(flag) for flag in _DEBUG_FLAGS)):
        yield "its debug settings are left out: an integration has them here"
    additional = source.get("additionalInfo")
    if isinstance(additional, dict):
        rest = sorted(key for key, value in additional.items() if key != CASES_KEY and _said(value))
        if rest:
            yield f"left out: {_listed('additionalInfo', rest)}"
    dedicated = source.get("integrationType")
    inside = sorted(key for key, value in configuration.items() if key not in _SILENT_INSIDE and _said(value))
    outside = sorted(
        key
        for key, value in source.items()
        if key not in _SILENT_OUTSIDE and not (key == "integrationType" and dedicated) and _said(value)
    )
    if isinstance(dedicated, str) and dedicated:
        yield (
            f"it was written for integrations of type {dedicated[:40]}: "
            f"{'the fields ' + _listed('configuration', inside) + ' are left out, and ' if inside else ''}"
            "here the decoder itself has to return deviceName"
        )
    elif inside:
        yield f"left out: {_listed('configuration', inside)}"
    if outside:
        yield f"left out: {', '.join(key[:40] for key in outside[:20])}"


def _said(value: JsonValue) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value not in (None, False, [], {})


def _listed(parent: str, keys: list[str]) -> str:
    return ", ".join(f"{parent}.{key[:40]}" for key in keys[:20])


def _text(source: dict[str, JsonValue], key: str, path: str) -> str:
    """A text, empty where it is null or missing."""
    value = source.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{_at(path, key)} must be a text, not {_kind(value)}")
    _check_unicode(value, _at(path, key))
    return value


def _check_unicode(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where} holds half of a surrogate pair") from None


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "an array", dict: "an object"}
    return names[type(value)]
