"""What a converter returned, validated strictly into device reports (ThingsBoard's "uplink data").

A result is an object or an array of them, each with `deviceName` or `assetName`, and if it likes `deviceType` or
`assetType`, `customerName`, `groupName`, `attributes` and `telemetry`; other keys are ignored, as ThingsBoard does.
Telemetry is a flat map, `{ts, values}`, or an array of these. An error names the path, such as `telemetry[1].ts`.

This runs for every uplink, so the common types are told apart by identity and a map of plain scalars is copied
whole; everything else takes the slower way through `_json_value`.
"""

import json
from collections.abc import Mapping
from typing import Final, Literal, NoReturn, TypeAlias

from gateway.converters.diagnostics import brief
from gateway.errors import ConverterError
from gateway.model import DeviceReport, JsonValue, Timeseries

MAX_REPORTS: Final = 10_000
"""Most reports in one result."""

MAX_SAMPLES: Final = 100_000
"""Most telemetry samples in one report."""

MAX_VALUES: Final = 10_000
"""Most keys in a map of attributes or telemetry, and most values within one nested value."""

MAX_DEPTH: Final = 32
"""How deep objects and arrays may stand in each other within one value."""

MAX_NAME_LENGTH: Final = 255
"""Longest name, type or key, in characters: what ThingsBoard's database takes."""

MAX_TS_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_INT_LIMIT: Final = 1 << 63
_MAX_PATH_LENGTH: Final = 120

_new_report: Final = tuple.__new__
"""Makes a `DeviceReport` from its fields in their order, without the frame that a named tuple's own `__new__` costs."""

_JSON_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "an array",
    tuple: "an array",
    dict: "an object",
}

_Kind: TypeAlias = Literal["device", "asset"]

_Place: TypeAlias = "str | tuple[_Place, str | int]"
"""Where a value stands: a path, or the place of what it stands in and its key or index there."""


def reports_of(result: JsonValue, received_ms: int) -> list[DeviceReport]:
    """The reports in a converter's result; an empty array says nothing and gives none.

    `received_ms` is the time of telemetry that has no `ts` of its own. The reports share nothing with the result.
    Raises ConverterError where the result is not ThingsBoard's uplink format.
    """
    if type(result) is dict:
        return [_report(result, received_ms, "")]
    if isinstance(result, list | tuple):
        if len(result) > MAX_REPORTS:
            raise ConverterError(f"the result has {len(result)} reports, {MAX_REPORTS} is the most")
        several = len(result) > 1
        return [_report(part, received_ms, f"[{i}]." if several else "") for i, part in enumerate(result)]
    if isinstance(result, dict):
        return [_report(result, received_ms, "")]
    if result is None:
        raise ConverterError(
            "the converter returned nothing: did you forget `return result`?",
            hint="a converter returns an object with deviceName or assetName, or an array of such objects",
        )
    raise ConverterError(f"the result must be an object or an array of objects, not {_kind_of(result)}")


def _report(source: JsonValue, received_ms: int, at: str) -> DeviceReport:
    if type(source) is not dict and not isinstance(source, dict):
        raise ConverterError(f"{at.rstrip('.') or 'the result'} must be an object, not {_kind_of(source)}")
    get = source.get
    name = get("deviceName")
    asset = get("assetName")
    kind: _Kind = "device"
    report_type = get("deviceType")
    if asset is not None:
        if name is not None:
            raise ConverterError(f"{at}deviceName and assetName exclude each other: a report has one of the two")
        kind, name, report_type = "asset", asset, get("assetType")
    elif name is None:
        raise ConverterError(f"{at}deviceName or assetName is missing")
    if not (type(name) is str and name.isprintable() and 0 < len(name) <= MAX_NAME_LENGTH):
        name = _name(name, f"{at}{kind}Name")
        if not name:
            raise ConverterError(f"{at}{kind}Name is empty")
    if report_type is None:
        report_type = "default"
    elif not (type(report_type) is str and report_type.isprintable() and 0 < len(report_type) <= MAX_NAME_LENGTH):
        report_type = _name(report_type, f"{at}{kind}Type") or "default"
    customer = get("customerName")
    if customer is not None:
        customer = _name(customer, f"{at}customerName") or None
    group = get("groupName")
    if group is not None:
        group = _name(group, f"{at}groupName") or None
    attributes = get("attributes")
    telemetry = get("telemetry")
    return _new_report(
        DeviceReport,
        (
            kind,
            name,
            report_type,
            customer,
            group,
            {} if attributes is None else _values(attributes, at, "attributes"),
            [] if telemetry is None else _telemetry(telemetry, received_ms, at),
        ),
    )


def _telemetry(source: JsonValue, received_ms: int, at: str) -> Timeseries:
    if type(source) is dict and "values" not in source:
        values = _values(source, at, "telemetry")
        return [(received_ms, values)] if values else []
    samples: Timeseries = []
    if isinstance(source, dict):
        _add_sample(samples, source, received_ms, at, "telemetry")
    elif isinstance(source, list | tuple):
        if len(source) > MAX_SAMPLES:
            raise ConverterError(f"{at}telemetry has {len(source)} samples, {MAX_SAMPLES} is the most")
        for i, part in enumerate(source):
            _add_sample(samples, part, received_ms, at, f"telemetry[{i}]")
    else:
        raise ConverterError(f"{at}telemetry must be an object or an array of objects, not {_kind_of(source)}")
    return samples


def _add_sample(samples: Timeseries, source: JsonValue, received_ms: int, at: str, where: str) -> None:
    """A map is of the form {ts, values} where it has both, as in ThingsBoard, or nothing but `values`."""
    if isinstance(source, dict) and "values" in source:
        if "ts" in source:
            ts = source["ts"]
            if type(ts) is not int or not 0 <= ts <= MAX_TS_MS:
                ts = _ts(ts, f"{at}{where}.ts")
            values = _values(source["values"], at, where + ".values")
            if values:
                samples.append((ts, values))
            return
        if len(source) == 1 and isinstance(source["values"], dict):
            source = source["values"]
            where += ".values"
    values = _values(source, at, where)
    if values:
        samples.append((received_ms, values))


def _ts(value: JsonValue, path: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TS_MS:
        whole = int(value)
        if whole == value:
            return whole
    raise ConverterError(f"{path} must be whole milliseconds since 1970, from 0 to {MAX_TS_MS}, not {_shown(value)}")


def _values(source: JsonValue, at: str, where: str) -> dict[str, JsonValue]:
    """A map of key to JSON value, without the keys whose value is null: ThingsBoard leaves them out."""
    if type(source) is not dict:
        if not isinstance(source, dict):
            raise ConverterError(f"{at}{where} must be an object, not {_kind_of(source)}")
        source = dict(source)
    if len(source) > MAX_VALUES:
        raise ConverterError(f"{at}{where} has {len(source)} keys, {MAX_VALUES} is the most")
    for key, value in source.items():
        if type(key) is not str or not key.isascii() or not 0 < len(key) <= MAX_NAME_LENGTH:
            _check_key(key, at + where)
        kind = type(value)
        if kind is float:
            if value - value != 0.0:  # true of infinity and NaN alone, whose difference is NaN
                _refuse_number(value, (at + where, key))
        elif kind is int:
            if not -_INT_LIMIT <= value < _INT_LIMIT:
                _refuse_number(value, (at + where, key))
        elif kind is str:
            if not value.isascii():
                _check_unicode(value, (at + where, key))
        elif kind is not bool:
            return _checked_values(source, at + where)
    return dict(source)


def _checked_values(source: Mapping[JsonValue, JsonValue], path: str) -> dict[str, JsonValue]:
    """The slower way of `_values`: for maps with nested values, nulls, and subclasses of JSON's types."""
    values = {}
    for key, value in source.items():
        if type(key) is not str or not key.isascii() or not 0 < len(key) <= MAX_NAME_LENGTH:
            key = _check_key(key, path)
        if value is not None:
            values[key] = _json_value(value, (path, key), MAX_DEPTH, [MAX_VALUES])
    return values


def _json_value(value: JsonValue, place: _Place, levels: int, budget: list[int]) -> JsonValue:
    """A copy of the value, made of JSON's own types only; a null within an object or an array stays.

    `levels` is how many more objects and arrays may stand in each other, `budget[0]` how many more values there may be.
    """
    budget[0] -= 1
    if budget[0] < 0:
        raise ConverterError(f"{_path(place)}: more than {MAX_VALUES} values within one value")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        if not value.isascii():
            _check_unicode(value, place)
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, float):
        if value - value != 0.0:
            _refuse_number(value, place)
        return value if type(value) is float else float.__float__(value)
    if isinstance(value, int):
        if not -_INT_LIMIT <= value < _INT_LIMIT:
            _refuse_number(value, place)
        return value if type(value) is int else int.__int__(value)
    if not isinstance(value, list | tuple | dict):
        raise ConverterError(f"{_path(place)} is of type {type(value).__name__}, which JSON does not have")
    if levels == 0:
        raise ConverterError(f"{_path(place)} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return {
            _check_key(key, place): _json_value(part, (place, key), levels - 1, budget) for key, part in value.items()
        }
    return [_json_value(part, (place, i), levels - 1, budget) for i, part in enumerate(value)]


def _name(value: JsonValue, path: str) -> str:
    """The name as it stands, perhaps empty. Control characters, such as the padding of a field, are an error."""
    if not isinstance(value, str):
        raise ConverterError(f"{path} must be a text, not {_kind_of(value)}")
    if len(value) > MAX_NAME_LENGTH:
        raise ConverterError(f"{path} has {len(value)} characters, {MAX_NAME_LENGTH} is the most")
    _check_unicode(value, path)
    for char in value:
        if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0:
            raise ConverterError(f"{path} has the control character U+{ord(char):04X} in it")
    return str.__str__(value)


def _check_key(key: JsonValue, place: _Place) -> str:
    if not isinstance(key, str):
        raise ConverterError(f"{_path(place)} has a key that is {_kind_of(key)}; keys must be texts")
    if not key:
        raise ConverterError(f"{_path(place)} has an empty key")
    if len(key) > MAX_NAME_LENGTH:
        raise ConverterError(f"{_path(place)} has a key of {len(key)} characters, {MAX_NAME_LENGTH} is the most")
    if not key.isascii():
        _check_unicode(key, place, "has a key that holds")
    return key if type(key) is str else str.__str__(key)


def _check_unicode(text: str, place: _Place, what: str = "holds") -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise ConverterError(f"{_path(place)} {what} half of a surrogate pair, U+{code:04X}") from None


def _refuse_number(value: float, place: _Place) -> NoReturn:
    if isinstance(value, int):
        raise ConverterError(f"{_path(place)} is an integer that does not fit 64 bits")
    raise ConverterError(f"{_path(place)} is {float.__repr__(value)}, which JSON can't hold")


def _path(place: _Place) -> str:
    """The place as it stands in an error, such as `telemetry[1].values.position[0]`; a long one without its middle."""
    steps = ""
    while not isinstance(place, str):
        place, key = place
        named = isinstance(key, str) and key.isidentifier()
        steps = (f".{key}" if named else f"[{json.dumps(key)}]") + steps
    path = place + steps
    return path if len(path) <= _MAX_PATH_LENGTH else f"{path[: _MAX_PATH_LENGTH - 40]}…{path[-39:]}"


def _kind_of(value: object) -> str:
    return _JSON_NAMES.get(type(value)) or f"of type {type(value).__name__}"


def _shown(value: JsonValue) -> str:
    """A scalar as JSON or Python would write it, briefly; of anything else, what it is."""
    if isinstance(value, float | str) or (isinstance(value, int) and abs(value) < _INT_LIMIT):
        return brief(repr(value)[:40])
    return _kind_of(value)
