"""Decoders in TBEL, in ThingsBoard's style: what they give, and what a user learns of a mistake."""

import struct
from pathlib import Path

import pytest

from gateway.errors import ConverterError
from gateway.model import DeviceReport

from .rig import RECEIVED_MS, TUTORIAL_BINARY, TUTORIAL_JSON, TUTORIAL_REPORT, TUTORIAL_TEXT, tbel

DEMO = Path(__file__).parents[2] / "scripts" / "demo"


def reports(source: str, payload: bytes = b"", metadata: dict[str, str] | None = None) -> list[DeviceReport]:
    return tbel(source, metadata)(payload, RECEIVED_MS)


def value(expression: str, payload: bytes = b"", setup: str = "") -> object:
    """What an expression is in a result."""
    source = f'{setup}\nreturn {{deviceName: "d", attributes: {{v: {expression}}}}};'
    return reports(source, payload)[0].attributes.get("v")


def refused(source: str) -> str:
    """Why a source can't become a decoder."""
    with pytest.raises(ConverterError) as caught:
        tbel(source)
    return caught.value.message


def failed(source: str, payload: bytes = b"") -> str:
    """Why a call fails."""
    decode = tbel(source)
    with pytest.raises(ConverterError) as caught:
        decode(payload, RECEIVED_MS)
    return caught.value.message


# -- decoders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "payload"), [("text", TUTORIAL_TEXT), ("json", TUTORIAL_JSON), ("binary", TUTORIAL_BINARY)]
)
def test_the_tutorials_decoders_give_the_tutorials_report(name: str, payload: bytes) -> None:
    assert reports((DEMO / f"{name}.tbel").read_text(), payload) == [TUTORIAL_REPORT]


def test_fixed_offsets_with_signs_in_both_byte_orders() -> None:
    source = """
        var decoded = {};
        decoded.battery = parseBytesToInt(payload, 4, 1);
        decoded.temperature = parseBytesToInt(payload, 5, 2) / 100.0;
        var raw = parseBytesToInt(payload, 7, 2, false);
        if (raw > 0x7FFF) {
          raw -= 0x10000;
        }
        decoded.drift = raw / 10.0;
        var telemetry = [{ ts: parseLong(metadata.ts), values: decoded }];
        return { deviceName: "SN-" + parseBytesToInt(payload, 0, 4), telemetry: telemetry };
    """
    payload = struct.pack(">IBh", 37, 95, 2570) + struct.pack("<h", -15)
    [report] = reports(source, payload, {"ts": "1527863043000"})
    assert report.name == "SN-37"
    assert report.telemetry == [(1527863043000, {"battery": 95, "temperature": 25.7, "drift": -1.5})]


def test_records_of_type_and_value_after_each_other() -> None:
    source = """
        function decodePayload(input) {
          var output = { attributes: {}, telemetry: {} };
          output.telemetry.HEX_bytes = bytesToHex(input);
          for (var i = 0; i < input.length; ) {
            var channel = input[i++];
            var type = input[i++];
            if (channel === 0x01 && type === 0x75) {
              output.telemetry.battery = input[i];
              i += 1;
            } else if (channel === 0x03 && type === 0x67) {
              output.telemetry.temperature = ((input[i] & 0xff) | (input[i + 1] << 8)) / 10.0;
              i += 2;
            } else if (channel == -1 && type == 8) {
              var serial = [];
              for (var at = i; at < i + 2; at++) {
                serial.push(bytesToHex([input[at] & 0xff]));
              }
              output.attributes.serial = serial.join("");
              i += 2;
            } else {
              break;
            }
          }
          return output;
        }
        var decoded = decodePayload(payload);
        return { deviceName: "am", attributes: decoded.attributes, telemetry: decoded.telemetry };
    """
    [report] = reports(source, bytes.fromhex("017564 0367f6ff ff08a1b2 7777"))
    assert report.attributes == {"serial": "A1B2"}
    assert report.telemetry == [
        (RECEIVED_MS, {"HEX_bytes": "0175640367F6FFFF08A1B27777", "battery": 100, "temperature": -1})
    ]


def test_bit_fields() -> None:
    source = """
        var flags = payload[0] & 0xFF;
        var bits = parseByteToBinaryArray(payload[0]);
        return { deviceName: "d", attributes: {
          open: (flags & 0x80) != 0, mode: (flags >> 4) & 7, low: flags & 0x0F, bits: bits,
          middle: parseBinaryArrayToInt(bits, 2, 4)
        } };
    """
    [report] = reports(source, b"\xb6")
    assert report.attributes == {
        "open": True, "mode": 3, "low": 6, "bits": [1, 0, 1, 1, 0, 1, 1, 0], "middle": 13,
    }  # fmt: skip


def test_floats_of_both_sizes_and_orders() -> None:
    source = """
        return { deviceName: "d", telemetry: {
          a: parseBytesToFloat(payload, 0, 4), b: parseBytesToFloat(payload, 4, 4, false),
          c: parseBytesToDouble(payload, 8, 8), d: parseBytesToDouble(payload, 16, 8, false)
        } };
    """
    payload = struct.pack(">f", 25.7) + struct.pack("<f", -0.1) + struct.pack(">d", 1e-3) + struct.pack("<d", 69)
    assert reports(source, payload)[0].telemetry == [(RECEIVED_MS, {"a": 25.7, "b": -0.1, "c": 0.001, "d": 69.0})]


def test_several_devices_and_back_filled_time_series_from_json() -> None:
    source = """
        var data = decodeToJson(payload);
        var result = [];
        foreach (report : data) {
          var telemetry = [];
          foreach (sample : report.samples) {
            telemetry.add({ ts: sample.time * 1000L, values: { temperature: sample.t / 10.0 } });
          }
          result.push({ deviceName: report.serialNumber, deviceType: metadata.deviceType, telemetry: telemetry });
        }
        return result;
    """
    payload = b'[{"serialNumber": "A", "samples": [{"time": 1527863043, "t": 257}, {"time": 1527863103, "t": 260}]},'
    payload += b' {"serialNumber": "B", "samples": []}]'
    first, second = reports(source, payload, {"deviceType": "probe"})
    assert first.telemetry == [(1527863043000, {"temperature": 25.7}), (1527863103000, {"temperature": 26.0})]
    assert (first.type, second.name, second.telemetry) == ("probe", "B", [])


def test_assets_and_a_flat_map_without_some_keys() -> None:
    source = """
        var data = decodeToJson(payload);
        var telemetry = {};
        telemetry.putAll(toFlatMap(data, ["name", "secret"], false));
        if (data.?position.lat != null) {
          telemetry.put("located", true);
        }
        return { assetName: data.name, assetType: "office", telemetry: telemetry };
    """
    [report] = reports(source, b'{"name": "OF-1", "secret": 1, "air": {"co2": 400, "voc": [1, 2]}, "position": null}')
    assert (report.kind, report.name, report.type) == ("asset", "OF-1", "office")
    assert report.telemetry == [(RECEIVED_MS, {"co2": 400, "voc.0": 1, "voc.1": 2})]


def test_a_function_with_a_helpers_name_is_never_called_as_in_thingsboard() -> None:
    source = """
        var data = decodeToJson(payload);
        function decodeToString(payload) { return String.fromCharCode.apply(String, payload); }
        function decodeToJson(payload) { var str = decodeToString(payload); return JSON.parse(str); }
        return { deviceName: data.name };
    """
    assert reports(source, '{"name": "Kälte"}'.encode())[0].name == "Kälte"


def test_payload_is_signed_bytes() -> None:
    assert value("payload[0]", b"\xff") == -1
    assert value("payload", b"\xff\x7f") == [-1, 127]
    assert value("payload[0] & 0xFF", b"\xff") == 255
    assert value("payload.slice(1)", b"\x01\xfe") == [-2]
    assert value("payload.size() + payload.length + payload.length()", b"abc") == 9
    assert value("x", b"\x01", "var x = payload.clone(); x.add(300); x.push(payload[0]);") == [1, 300, 1]


def test_a_call_leaves_nothing_for_the_next() -> None:
    decode = tbel('count = 1; var list = []; list.add(count); return { deviceName: "d", attributes: { n: list } };')
    assert [decode(b"", RECEIVED_MS)[0].attributes for _ in range(2)] == [{"n": [1]}] * 2


def test_metadata_is_a_map() -> None:
    [report] = reports('return { deviceName: metadata["a b"] + metadata.size() };', metadata={"a b": "x"})
    assert report.name == "x1"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ("var x = 0; for (var i = 0; i < 5; i++) { if (i == 3) { break; } x += i; }", 3),
        ("var x = 0; for (var i = 0; i < 5; i++) { if (i == 3) continue; x += i; }", 7),
        ("var x = 0; foreach (n : [1, 2, 3]) { x += n; }", 6),
        ("var x = 0; for (n : [1, 2, 3]) { x += n; }", 6),
        ("var x = 0; foreach (n : 3) { x += n; }", 6),
        ('var x = ""; foreach (c : "abc") { x = c + x; }', "cba"),
        ('var x = ""; foreach (e : {a: 1, b: 2}) { x += e.key + e.getValue(); }', "a1b2"),
        ('var x = ""; foreach (e : {a: 1, b: 2}.entrySet()) { x += e.getKey() + e.value; }', "a1b2"),
        ("var x = 10; while (x > 5) { x--; }", 5),
        ("var x = 10; until (x == 5) { --x; }", 5),
        ("var x = 0; do { x++; } while (x < 5);", 5),
        ("var x = 0; do { x++; } until (x == 5);", 5),
        ('var x; switch (2) { case 1: x = "a"; break; case 2: case 3: x = "b"; break; default: x = "c"; }', "b"),
        ('var x; switch ("q") { case "p": x = 1; break; default: x = 2; }', 2),
        ("var x = 1; if (true) { var x = 2; }", 2),
        ("x = 1; function g() { x = 2; } g();", 2),
        ("var x = 1; function g() { var x = 2; } g();", 1),
        ("function f(a) { a * 2 } var x = f(4);", 8),
        ("function f(a) { 'use strict'; a } var x = f(4);", 4),
        ("var x = 0; foreach (n : [1, 2, 3]) { switch (n) { case 2: continue; default: x += n; } }", 4),
        ("var x = f(4); function f(a) { return a * 2; }", 8),
        ("var f = def (a) { a * 2 }; var x = f(4);", 8),
        ("function f(n) { if (n < 2) { n } else { f(n - 1) + f(n - 2) } } var x = f(10);", 55),
        ("var sum = 5; function sum(a) { return a; } var x = sum(2) + sum;", 7),
        ("int a = 7.9; double b = 2; var x = a + b;", 9.0),
        ('String s = 5; var x = s + "1";', "51"),
        ("var m = {}; m.a = {}; m.a.b = 1; m.a.b += 2; m['c'] = m.a.b++; var x = m;", {"a": {"b": 4}, "c": 3}),
        ("var m = {a: 1}; m.a = null; var x = m.size();", 0),
        ("var m = {}; m[5] = 'five'; var x = m.get(5);", "five"),
        ("var l = [3, 1, 2]; l.sort(); l.reverse(); l[0] = 9; var x = l;", [9, 2, 1]),
        ("var l = [1, 2]; l.add(0, 7); l.addAll([8]); l.remove(1); l.unshift(5); var x = l;", [5, 7, 2, 8]),
        ("var a = 1, b = 2; var x = a + b;", 3),
        ("var i = 5; var x = i++ + i;", 11),
        ("var i = 5; var x = ++i + i;", 12),
        ("var $a = 1; var größe = 2; var x = $a + größe;", 3),
        ('var x = {default: 1, type: 2, "in": 3, contains: 4}.default;', 1),
        ("var x = 1 // a comment; with { and \"\n; /* another \n */", 1),
        ("var x = new java.util.ArrayList(); x.add(1);", [1]),
        ("var x = {__proto__: 1, constructor: 2};", {"__proto__": 1, "constructor": 2}),
        ('var x = decodeToJson("{}").constructor == null;', True),
        ('var x = decodeToJson("{\\"a\\": 5.0, \\"b\\": 1e2, \\"c\\": 9007199254740993}"); x = "" + x;',
         "{a=5.0, b=100.0, c=9007199254740993}"),
    ],
)  # fmt: skip
def test_statements(statements: str, expected: object) -> None:
    assert value("x", setup=statements) == expected


def test_the_last_expression_is_the_result_where_there_is_no_return() -> None:
    assert reports('var result = { deviceName: "d" };\nresult')[0].name == "d"
    assert reports('if (payload.size() > 1) { ({ deviceName: "a" }) } else { ({ deviceName: "b" }) }')[0].name == "b"


def test_longs_and_doubles_reach_the_result_exactly() -> None:
    found = value("[9223372036854775807, 5.0, 5L, parseFloat('25.7'), 1 / 3.0, 3000000000]")
    assert found == [9223372036854775807, 5.0, 5, 25.7, 1 / 3, 3000000000]
    assert [type(number) for number in found if isinstance(number, int | float)] == [int, float, int, float, float, int]


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert value("decodeToString(payload)", b"a\xff\xe2\x82b\xe2\x82\xac\xf0\x9f\x98\x80") == "a\ufffd\ufffdb€😀"


def test_cbor_is_there_where_javascript_has_it() -> None:
    assert value("decodeCbor(payload).t", bytes.fromhex("a16174f94e00")) == 24


# -- what goes wrong in a call ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('raiseError("no such model");', "no such model (line 1, column 1)"),
        ('\n  raiseError("bad", 5);', "bad for value 5 (line 2, column 3)"),
        ("var m = {};\nreturn m.a.b;", "null has no .b (line 2, column 12)"),
        ("var m = {};\nreturn m.a.trim();", "null has no .trim() (line 2, column 12)"),
        ("var x = payload[3];", "index 3 is out of bounds: there are 0 (line 1, column 9)"),
        ("var x = 7 % 0;", "a division by zero (line 1, column 11)"),
        ("if (payload.size()) { 1 }", "a condition must be true or false, not an int (line 1, column 13)"),
        ("var x = null;\nvar y = 2\n  * x;", "an int * null is not possible (line 3, column 3)"),
        ('var x = "a" - 1;', "a text - an int is not possible (line 1, column 13)"),
        ("var x = 1.5 & 1;", "a double & an int is not possible (line 1, column 13)"),
        ('var x = "a" > 1;', "a text > an int is not possible (line 1, column 13)"),
        ("var x = [1].trim();", "a list has no .trim() (line 1, column 13)"),
        ('var x = "a".substring(2);', "index 2 is out of bounds: there are 1 (line 1, column 13)"),
        ('var x = parseInt("25.7");', '"25.7" is no whole number of radix 10 (line 1, column 9)'),
        ('var x = parseInt("zz");', '"zz" is neither decimal nor hexadecimal (line 1, column 9)'),
        ('var x = parseHexToInt("FFFFFFFF");', "4294967295 does not fit an int (line 1, column 9)"),
        ('var x = decodeToJson("{");', "the text is not JSON: "),
        ("function f(n) {\n  return f(n + 1);\n}\nf(0);", "RangeError: Maximum call stack size exceeded (line 2"),
        ("return { deviceName: 'd', telemetry: { t: 0.0 / 0.0 } };", "telemetry.t is NaN, which JSON can't hold"),
        ("var x = 1;", "the converter returned nothing"),
        ("for (;;) { }", "the converter took longer than 100 ms"),
        ("var l = []; for (;;) { l.add('xxxxxxxxxxxxxxxxxxx' + l.size()); }", "the converter "),
        ('"a" ~= "\\\\p{Alpha}"', "the regular expression \\p{Alpha} is not supported (line 1, column 5)"),
    ],
)  # fmt: skip
def test_a_failure_names_its_place(source: str, message: str) -> None:
    found = failed(source)
    if message.endswith(")"):
        assert found == message
    else:
        assert message in found


def test_a_failure_within_a_function_names_the_functions_line() -> None:
    source = (
        "function text(from, to) {\n  return decodeToString(payload.slice(from, to)).charAt(9);\n}\nreturn text(0, 1);"
    )
    assert failed(source, b"abc") == "index 9 is out of bounds: there are 1 (line 2, column 50)"


# -- what is refused when a converter is created ---------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("var x = ;", "SyntaxError: unexpected ';' (line 1, column 9)"),
        ("var x = 1\nvar y = 2;",
         "SyntaxError: unexpected 'var': is a ';' or an operator missing before it? (line 2, column 1)"),
        ("if (x { }", "SyntaxError: unexpected '{' (line 1, column 7)"),
        ("return {", "SyntaxError: the source ends too early: is a bracket not closed? (at the end)"),
        ("var x = 'abc;\n", "SyntaxError: a text without its closing quote (line 1, column 9)"),
        ("/* abc", "SyntaxError: a comment without its end (line 1, column 1)"),
        ("var x = `a`;", "SyntaxError: texts in backquotes are not TBEL (line 1, column 9)"),
        ("var x = '\\q';", "SyntaxError: unknown escape \\q in a text (line 1, column 10)"),
        ("return y;", "unknown variable 'y' (line 1, column 8)"),
        ("\n\nreturn foo(1);", "unknown function 'foo' (line 3, column 8)"),
        ("payload.frobnicate();", "the method .frobnicate() is not supported (line 1, column 9)"),
        ("Math.frobnicate(1);", "Math.frobnicate() is not supported (line 1, column 6)"),
        ("Math.TAU;", "Math.TAU is not supported (line 1, column 6)"),
        ("parseInt();", "parseInt takes 1 to 2 arguments, not 0 (line 1, column 1)"),
        ("function f(a) { a } f(1, 2);", "f takes 1 argument, not 2 (line 1, column 21)"),
        ("new java.io.File('x');", "new java.io.File() is not supported (line 1, column 1)"),
        ("import java.util.List;",
         "'import' is not supported: java.util.ArrayList and others are there (line 1, column 1)"),
        ("for (var i in payload) { }", "'in' is not supported: write foreach (x : list) (line 1, column 12)"),
        ("let x = 1;", "'let' is not supported: write var (line 1, column 1)"),
        ("var x = 'a' # 'b';", "'#' is not supported: texts are joined with + (line 1, column 13)"),
        ("payload.forEach(x => x);", "SyntaxError: functions with => are not TBEL (line 1, column 20)"),
        ("try { 1 } catch (e) { 2 }", "'try' is not supported (line 1, column 1)"),
        ("break;", "SyntaxError: break stands outside of a loop (line 1, column 1)"),
        ("switch (1) { case 1: continue; }", "SyntaxError: continue stands outside of a loop (line 1, column 22)"),
        ("while (true) { function f() { break; } }", "SyntaxError: break stands outside of a loop (line 1, column 31)"),
        ("1 = 2;", "SyntaxError: nothing can be assigned to this (line 1, column 1)"),
        ("x is Frob; var x;", "instanceof Frob is not supported (line 1, column 3)"),
        ("Foo x = 1;", "unknown type 'Foo': is a ';' or an operator missing after it? (line 1, column 1)"),
        ("var x = 5B;", "numbers of BigDecimal (B) and BigInteger (I) are not supported (line 1, column 9)"),
        ("var x = 99999999999999999999;", "the number 99999999999999999999 does not fit 64 bits (line 1, column 9)"),
        ("var year = 24 * 60 * 60 * 1000 * 365;",
         "this is 31536000000, which does not fit an int: write one of the numbers with L (line 1, column 32)"),
        ("var x = 089;", "the number 089 is octal for its 0, but has an 8 or a 9 (line 1, column 9)"),
        ("function f() { 1 } function f() { 2 }", "the function f is declared twice (line 1, column 29)"),
        ("switch (1) { case 1: metadata.a = 1; case 2: 2 }",
         "a case that does not end with break or return is not supported (line 1, column 14)"),
        ("return Math;", "the class Math can't stand alone (line 1, column 8)"),
        ("x == empty; var x;", "'empty' is not supported: compare with null, or ask .isEmpty() (line 1, column 6)"),
        ("(" * 20000, "SyntaxError: the source ends too early: is a bracket not closed? (at the end)"),
        ("[" * 200 + "]" * 200, "nested more than 150 deep (line 1, column 50)"),
        ("1;" * 30000, "the source has 60000 characters, 50000 is the most"),
        ("\ud800", "SyntaxError: unexpected '\N{REPLACEMENT CHARACTER}' (line 1, column 1)"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_with_its_place(source: str, message: str) -> None:
    assert refused(source) == message


def test_the_deepest_nesting_that_is_taken_runs() -> None:
    depth = 140
    assert value("-" + "(-" * depth + "1" + ")" * depth) == -1
    assert value("x", setup="var x = 1;" + "if (true) {" * 50 + "x = 2;" + "}" * 50) == 2
    chain = " else ".join(f"if (payload.size() == {i}) {{ x = {i}; }}" for i in range(300))
    assert value("x", b"x" * 299, "var x = -1; " + chain) == 299
