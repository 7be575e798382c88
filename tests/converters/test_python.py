"""Decoders in Python: `gateway.converters.python`."""

import contextlib
import textwrap

import pytest

from gateway.converters.python import PythonDecoder
from gateway.errors import ConverterError

from .rig import RECEIVED_MS, TUTORIAL_JSON, TUTORIAL_REPORT, python

JSON_DECODER = """
import json

def decode(payload, metadata):
    data = json.loads(payload)
    return {
        "deviceName": data["deviceName"],
        "deviceType": data["deviceType"],
        "telemetry": {"temperature": data["temperature"], "humidity": data["humidity"]},
    }
"""


def source(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def refusal_of_source(text: str) -> ConverterError:
    with pytest.raises(ConverterError) as caught:
        python(text)
    return caught.value


def failure(text: str, payload: bytes = b"x") -> str:
    decode = python(source(text))
    with pytest.raises(ConverterError) as caught:
        decode(payload, RECEIVED_MS)
    return caught.value.message


def test_the_tutorials_json_becomes_its_report() -> None:
    assert python(JSON_DECODER)(TUTORIAL_JSON, RECEIVED_MS) == [TUTORIAL_REPORT]


def test_the_payload_is_bytes_and_the_metadata_a_dict() -> None:
    decode = python(
        source("""
        def decode(payload: bytes, metadata: dict[str, str]):
            assert type(payload) is bytes and type(metadata) is dict
            return {"deviceName": metadata["integrationName"], "attributes": {"bytes": list(payload)}}
        """),
        {"integrationName": "demo"},
    )
    (report,) = decode(b"\x00\x7f\xff", RECEIVED_MS)
    assert (report.name, report.attributes) == ("demo", {"bytes": [0, 127, 255]})


def test_what_a_call_does_to_its_metadata_is_never_seen_by_the_next() -> None:
    metadata = {"site": "Berlin"}
    decode = python(
        source("""
        def decode(payload, metadata):
            keys = sorted(metadata)
            metadata["site"] = metadata["seen"] = "changed"
            return {"deviceName": "d", "attributes": {"keys": keys}}
        """),
        metadata,
    )
    metadata["later"] = "than the binding"
    for _ in range(2):
        (report,) = decode(b"x", RECEIVED_MS)
        assert report.attributes == {"keys": ["site"]}


def test_what_the_module_keeps_stays_between_calls() -> None:
    decode = python(
        source("""
        count = 0

        def decode(payload, metadata):
            global count
            count += 1
            return {"deviceName": "d", "attributes": {"count": count}}
        """)
    )
    counts = [decode(b"x", RECEIVED_MS)[0].attributes["count"] for _ in range(3)]
    assert counts == [1, 2, 3]


def test_a_module_may_hold_what_modules_hold() -> None:
    decode = python(
        source("""
        from __future__ import annotations

        from dataclasses import asdict, dataclass

        @dataclass
        class Reading:
            temperature: float

        if __name__ == "__main__":
            raise AssertionError("not a script")

        decode = lambda payload, metadata, *, unit="C": {"deviceName": "d", "telemetry": asdict(Reading(25.7))}
        """)
    )
    assert decode(b"x", RECEIVED_MS)[0].telemetry == [(RECEIVED_MS, {"temperature": 25.7})]


def test_decode_cbor_is_there_without_an_import() -> None:
    decode = python("def decode(payload, metadata):\n    return decodeCbor(payload)\n")
    assert decode(b"\xa1\x6adeviceName\x61d", RECEIVED_MS)[0].name == "d"


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_over_the_budget_is_reported_with_its_time_also_where_it_fails(fails: bool) -> None:
    text = "import time\ndef decode(payload, metadata):\n    time.sleep(len(payload) / 10)\n    return payload\n"
    decoder = PythonDecoder("demo", text if fails else text.replace("return payload", "return []"))
    reported: list[float] = []
    decoder.watch(0.5, reported.append)
    decode = decoder.bind({})
    for payload in (b"", b"xxxxxx"):
        with pytest.raises(ConverterError) if fails else contextlib.nullcontext():
            decode(payload, RECEIVED_MS)
    (taken_s,) = reported
    assert 0.6 <= taken_s < 5


def test_an_exception_comes_back_with_the_innermost_line_of_the_users_own() -> None:
    message = failure("""
        import json

        def parsed(payload):
            return json.loads(payload)

        def decode(payload, metadata):
            return parsed(payload)
    """)
    assert message == "JSONDecodeError: Expecting value: line 1 column 1 (char 0) (line 4)"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise ValueError", "ValueError (line 2)"),
        ("raise ValueError('two\\n lines')", "ValueError: two lines (line 2)"),
        ("import sys; sys.exit('no')", "SystemExit: no (line 2)"),
        ("return decode(payload, metadata)", "RecursionError: maximum recursion depth exceeded (line 2)"),
        ("return metadata['x']", "KeyError: 'x' (line 2)"),
        ("compile('x =', 'other', 'exec')", "SyntaxError: invalid syntax (other, line 1) (line 2)"),
        ("return", "the converter returned nothing: did you forget `return result`?"),
        ("return {'deviceName': 'd', 'telemetry': {'t': {1}}}", "telemetry.t is of type set, which JSON does not have"),
    ],
)
def test_whatever_goes_wrong_in_the_users_code_is_a_converter_error(statement: str, message: str) -> None:
    assert failure(f"def decode(payload, metadata):\n    {statement}\n") == message


def test_an_exception_without_a_text_of_its_own_is_named() -> None:
    message = failure("""
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError

        def decode(payload, metadata):
            raise Mute
    """)
    assert message == "Mute: <exception str() failed> (line 6)"


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_an_exception_that_would_end_a_program_is_a_converter_error(name: str) -> None:
    assert failure(f"def decode(payload, metadata):\n    raise {name}\n") == f"{name} (line 2)"
    assert refusal_of_source(f"raise {name}").message == f"{name} (line 1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = = 2\n", "SyntaxError: invalid syntax (line 2, column 5)"),
        ("x = 1\nreturn x\n", "SyntaxError: 'return' outside function (line 2, column 1)"),
        ("import math\n1 / 0\n", "ZeroDivisionError: division by zero (line 2)"),
        ("raise SystemExit(3)", "SystemExit: 3 (line 1)"),
        ("", "there is no function named decode"),
        ("decode = 7", "decode is of type int, not a function"),
        ("def decode(payload): ...", "decode must take two arguments, payload and metadata"),
        ("def decode(payload, metadata, *, unit): ...", "decode must take two arguments, payload and metadata"),
        ("async def decode(payload, metadata): ...", "decode must return its result itself, without async or yield"),
        ("def decode(payload, metadata): yield {}", "decode must return its result itself, without async or yield"),
    ],
)  # fmt: skip
def test_a_source_that_can_not_serve_is_refused_when_it_is_compiled(text: str, message: str) -> None:
    assert refusal_of_source(text).message == message


@pytest.mark.parametrize("text", ["\0", "\ud800", "(" * 300])
def test_a_source_that_is_no_text_is_refused(text: str) -> None:
    assert "Error" in refusal_of_source(text).message


def test_a_source_without_decode_says_what_to_write() -> None:
    assert "decode(payload, metadata)" in refusal_of_source("x = 1").hint
