"""`decodeCbor` in Python and in JavaScript: `gateway.converters.cbor`."""

import json
import math
import time
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.converters.cbor import MAX_BIGNUM_BYTES, MAX_DEPTH, MAX_LENGTH, CborError, decode_cbor
from gateway.errors import ConverterError
from gateway.model import JsonValue

from .rig import RECEIVED_MS, TUTORIAL_REPORT, javascript, python

TUTORIAL_CBOR = bytes.fromhex(
    "a4 6a6465766963654e616d65 66534e2d303031 6a64657669636554797065 6764656661756c74"
    "6b74656d7065726174757265 fb4039b33333333333 6868756d6964697479 1845"
)

SHOWN = """
function shown(value) {
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value === undefined) return null;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(shown);
  return Object.keys(value).map(key => [key, shown(value[key])]);
}
return { deviceName: "d", attributes: { value: JSON.stringify(shown(decodeCbor(payload))) } };
"""

IN_JAVASCRIPT = javascript(SHOWN)


def in_javascript(payload: bytes) -> Any:
    """What JavaScript made of it, maps as lists of pairs; raises ConverterError."""
    (report,) = IN_JAVASCRIPT(payload, RECEIVED_MS)
    text = report.attributes["value"]
    assert isinstance(text, str)
    return json.loads(text, parse_int=float)  # as doubles are compared


def as_javascript_has_it(value: object) -> Any:
    """What Python made of it, as `in_javascript` would give it; raises TypeError for a key that JavaScript refuses."""
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, list | tuple):
        return [as_javascript_has_it(part) for part in value]
    if isinstance(value, dict):
        pairs = {key_text(key): as_javascript_has_it(part) for key, part in value.items()}
        if len(pairs) < len(value):
            raise TypeError("two keys have one text")
        return sorted([key, part] for key, part in pairs.items())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    if isinstance(value, cbor2.CBORSimpleValue):
        raise TypeError("a simple value")
    return value


def number(value: float) -> float | str:
    try:
        double = float(value)
    except OverflowError:
        double = math.inf if value > 0 else -math.inf
    return double if math.isfinite(double) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(double, "NaN")


def key_text(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.hex()
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        text = IN_JAVASCRIPT_KEYS(cbor2.dumps(key), RECEIVED_MS)[0].attributes["value"]
        assert isinstance(text, str)
        return text
    raise TypeError("a container as a key")


IN_JAVASCRIPT_KEYS = javascript("return { deviceName: 'd', attributes: { value: String(decodeCbor(payload)) } };")


def sorted_maps(value: Any) -> Any:
    """With the pairs of maps in order: JavaScript puts keys that are integers before others."""
    if isinstance(value, list):
        parts = [sorted_maps(part) for part in value]
        is_map = all(isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) for part in parts)
        return sorted(parts, key=json.dumps) if is_map else parts
    return value


# -- what items become -----------------------------------------------------------------------------


def test_the_tutorials_payload_becomes_its_report_in_javascript_and_in_python() -> None:
    in_js = javascript(
        "var d = decodeCbor(payload); return { deviceName: d.deviceName, deviceType: d.deviceType,"
        " telemetry: { temperature: d.temperature, humidity: d.humidity } };"
    )
    in_python = python(
        "def decode(payload, metadata):\n"
        "    d = decodeCbor(payload)\n"
        '    names = {key: d.pop(key) for key in ("deviceName", "deviceType")}\n'
        '    return {**names, "telemetry": d}\n'
    )
    for decode in (in_js, in_python):
        assert decode(TUTORIAL_CBOR, RECEIVED_MS) == [TUTORIAL_REPORT]


@pytest.mark.parametrize(
    ("payload", "in_js", "in_python"),
    [
        ("1903e7", 999, 999),
        ("1a000f4240", 1_000_000, 1_000_000),
        ("1bffffffffffffffff", 2.0**64, 2**64 - 1),
        ("3bffffffffffffffff", -(2.0**64), -(2**64)),
        ("3b0020000000000001", -9007199254740994.0, -9007199254740994),
        ("c249010000000000000000", 2.0**64, 2**64),
        ("c349010000000000000000", -(2.0**64), -(2**64) - 1),
        ("c240", 0, 0),
        ("c48221196ab3", 273.15, 273.15),
        ("c4820105", 50, 50.0),
        ("f93e00", 1.5, 1.5),
        ("f90001", 2.0**-24, 2.0**-24),
        ("f9fc00", "-Infinity", -math.inf),
        ("fa47c35000", 100_000, 100_000.0),
        ("fb3ff199999999999a", 1.1, 1.1),
        ("f4", False, False),
        ("f6", None, None),
        ("f7", None, None),
        ("82f7a101f7", [None, [["1", None]]], [None, {1: None}]),
        ("62c3bc", "ü", "ü"),
        ("7f61616162ff", "ab", "ab"),
        ("4400ff8001", [0, 255, 128, 1], b"\x00\xff\x80\x01"),
        ("5f42010243030405ff", [1, 2, 3, 4, 5], b"\x01\x02\x03\x04\x05"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]], [1, [2, 3], [4, 5]]),
        ("bf616101f5f4ff", [["a", 1], ["true", False]], {"a": 1, True: False}),
        ("a14202ff01", [["02ff", 1]], {b"\x02\xff": 1}),
        ("a1695f5f70726f746f5f5f01", [["__proto__", 1]], {"__proto__": 1}),
        ("c11a5b111613", 1527846419, 1527846419),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z", "2013-03-21T20:04:00Z"),
        ("d9d9f7820102", [1, 2], [1, 2]),
        ("d9010282f501", [True, 1], [True, 1]),
        ("d8184101", [1], b"\x01"),
        ("d8ff82a1016161f7", [[["1", "a"]], None], [{1: "a"}, None]),
        ("da7fffffff05", 5, 5),
    ],
)  # fmt: skip
def test_an_item_becomes_what_the_language_has_for_it(payload: str, in_js: JsonValue, in_python: object) -> None:
    data = bytes.fromhex(payload)
    assert in_javascript(data) == in_js
    assert decode_cbor(data) == in_python
    assert type(decode_cbor(data)) is type(in_python)


def test_the_content_of_nearly_any_tag_stands_for_itself() -> None:
    for tag in (*range(1300), 43000, 55799, 2**32, 2**64 - 1):
        if tag not in (2, 3, 4, 5, 25, 29):
            payload = b"\xdb" + tag.to_bytes(8) + b"\x82\x05\x61a"
            assert decode_cbor(payload) == [5, "a"], tag
            assert in_javascript(payload) == [5, "a"], tag


def test_keys_that_are_no_texts_are_their_text_in_javascript_and_stay_in_python() -> None:
    payload = cbor2.dumps({-1: "a", 2.5: "b", False: "c", None: "d", b"\xff": "e"})
    assert sorted(in_javascript(payload)) == [["-1", "a"], ["2.5", "b"], ["false", "c"], ["ff", "e"], ["null", "d"]]
    assert decode_cbor(payload) == {-1: "a", 2.5: "b", False: "c", None: "d", b"\xff": "e"}


def test_nothing_of_a_payload_is_kept_for_the_next() -> None:
    for payload, value in ((b"\x82\x01\x02", [1, 2]), (b"\x05", 5), (b"\x82\x01\x02", [1, 2])):
        assert in_javascript(payload) == value
        with pytest.raises(ConverterError):
            in_javascript(payload[:-1])


@pytest.mark.parametrize("array", ["payload", "new Uint8Array(payload)", "payload.slice()"])
def test_any_array_of_bytes_is_taken(array: str) -> None:
    decode = javascript(f"return {{ deviceName: decodeCbor({array}) }};")
    assert decode(b"\x61d", RECEIVED_MS)[0].name == "d"


@pytest.mark.parametrize(
    "own",
    ["function decodeCbor(x) { return 'own'; }", "var decodeCbor = () => 'own';", "decodeCbor = () => 'own';"],
)
def test_a_decoders_own_function_of_that_name_takes_its_place(own: str) -> None:
    decode = javascript(f"{own} return {{ deviceName: decodeCbor(payload) }};")
    assert decode(b"\x01", RECEIVED_MS)[0].name == "own"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        "", "18", "19ff", "1a000000", "1b00", "fa00", "1c", "fc", "ff", "f8", "f800", "f818", "41", "6261", "61ff",
        "63eda080", "62c080", "9f", "9f01", "bf", "bf01ff", "bf0102", "82ff01", "5f", "5f4101", "5f6161ff",
        "5f5f4101ffff", "7f61c361bcff", "8201", "a1", "a101", "df01", "9bffffffffffffffff", "bbffffffffffffffff",
        "5bffffffffffffffff", "7bffffffffffffffff", "0000", "a200010002", "a2616101616102", "c201", "c26161", "c401",
        "c48101", "c482010203", "c482f50101", "c5820103", "d81900", "d81d00", "a1f701",
    ],
)  # fmt: skip
def test_what_is_malformed_invalid_or_not_supported_is_refused_in_both(payload: str) -> None:
    data = bytes.fromhex(payload)
    with pytest.raises(CborError, match=r"^decodeCbor: "):
        decode_cbor(data)
    with pytest.raises(ConverterError, match=r"^Error: decodeCbor: .*line 9, column"):
        in_javascript(data)


def test_an_error_names_what_is_wrong_where_in_the_payload_and_the_users_own_line() -> None:
    decode = javascript("var x = 1;\nvar d = decodeCbor(payload);\nreturn d;")
    with pytest.raises(ConverterError) as caught:
        decode(b"\x82\x01", RECEIVED_MS)
    assert caught.value.message == "Error: decodeCbor: the payload ends too early (byte 1) (line 2, column 20)"
    with pytest.raises(ConverterError) as caught:
        python("def decode(payload, metadata):\n    return decodeCbor(payload)\n")(b"\x00\x01", RECEIVED_MS)
    assert caught.value.message == "CborError: decodeCbor: bytes are left over after the item (byte 1) (line 2)"


def test_a_converter_can_catch_the_error() -> None:
    in_js = javascript(
        "try { decodeCbor(payload); } catch (e) { return { deviceName: e instanceof Error ? 'e' : '' }; }"
    )
    in_python = python(
        "def decode(payload, metadata):\n"
        "    try:\n        decodeCbor(payload)\n"
        "    except ValueError:\n        return {'deviceName': 'e'}\n"
    )
    assert [decode(b"\xff", RECEIVED_MS)[0].name for decode in (in_js, in_python)] == ["e", "e"]


@pytest.mark.parametrize("argument", ["", "5", "null", "'a'", "{}", "{ length: 'x' }"])
def test_what_is_no_array_of_bytes_is_refused(argument: str) -> None:
    with pytest.raises(ConverterError, match="TypeError: decodeCbor takes an array of bytes"):
        javascript(f"decodeCbor({argument});")(b"x", RECEIVED_MS)


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["81", "9f", "a100", "c1", "d8ff"])
def test_containers_and_tags_stand_in_each_other_up_to_the_bound(head: str) -> None:
    for depth in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1):
        payload = bytes.fromhex(head) * depth + b"\x00" + (b"\xff" * depth if head == "9f" else b"")
        if depth <= MAX_DEPTH:
            decode_cbor(payload)
            in_javascript(payload)
            continue
        with pytest.raises(CborError, match="depth"):
            decode_cbor(payload)
        with pytest.raises(ConverterError, match=f"nested more than {MAX_DEPTH} deep"):
            in_javascript(payload)


@pytest.mark.parametrize("length", [MAX_BIGNUM_BYTES - 1, MAX_BIGNUM_BYTES, MAX_BIGNUM_BYTES + 1])
def test_a_bignum_has_its_bound(length: int) -> None:
    payload = b"\xc2\x58" + bytes((length,)) + b"\xff" * length
    if length <= MAX_BIGNUM_BYTES:
        value = 256**length - 1
        assert decode_cbor(payload) == value
        assert in_javascript(payload) == number(value)
        return
    with pytest.raises(CborError, match="bignum"):
        decode_cbor(payload)
    with pytest.raises(ConverterError, match="bignum"):
        in_javascript(payload)


@pytest.mark.parametrize("length", [MAX_LENGTH - 1, MAX_LENGTH, MAX_LENGTH + 1])
def test_a_payload_has_its_bound(length: int) -> None:
    payload = b"\x7a" + (length - 5).to_bytes(4) + b"a" * (length - 5)
    decode = javascript(
        "return { deviceName: 'd', attributes: { n: decodeCbor(payload).length } };",
        time_limit_ms=5000,
        memory_limit_bytes=64 << 20,
    )
    if length <= MAX_LENGTH:
        assert decode_cbor(payload) == "a" * (length - 5)
        assert decode(payload, RECEIVED_MS)[0].attributes == {"n": length - 5}
        return
    with pytest.raises(CborError, match="too many"):
        decode_cbor(payload)
    with pytest.raises(ConverterError, match="too many"):
        decode(payload, RECEIVED_MS)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x9a\x00\x0f\x00\x00" + b"\xa0" * 983_040,
        b"\x9f" + b"\xbf\xff" * 500_000 + b"\xff",
        b"\x5f" + b"\x40" * 1_000_000 + b"\xff",
        b"\x5a\x00\x0f\x00\x00" + b"\xa0" * 983_040,
        b"\x7f" + b"\x61a" * 500_000 + b"\xff",
        b"\xba\x00\x03\x0d\x40" + b"".join(b"\x1a" + i.to_bytes(4) + b"\x00" for i in range(200_000)),
    ],
    ids=["maps", "indefinite maps", "chunks", "bytes", "texts", "keys"],
)
def test_a_hostile_payload_runs_into_the_converters_own_limits_and_the_next_is_well(payload: bytes) -> None:
    decode = javascript(
        "var d = decodeCbor(payload); return { deviceName: 'd', attributes: { n: payload.length } };", time_limit_ms=20
    )
    before_s = time.process_time()
    with pytest.raises(ConverterError, match=r"took longer than 20 ms|needed more than 16 MiB"):
        decode(payload, RECEIVED_MS)
    assert time.process_time() - before_s < 5
    assert decode(b"\x01", RECEIVED_MS)[0].attributes == {"n": 1}


def test_keys_of_one_hash_are_refused_in_python() -> None:
    keys = [cbor2.CBORTag(2, (i * (2**61 - 1)).to_bytes(16)) for i in range(1, 3000)]
    payload = b"\xb9" + len(keys).to_bytes(2) + b"".join(cbor2.dumps(key) + b"\x00" for key in keys)
    before_s = time.process_time()
    with pytest.raises(CborError, match="a bignum can't be a key"):
        decode_cbor(payload)
    assert time.process_time() - before_s < 1


# -- any payload -----------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.just(cbor2.undefined),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_subnormal=True),
    st.text(max_size=8),
    st.binary(max_size=8),
)
keys = st.one_of(st.text(max_size=4), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=3), st.floats(), st.none())
items = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.integers(0, 2**32), inner)
    ),
    max_leaves=12,
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Encoded items, most with a part of them changed, cut or put in twice; and noise."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=40))
    data = cbor2.dumps(draw(items))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return data


ONLY_IN_JAVASCRIPT = ("Duplicate map key", "a bignum can't be a key", "decimal fraction")
"""1 and true are one key in Python; a bignum can be a key in JavaScript, and in a decimal fraction in Python."""


@settings(max_examples=1000, deadline=None)
@given(payloads())
@example(b"\xf7")
def test_both_give_the_same_of_any_payload_or_refuse_it(payload: bytes) -> None:
    refusals = []
    value = other = None
    try:
        value = as_javascript_has_it(decode_cbor(payload))
    except (CborError, TypeError) as error:
        refusals.append(str(error))
    try:
        other = in_javascript(payload)
    except ConverterError as error:
        assert "decodeCbor" in error.message
        refusals.append(error.message)
    if len(refusals) == 1:
        assert any(reason in refusals[0] for reason in ONLY_IN_JAVASCRIPT), refusals
    elif not refusals:
        assert sorted_maps(other) == sorted_maps(value)
