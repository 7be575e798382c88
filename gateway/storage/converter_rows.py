"""A converter as a row of the catalogue; its cases are JSON within it.

A case is `{"name", "payload", "metadata", "expected"}`, its payload in base64.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

from gateway.model import Converter, ConverterCase, JsonValue, Language

COLUMNS: Final = "name, language, source, update_only_keys, cases"
VALUES: Final = "?, ?, ?, ?, ?"


def to_row(converter: Converter) -> tuple[str, ...]:
    """The values of `COLUMNS`."""
    return (
        converter.name,
        converter.language.value,
        converter.source,
        json.dumps(converter.update_only_keys, ensure_ascii=False),
        json.dumps([_case_as_json(case) for case in converter.cases], ensure_ascii=False),
    )


def from_row(row: Sequence[Any]) -> Converter:
    """The converter of such values. Raises ValueError for a language that this version does not know."""
    name, language, source, update_only_keys, cases = row
    return Converter(
        name,
        Language(language),
        source,
        tuple(json.loads(update_only_keys)),
        tuple(_case(case) for case in json.loads(cases)),
    )


def _case_as_json(case: ConverterCase) -> dict[str, JsonValue]:
    return {
        "name": case.name,
        "payload": b64encode(case.payload).decode(),
        "metadata": dict(case.metadata),
        "expected": case.expected,
    }


def _case(stored: dict[str, JsonValue]) -> ConverterCase:
    return ConverterCase(stored["name"], b64decode(stored["payload"]), stored["metadata"], stored["expected"])
