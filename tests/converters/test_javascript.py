"""Decoders in JavaScript: `gateway.converters.javascript`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConverterError
from gateway.model import JsonValue

from .rig import RECEIVED_MS, TUTORIAL_BINARY, TUTORIAL_JSON, TUTORIAL_REPORT, TUTORIAL_TEXT, javascript

TEXT_DECODER = """
var parts = String.fromCharCode.apply(String, payload).trim().split(",");
var telemetry = {};
for (var i = 2; i + 1 < parts.length; i += 2) {
  telemetry[parts[i]] = parseFloat(parts[i + 1]);
}
return { deviceName: parts[0], deviceType: parts[1], telemetry: telemetry };
"""

JSON_DECODER = """
var data = JSON.parse(decodeToString(payload));
return {
  deviceName: data.deviceName,
  deviceType: data.deviceType,
  telemetry: { temperature: data.temperature, humidity: data.humidity }
};
function decodeToString(bytes) {
  return String.fromCharCode.apply(String, bytes);
}
"""

BINARY_DECODER = """
function text(from, to) {
  return String.fromCharCode.apply(String, payload.slice(from, to));
}
return {
  deviceName: text(0, 6),
  deviceType: text(6, 13),
  telemetry: { temperature: parseFloat(text(13, 17)), humidity: parseInt(text(17, 19)) }
};
"""


def value_of(expression: str, payload: bytes = b"x", metadata: dict[str, str] | None = None) -> JsonValue:
    """What an expression over payload and metadata is."""
    decode = javascript(f'return {{ deviceName: "d", attributes: {{ value: {expression} }} }};', metadata)
    (report,) = decode(payload, RECEIVED_MS)
    return report.attributes.get("value")


def refusal_of_source(source: str) -> str:
    with pytest.raises(ConverterError) as caught:
        javascript(source)
    return caught.value.message


def failure(source: str, payload: bytes = b"x") -> str:
    decode = javascript(source)
    with pytest.raises(ConverterError) as caught:
        decode(payload, RECEIVED_MS)
    return caught.value.message


# -- ThingsBoard's contract ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "payload"),
    [(TEXT_DECODER, TUTORIAL_TEXT), (JSON_DECODER, TUTORIAL_JSON), (BINARY_DECODER, TUTORIAL_BINARY)],
    ids=["text", "json", "binary"],
)
def test_the_tutorials_payloads_become_the_same_report(source: str, payload: bytes) -> None:
    decode = javascript(source)
    for _ in range(3):
        assert decode(payload, RECEIVED_MS) == [TUTORIAL_REPORT]


PASTED = """/** Decoder **/

// decode payload to string
var payloadStr = decodeToString(payload);

// decode payload to JSON
// var data = decodeToJson(payload);

var fields = payloadStr.trim().split(',');

/* The device's name and type come first,
   then pairs of key and value. */
for (var i = 0, telemetry = {}; i < fields.length; i++) {
   if (i > 1 && i % 2) telemetry[fields[i - 1]] = toNumber(fields[i]);
}

var result = {
   deviceName: fields[0],
   deviceType: fields[1],
   customerName: metadata['customer'],
   telemetry: telemetry
};

/** Helper functions **/

function decodeToString(payload) {
   return String.fromCharCode.apply(String, payload);
}

function decodeToJson(payload) {
   return JSON.parse(decodeToString(payload));
}

return result;

function toNumber(text) { with (Math) { return abs(-text) } }"""
"""With what decoders are pasted with: headers, comments, helpers below the `return`, variables that are hoisted."""


@pytest.mark.parametrize(
    "pasted",
    [
        PASTED,
        PASTED + "\n",
        PASTED + " // end",
        PASTED + "\n\n/* end */",
        PASTED + "\n// }",
        PASTED + "\n;;",
        "\ufeff" + PASTED,
        PASTED.replace("\n", "\r\n"),
        PASTED.replace("\n", "\r\n") + "\r\n// end",
        PASTED.replace("\n", "\r"),
        "\ufeff" + PASTED.replace("\n", "\r\n"),
        "\t// Zähler \u2028" + PASTED,
        "<!-- decoder\n" + PASTED + "\n--> end",
        "{\n" + PASTED + "\n}",
        "function Decoder(payload, metadata) {\n" + PASTED + "\n}\nreturn Decoder(payload, metadata);",
        "var decoder = function (payload) {\n" + PASTED + "\n}; return decoder(payload);",
        "return (function () {\n" + PASTED + "\n})();",
    ],
)
def test_a_decoder_runs_as_it_is_pasted(pasted: str) -> None:
    assert javascript(pasted)(TUTORIAL_TEXT, RECEIVED_MS) == [TUTORIAL_REPORT]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\u2028"])
def test_lines_are_those_of_the_pasted_text_however_they_end(ending: str) -> None:
    source = ending.join(["\ufeff/** Decoder **/", "", "var x = 1;", "  x.y.z;", "return {};"])
    assert failure(source) == "TypeError: cannot read property 'z' of undefined (line 4, column 3)"


@pytest.mark.parametrize("length", [0, 1, 86, 59_999, 60_000, 60_001, 65_536])
def test_the_payload_is_a_plain_array_of_its_bytes(length: int) -> None:
    payload = bytes(i * 7 & 0xFF for i in range(length))
    decode = javascript(
        """
        return { deviceName: "d", attributes: {
            plain: Array.isArray(payload) && Object.getPrototypeOf(payload) === Array.prototype,
            bytes: btoa(payload.map(byte => String.fromCharCode(byte)).join("")) || null, length: payload.length } };
        """,
        time_limit_ms=5000,
    )
    (report,) = decode(payload, RECEIVED_MS)
    assert report.attributes["plain"] is True
    assert report.attributes["length"] == length
    assert value_of("payload.slice(0, 200)", payload) == list(payload[:200])
    assert value_of("payload[payload.length - 1]", payload) == (payload[-1] if payload else None)


def test_the_metadata_is_a_plain_object_with_any_text() -> None:
    metadata = {"integrationName": 'Zähler "7"\n', "__proto__": "x", "Option:uri": "\0\ud800"}
    assert value_of("metadata", metadata=metadata | {"Option:uri": "\0"}) == metadata | {"Option:uri": "\0"}
    assert value_of("metadata['Option:uri'].charCodeAt(1)", metadata=metadata) == 0xD800
    assert value_of("Object.getPrototypeOf(metadata) === Object.prototype", metadata={"a": "b"}) is True


def test_what_a_call_does_to_its_arguments_is_never_seen_by_the_next() -> None:
    decode = javascript(
        """
        var seen = [payload.length, Object.keys(metadata).length];
        payload.push(1); metadata.more = "x"; metadata.site = "changed";
        return { deviceName: "d", attributes: { seen: seen } };
        """,
        {"site": "Berlin"},
    )
    for _ in range(2):
        assert decode(b"ab", RECEIVED_MS)[0].attributes == {"seen": [2, 1]}


def test_variables_of_one_call_are_never_seen_by_the_next() -> None:
    decode = javascript(
        "var n; let m; n = (n || 0) + 1; return { deviceName: 'd', attributes: { n: n, m: m === undefined } };"
    )
    for _ in range(2):
        assert decode(b"x", RECEIVED_MS)[0].attributes == {"n": 1, "m": True}


def test_a_global_that_the_script_makes_itself_stays() -> None:
    decode = javascript("n = (typeof n === 'undefined' ? 0 : n) + 1; return { deviceName: 'd', attributes: { n: n } };")
    assert [decode(b"x", RECEIVED_MS)[0].attributes["n"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("btoa(String.fromCharCode.apply(String, payload))", "AP+A"),
        ("atob('AP+A').length", 3),
        ("atob('AP8')", "\0\xff"),
        ("atob(' AP8=\\n')", "\0\xff"),
        ("btoa('')", ""),
        ("decodeURIComponent(escape('\\xc3\\xbc'))", "ü"),
        ("unescape('%FC%u00fc')", "üü"),
        ("encodeURIComponent('ü')", "%C3%BC"),
        ("payload.map(function (b) { return ('0' + b.toString(16)).slice(-2); }).join('')", "00ff80"),
        ("new Uint8Array(payload).reduce((sum, byte) => sum + byte, 0)", 383),
        ("new Float32Array(new Uint8Array([0, 0, 128, 63]).buffer)[0]", 1),
        ("Date.parse('2018-06-01T14:24:03Z')", 1527863043000),
        ("'abc'.substr(-2, 1) + 'abc'.charAt(5) + ' a'.trimLeft()", "ba"),
        ("010 + parseInt('010')", 18),
        ("(function () { return typeof arguments.callee; })()", "function"),
        ("payload instanceof Array && metadata instanceof Object", True),
        ("Object.assign({}, { a: 1 }, null)", {"a": 1}),
        ("isNaN('x') && !Number.isNaN('x') && isFinite('1')", True),
        ("new Date(1527863043000).toISOString()", "2018-06-01T14:24:03.000Z"),
        ("new Date(1527863043000)", "2018-06-01T14:24:03.000Z"),
        ("Date.now() > 1700000000000", True),
        ("(payload[1] << 24 >> 24)", -1),
        ("new DataView(new Uint8Array(payload).buffer).getInt16(1)", -128),
        ("parseInt('0x1F', 16)", 31),
        ("'7'.padStart(3, '0')", "007"),
        ("JSON.parse('{\"a\":[1]}')", {"a": [1]}),
        ("25.7.toFixed(2)", "25.70"),
        ("Math.round(-0.5)", 0),
        ("arguments.length", 2),
        ("this === globalThis", True),
        ("typeof require + typeof process + typeof fetch + typeof console", "undefined" * 4),
        ("[3, 1, 2].sort().concat([4]).join('-')", "1-2-3-4"),
        ("[[1], [2]].flat().reverse()", [2, 1]),
        ("Array.prototype.slice.call('abc', 1)", ["b", "c"]),
        ("undefined", None),
        ("'\\ud83c\\udf21'", "\N{THERMOMETER}"),
        ("'a\\0b'", "a\0b"),
        ("1e21", 1e21),
        ("0.1 + 0.2", 0.30000000000000004),
    ],
)
def test_the_language_is_there(expression: str, value: JsonValue) -> None:
    assert value_of(expression, b"\x00\xff\x80") == value


def test_an_array_of_reports_gives_each_of_them() -> None:
    decode = javascript("return [{ deviceName: 'a' }, { assetName: 'b', telemetry: [{ ts: 5, values: { x: 1 } }] }];")
    assert [(report.kind, report.name) for report in decode(b"x", RECEIVED_MS)] == [("device", "a"), ("asset", "b")]


def test_an_empty_array_says_nothing() -> None:
    assert javascript("return [];")(b"x", RECEIVED_MS) == []


def test_undefined_and_functions_are_left_out_as_in_thingsboard() -> None:
    decode = javascript(
        "return { deviceName: 'd', customerName: undefined, telemetry: { a: undefined, f: () => 1, b: 1 } };"
    )
    assert decode(b"x", RECEIVED_MS)[0].telemetry == [(RECEIVED_MS, {"b": 1})]


def test_thousands_of_bindings_take_nothing_of_the_decoders_memory() -> None:
    count = "n = (typeof n === 'undefined' ? 0 : n) + 1; return { deviceName: 'd', attributes: { n: n } };"
    converter = javascript(count, memory_limit_bytes=1 << 20)
    del converter
    from gateway.converters.javascript import JavaScriptDecoder

    decoder = JavaScriptDecoder(count, time_limit_ms=100, memory_limit_bytes=1 << 20)
    for i in range(3000):
        reports = decoder.bind({"path": f"{i:04}" * 250})(b"x", RECEIVED_MS)
    assert reports[0].attributes == {"n": 3000}, "the runtime was replaced, so memory had run out"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_payload_arrives_byte_for_byte(payload: bytes) -> None:
    (report,) = BYTES_DECODER(payload, RECEIVED_MS)
    assert report.attributes == {"bytes": list(payload), "text": payload.decode("latin-1")}


BYTES_DECODER = javascript(
    "return { deviceName: 'd', attributes: { bytes: payload, text: String.fromCharCode.apply(String, payload) } };"
)


BRACKET_MISTAKE = "SyntaxError: a bracket is not closed, or there is a } too many (at the end)"


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("let a = ;", "SyntaxError: unexpected token in expression: ';' (line 1, column 9)"),
        ("let a;\r\nlet é = 'ü'; let b = ;", "SyntaxError: unexpected token in expression: ';' (line 2, column 22)"),
        ("if (payload) {\n  return 1;\n", BRACKET_MISTAKE),
        ("return 1;\n}", BRACKET_MISTAKE),
        ("return 'x", "SyntaxError: unexpected end of string (line 1, column 8)"),
        ("let payload = 1;", "SyntaxError: invalid redefinition of parameter name (line 1, column 13)"),
        ("\ud800", "the source is not valid Unicode"),
        ("(" * 100_000, "RangeError: Maximum call stack size exceeded"),
    ],
)  # fmt: skip
def test_a_source_that_does_not_compile_is_refused_with_its_place(source: str, message: str) -> None:
    assert refusal_of_source(source) == message


@pytest.mark.parametrize(
    "source",
    [
        "}); (function () {",
        "return {}; }); (function decoder(payload, metadata) {",
        "}, function () {",
        "}); throw { toString() { for (;;); } }; (function () {",
        "}); for (;;); (function () {",
    ],
)
def test_a_source_that_ends_its_function_early_is_refused(source: str) -> None:
    refusal_of_source(source)


def test_a_source_too_large_for_the_memory_limit_is_refused() -> None:
    with pytest.raises(ConverterError, match="needed more than 1 MiB of memory"):
        javascript("x" * 3_000_000, memory_limit_bytes=1 << 20)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\nreturn foo.bar;", "ReferenceError: foo is not defined (line 2, column 8)"),
        ("var a;\nreturn a.b;", "TypeError: cannot read property 'b' of undefined (line 2, column 8)"),
        ("function f() {\n  throw new Error('no');\n}\nf();", "Error: no (line 2, column 13)"),
        ("é = 'üü'; throw new Error('ö');", "Error: ö (line 1, column 21)"),
        ("throw 'too short';", "too short"),
        ("throw { code: 5 };", '{"code":5}'),
        ("throw undefined;", "undefined"),
        ("throw Symbol('s');", "Symbol(s)"),
        ("throw null;", "the converter threw null, or needed more than 16 MiB of memory"),
        ("throw new Error('two\\nlines \\ud800\\0');", "Error: two lines \ufffd\ufffd (line 1, column 11)"),
        ("JSON.parse('x');", "SyntaxError: unexpected token: 'x' (line 1, column 6)"),
        ("eval(')');", "SyntaxError: unexpected token in expression: ')' (line 1, column 1)"),
        ("btoa('\\u0100');", "InvalidCharacterError: String contains an invalid character (line 1, column 1)"),
        ("", "the converter returned nothing: did you forget `return result`?"),
        ("return function () {};", "the converter returned nothing: did you forget `return result`?"),
        ("return 'SN-001';", "the result must be an object or an array of objects, not a text"),
        ("return new Map([['deviceName', 'd']]);", "deviceName or assetName is missing"),
        ("return { deviceName: 'd\\ud800' };", "deviceName holds half of a surrogate pair, U+D800"),
        ("return { deviceName: 'd', telemetry: [{ a: 1 }, { ts: 1.5, values: {} }] };",
         "telemetry[1].ts must be whole milliseconds since 1970, from 0 to 253402300799999, not 1.5"),
    ],
)  # fmt: skip
def test_a_failure_is_told_with_line_and_column_of_the_users_text(source: str, message: str) -> None:
    assert failure(source) == message


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("{ deviceName: 'd', telemetry: { t: NaN } }", "TypeError: telemetry.t is NaN, which JSON can't hold"),
        ("[{ telemetry: { t: [1, -1 / 0] } }]", "TypeError: [0].telemetry.t[1] is -Infinity, which JSON can't hold"),
        ("{ telemetry: { ts: new Date(NaN) } }", "TypeError: telemetry.ts is Invalid Date, which JSON can't hold"),
        ("{ telemetry: { t: [1, undefined] } }", "TypeError: telemetry.t[1] is undefined, which JSON can't hold"),
        ("NaN", "TypeError: the result is NaN, which JSON can't hold"),
    ],
)  # fmt: skip
def test_what_json_would_silently_make_null_is_refused(result: str, message: str) -> None:
    assert failure(f"return {result};") == message


def test_a_null_and_the_text_null_are_no_mistake() -> None:
    decode = javascript("return { deviceName: 'null', attributes: { a: null, b: [null, { c: null }], d: 'null' } };")
    (report,) = decode(b"x", RECEIVED_MS)
    assert (report.name, report.attributes) == ("null", {"b": [None, {"c": None}], "d": "null"})
