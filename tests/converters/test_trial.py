"""A converter tried on a payload, and on its example cases."""

import math
from typing import Any

import pytest

from gateway.converters import Decoder, compile_converter
from gateway.converters.trial import CALLS, Place, as_json, place_of, reports_as_json, try_case, try_payload
from gateway.errors import ConverterError
from gateway.model import Converter, ConverterCase, JsonValue, Language

from .rig import RECEIVED_MS, TUTORIAL_JSON, TUTORIAL_REPORT

TUTORIAL = "var d = JSON.parse(String.fromCharCode.apply(String, payload));\n"
TUTORIAL += "return {deviceName: d.deviceName, telemetry: {temperature: d.temperature, humidity: d.humidity}};"


def decoder(source: str, language: Language = Language.JAVASCRIPT) -> Decoder:
    return compile_converter(Converter("c", language, source), time_limit_ms=100, memory_limit_bytes=1 << 24)


def case(expected: JsonValue, payload: bytes = TUTORIAL_JSON) -> ConverterCase:
    return ConverterCase("case", payload, {}, expected)


def test_a_trial_has_what_the_decoder_returned_and_the_reports_of_it() -> None:
    trial = try_payload(decoder(TUTORIAL), TUTORIAL_JSON, {}, RECEIVED_MS)
    assert trial.output == {"deviceName": "SN-001", "telemetry": {"temperature": 25.7, "humidity": 69}}
    assert (trial.reports, trial.error) == ((TUTORIAL_REPORT,), None)
    assert (trial.returned, trial.calls) == (True, CALLS)
    assert 0 < trial.duration_us < 1_000_000


def test_a_decoder_that_fails_is_called_once() -> None:
    trial = try_payload(decoder(TUTORIAL), b"no JSON", {}, RECEIVED_MS)
    assert (trial.returned, trial.reports, trial.calls) == (False, (), 1)
    assert trial.error is not None
    assert "SyntaxError" in trial.error.message


@pytest.mark.parametrize(
    ("language", "source"),
    [
        (Language.JAVASCRIPT, "return {deviceName: 'a', telemetry: {t: 1}, attributes: 5};"),
        (Language.PYTHON, "def decode(p, m): return {'deviceName': 'a', 'telemetry': {'t': 1}, 'attributes': 5}"),
    ],
)
def test_a_result_that_is_refused_is_shown_with_what_is_wrong(language: Language, source: str) -> None:
    trial = try_payload(decoder(source, language), b"x", {}, RECEIVED_MS)
    assert trial.output == {"deviceName": "a", "telemetry": {"t": 1}, "attributes": 5}
    assert trial.error is not None
    assert trial.error.message == "attributes must be an object, not a number"


def test_the_metadata_reach_the_decoder() -> None:
    trial = try_payload(decoder("return {deviceName: metadata.site};"), b"x", {"site": "Berlin"}, RECEIVED_MS)
    assert [report.name for report in trial.reports] == ["Berlin"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"a": (1, 2.5), "b": b"x", 3: math.inf, "c": [math.nan]},
            {"a": [1, 2.5], "b": "<bytes>", "<int>": "<inf>", "c": ["<nan>"]},
        ),
        (1 << 64, "<integer beyond 64 bits>"),
        (None, None),
        (True, True),
    ],
)
def test_what_json_does_not_have_is_named(value: Any, shown: JsonValue) -> None:
    assert as_json(value) == shown


def test_what_holds_itself_is_shown_to_some_depth() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "<nested too deeply>" in str(as_json(endless))


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("Error: x (line 2, column 4)", Place(2, 4, "  two")),
        ("KeyError: 'x' (line 1)", Place(1, None, "one")),
        ("deviceName is missing", None),
        ("Error (line 4, column 1)", None),
        ("Error (line 0)", None),
        ("(line 1, column 1) is not the end", None),
    ],
)
def test_the_place_of_a_failure_is_the_one_in_its_message(message: str, place: Place | None) -> None:
    assert place_of(ConverterError(message), "one\r\n  two\n") == place


@pytest.mark.parametrize(
    "expected",
    [
        None,
        {"deviceName": "SN-001", "telemetry": {"humidity": 69.0, "temperature": 25.7}},
        [{"telemetry": [{"values": {"humidity": 69, "temperature": 25.7}}], "deviceName": "SN-001", "attributes": {}}],
        {
            "deviceName": "SN-001",
            "deviceType": "default",
            "other": 1,
            "telemetry": {"temperature": 25.7, "humidity": 69},
        },
    ],
)
def test_a_case_passes_where_its_expected_result_makes_the_same_reports(expected: JsonValue) -> None:
    assert try_case(decoder(TUTORIAL), case(expected)).wrong == ""


def test_a_case_that_makes_something_else_has_a_diff() -> None:
    expected = {"deviceName": "SN-001", "telemetry": {"temperature": 25.8, "humidity": 69}}
    trial = try_case(decoder(TUTORIAL), case(expected))
    assert trial.wrong == "the result is another one"
    assert [line.strip() for line in trial.difference if line[0] in "+-"] == [
        "--- expected",
        "+++ got",
        '-          "temperature": 25.8',
        '+          "temperature": 25.7',
    ]


@pytest.mark.parametrize("expected", [{"deviceName": "a", "attributes": {"x": True}}, {"deviceName": "a"}, []])
def test_true_is_not_one_and_missing_is_not_there(expected: JsonValue) -> None:
    assert try_case(decoder("return {deviceName: 'a', attributes: {x: 1}};"), case(expected)).wrong


def test_a_case_that_fails_says_why() -> None:
    assert "SyntaxError" in try_case(decoder(TUTORIAL), case(None, b"no JSON")).wrong
    wrong = try_case(decoder(TUTORIAL), case({"telemetry": {}})).wrong
    assert wrong == "what is expected is no result: deviceName or assetName is missing"


def test_reports_as_json_are_what_a_converter_returns() -> None:
    source = """return [{deviceName: "a", deviceType: "t", customerName: "C", groupName: "G", attributes: {x: 1},
        telemetry: [{t: 1}, {ts: 5, values: {t: 2}}]}, {assetName: "b", assetType: "o"}];"""
    trial = try_payload(decoder(source), b"x", {}, RECEIVED_MS)
    assert reports_as_json(trial.reports, RECEIVED_MS) == [
        {
            "deviceName": "a",
            "deviceType": "t",
            "customerName": "C",
            "groupName": "G",
            "attributes": {"x": 1},
            "telemetry": [{"values": {"t": 1}}, {"ts": 5, "values": {"t": 2}}],
        },
        {"assetName": "b", "assetType": "o"},
    ]
