"""What holds for converters in every language: `gateway.converters`."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.converters import compile_converter
from gateway.errors import ConverterError
from gateway.model import Code, Converter, Language

from .rig import RECEIVED_MS, TUTORIAL_JSON, TUTORIAL_REPORT, bound
from .test_javascript import JSON_DECODER as JAVASCRIPT_JSON
from .test_python import JSON_DECODER as PYTHON_JSON

LANGUAGES = list(Language)
TBEL_JSON = """
var data = decodeToJson(payload);
return { deviceName: data.deviceName, deviceType: data.deviceType,
         telemetry: { temperature: data.temperature, humidity: data.humidity } };
"""
JSON_DECODERS = {
    language: bound(language, source)
    for language, source in (
        (Language.JAVASCRIPT, JAVASCRIPT_JSON),
        (Language.PYTHON, PYTHON_JSON),
        (Language.TBEL, TBEL_JSON),
    )
}
ECHO_DECODERS = [
    bound(Language.JAVASCRIPT, "return JSON.parse(String.fromCharCode.apply(String, payload));"),
    bound(Language.PYTHON, "import json\ndef decode(payload, metadata):\n    return json.loads(payload)\n"),
    bound(Language.TBEL, "return decodeToJson(payload);"),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tutorials_json_is_the_same_report_in_each_language(language: Language) -> None:
    assert JSON_DECODERS[language](TUTORIAL_JSON, RECEIVED_MS) == [TUTORIAL_REPORT]


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_decoder_serves_many_bindings(language: Language) -> None:
    sources = {
        Language.JAVASCRIPT: "return { deviceName: metadata.site };",
        Language.PYTHON: "def decode(payload, metadata):\n    return {'deviceName': metadata['site']}\n",
        Language.TBEL: "return { deviceName: metadata.site };",
    }
    decoder = compile_converter(
        Converter("c", language, sources[language]), time_limit_ms=100, memory_limit_bytes=1 << 24
    )
    one, other = decoder.bind({"site": "Berlin"}), decoder.bind({"site": "Oslo"})
    names = [decode(b"x", RECEIVED_MS)[0].name for decode in (one, other, one)]
    assert names == ["Berlin", "Oslo", "Berlin"]


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=200, deadline=None)
@given(payload=st.one_of(st.binary(max_size=200), st.text(max_size=60).map(str.encode)))
def test_any_payload_gives_reports_or_a_converter_error(language: Language, payload: bytes) -> None:
    try:
        JSON_DECODERS[language](payload, RECEIVED_MS)
    except ConverterError as error:
        assert error.coap_code is Code.BAD_REQUEST
        assert error.message
        assert len(error.message) < 400
        error.message.encode()


json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-(2.0**53), 2.0**53),  # JavaScript writes a larger one as an integer, with zeros at its end
    st.text(),
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abts", min_size=1), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {"deviceName": st.text(min_size=1, max_size=5)}, optional={"attributes": json_values, "telemetry": json_values}
    )
)
def test_the_same_result_is_accepted_or_refused_alike_in_each_language(result: dict[str, object]) -> None:
    payload = json.dumps(result).encode()
    outcomes: list[object] = []
    for decode in ECHO_DECODERS:
        try:
            outcomes.append(decode(payload, RECEIVED_MS))
        except ConverterError as error:
            outcomes.append(error.message.replace("-0.0", "0"))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_gateway_without_javascript_converters_does_not_load_the_engine() -> None:
    program = (
        "import sys; from gateway.converters import compile_converter; from gateway.model import Converter, Language;"
        "converter = Converter('c', Language.PYTHON, 'def decode(p, m): ...');"
        "compile_converter(converter, time_limit_ms=1, memory_limit_bytes=1);"
        "sys.exit('quickjs' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
