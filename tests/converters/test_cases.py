"""Example cases as JSON: what comes back, and what is refused."""

import json
import math
from typing import Any

import pytest

from gateway.converters.cases import (
    CASE_PAYLOAD_BYTES_MAX,
    CASES_MAX,
    DEPTH_MAX,
    case_as_json,
    check_payload,
    read_cases,
)
from gateway.errors import UsageError
from gateway.model import ConverterCase

CASES = (
    ConverterCase("Zähler", bytes(range(256)), {"site": "Bärlin"}, [{"deviceName": "a"}]),
    ConverterCase("any", b""),
)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


SOURCE: dict[str, Any] = {"name": "a", "payload": "AQI=", "metadata": {}, "expected": None}


def test_cases_come_back_from_json() -> None:
    text = json.dumps([case_as_json(case) for case in CASES])
    assert read_cases(json.loads(text), "c") == CASES


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "c must be an array"),
        ([1], r"c\[0\] must be an object"),
        ([SOURCE, {**SOURCE, "name": ""}], r"c\[1\]\.name must be a text of 1 to 255"),
        ([{**SOURCE, "name": "a\n"}], r"c\[0\]\.name must be"),
        ([{**SOURCE, "name": "\ud800"}], r"c\[0\]\.name must be"),
        ([{**SOURCE, "payload": None}], r"c\[0\]\.payload must be a text in base64"),
        ([{**SOURCE, "payload": "A"}], r"c\[0\]\.payload is not base64"),
        ([{**SOURCE, "payload": "é"}], r"c\[0\]\.payload is not base64"),
        ([{**SOURCE, "metadata": {"a": 1}}], r"c\[0\]\.metadata must be an object of texts"),
        ([{**SOURCE, "metadata": {"a": "\ud800"}}], r"c\[0\]\.metadata holds half of a surrogate pair"),
        ([{**SOURCE, "expected": ["\udfff"]}], r"c\[0\]\.expected holds half of a surrogate pair"),
        ([{**SOURCE, "expected": [math.nan]}], r"c\[0\]\.expected holds a number that JSON does not have"),
        ([{**SOURCE, "expected": nested(DEPTH_MAX + 1)}], r"c\[0\]\.expected is nested more than 64 deep"),
        ([{**SOURCE, "expected": nested(900)}], r"c\[0\]\.expected is nested more than 64 deep"),
        ([SOURCE, SOURCE], r"c\[1\]\.name: another case is called 'a' too"),
    ],
)
def test_what_is_no_case_is_refused_with_its_place(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_cases(source, "c")


def test_there_are_bounds() -> None:
    most = [{**SOURCE, "name": str(number)} for number in range(CASES_MAX)]
    assert len(read_cases(most, "c")) == CASES_MAX
    with pytest.raises(UsageError, match="101 example cases are too many"):
        read_cases([*most, SOURCE], "c")
    assert read_cases([{**SOURCE, "expected": nested(DEPTH_MAX)}], "c")
    check_payload(b"x" * CASE_PAYLOAD_BYTES_MAX)
    with pytest.raises(UsageError, match="65537 bytes is too long"):
        check_payload(b"x" * (CASE_PAYLOAD_BYTES_MAX + 1))
