"""A converter's example cases as JSON, as they stand in files: read strictly, since a file may come from anywhere."""

import binascii
import json
from base64 import b64decode, b64encode
from typing import Final

from gateway.errors import UsageError
from gateway.model import ConverterCase, JsonValue

CASES_MAX: Final = 100
"""Most cases of one converter."""

CASE_PAYLOAD_BYTES_MAX: Final = 65_536
"""Longest payload of a case, in bytes."""

DEPTH_MAX: Final = 64
"""How deep objects and arrays may stand in each other in what is expected."""

NAME_CHARACTERS_MAX: Final = 255
"""Longest name of a case, in characters."""


def case_as_json(case: ConverterCase) -> dict[str, JsonValue]:
    """The shape that `read_case` takes; the payload in base64."""
    return {
        "name": case.name,
        "payload": b64encode(case.payload).decode(),
        "metadata": dict(case.metadata),
        "expected": case.expected,
    }


def read_cases(source: JsonValue, path: str) -> tuple[ConverterCase, ...]:
    """The cases of a JSON array. Raises UsageError with the place, which begins with `path`."""
    if not isinstance(source, list):
        raise UsageError(f"{path} must be an array")
    cases = tuple(_read_case(part, f"{path}[{i}]") for i, part in enumerate(source[: CASES_MAX + 1]))
    for number, case in enumerate(cases):
        if any(case.name == earlier.name for earlier in cases[:number]):
            raise UsageError(f"{path}[{number}].name: another case is called {case.name!r} too")
    check_number(len(source))
    return cases


def check_number(cases: int) -> None:
    """Raises UsageError for more cases than a converter may have."""
    if cases > CASES_MAX:
        raise UsageError(f"{cases} example cases are too many", hint=f"at most {CASES_MAX} are kept with a converter")


def check_payload(payload: bytes) -> None:
    """Raises UsageError for a payload that is too long for a case."""
    if len(payload) > CASE_PAYLOAD_BYTES_MAX:
        raise UsageError(
            f"a payload of {len(payload)} bytes is too long for an example case",
            hint=f"at most {CASE_PAYLOAD_BYTES_MAX} bytes are kept",
        )


def check_json(value: JsonValue, where: str) -> None:
    """Raises UsageError for JSON that can't be kept: nested too deeply, or with texts that are no Unicode."""
    if is_deeper(value, DEPTH_MAX):
        raise UsageError(f"{where} is nested more than {DEPTH_MAX} deep")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where} holds half of a surrogate pair") from None
    except ValueError:
        raise UsageError(f"{where} holds a number that JSON does not have") from None


def _read_case(source: JsonValue, path: str) -> ConverterCase:
    if not isinstance(source, dict):
        raise UsageError(f"{path} must be an object")
    name, payload, metadata = source.get("name"), source.get("payload"), source.get("metadata", {})
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise UsageError(f"{path}.name must be a text of 1 to {NAME_CHARACTERS_MAX} printable characters")
    if not isinstance(payload, str):
        raise UsageError(f"{path}.payload must be a text in base64")
    try:
        content = b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{path}.payload is not base64") from None
    check_payload(content)
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UsageError(f"{path}.metadata must be an object of texts")
    check_json(metadata, f"{path}.metadata")
    check_json(source.get("expected"), f"{path}.expected")
    return ConverterCase(name, content, metadata, source.get("expected"))


def is_deeper(value: JsonValue, levels: int) -> bool:
    """Whether more objects and arrays than that stand in each other."""
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(part, levels - 1) for part in parts)
