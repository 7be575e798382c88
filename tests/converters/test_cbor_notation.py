"""CBOR diagnostic notation, held against RFC 8949's own examples and another implementation's decoder."""

import json
import math
from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.converters.cbor_notation import DEPTH_MAX, DIGITS_MAX, encode
from gateway.errors import UsageError

RFC_8949_APPENDIX_A = """
0: 00
23: 17
24: 1818
100: 1864
1000: 1903e8
1000000: 1a000f4240
1000000000000: 1b000000e8d4a51000
18446744073709551615: 1bffffffffffffffff
18446744073709551616: c249010000000000000000
-18446744073709551616: 3bffffffffffffffff
-18446744073709551617: c349010000000000000000
-1: 20
-1000: 3903e7
0.0: f90000
-0.0: f98000
1.1: fb3ff199999999999a
1.5: f93e00
65504.0: f97bff
100000.0: fa47c35000
3.4028234663852886e+38: fa7f7fffff
1.0e+300: fb7e37e43c8800759c
5.960464477539063e-8: f90001
-4.1: fbc010666666666666
Infinity: f97c00
NaN: f97e00
-Infinity: f9fc00
false: f4
true: f5
null: f6
undefined: f7
simple(16): f0
simple(255): f8ff
0("2013-03-21T20:04:00Z"): c074323031332d30332d32315432303a30343a30305a
1(1363896240): c11a514b67b0
1(1363896240.5): c1fb41d452d9ec200000
23(h'01020304'): d74401020304
24(h'6449455446'): d818456449455446
h'': 40
h'01020304': 4401020304
"": 60
"IETF": 6449455446
"\\"\\\\": 62225c
"\\u00fc": 62c3bc
"\\ud800\\udd51": 64f0908591
[]: 80
[1, [2, 3], [4, 5]]: 8301820203820405
{}: a0
{1: 2, 3: 4}: a201020304
{"a": 1, "b": [2, 3]}: a26161016162820203
(_ h'0102', h'030405'): 5f42010243030405ff
(_ "strea", "ming"): 7f657374726561646d696e67ff
[_ ]: 9fff
[_ 1, [2, 3], [_ 4, 5]]: 9f018202039f0405ffff
{_ "a": 1, "b": [_ 2, 3]}: bf61610161629f0203ffff
"""


@pytest.mark.parametrize("line", RFC_8949_APPENDIX_A.strip().splitlines())
def test_the_rfcs_examples_are_encoded_as_it_says(line: str) -> None:
    notation, _, encoded = line.rpartition(": ")
    assert encode(notation).hex() == encoded


@pytest.mark.parametrize(
    ("notation", "encoded"),
    [
        ("'text \\' é'", "4974657874202720c3a9"),
        ("b64'AQI='", "420102"),
        ("b64'-_8'", "42fbff"),
        ("h'01 02\n03'", "43010203"),
        ('<<1, "a">>', "43016161"),
        ("<<>>", "40"),
        ("0x1F", "181f"),
        ("-0b11", "22"),
        ("0o17", "0f"),
        ("1e3", "f963d0"),
        ("/ a map / { 1 : 2 } # to the end", "a10102"),
        (" [ 1 , 2 ] ", "820102"),
    ],
)
def test_what_rfc_8610_adds_is_there_too(notation: str, encoded: str) -> None:
    assert encode(notation).hex() == encoded


@pytest.mark.parametrize(
    ("notation", "place"),
    [
        ("", 1),
        ("{", 2),
        ("[1 2]", 4),
        ("[1,]", 4),
        ('{"a" 1}', 6),
        ("1 2", 3),
        ("01", 2),
        ("1_1", 2),
        ("1.", 2),
        ("h'0'", 1),
        ("h'zz'", 1),
        ("h'01", 1),
        ("b64'a'", 1),
        ("foo'x'", 1),
        ('"\\x"', 1),
        ('"\\ud800"', 1),
        ("True", 1),
        ("(1)", 2),
        ("(_ )", 3),
        ("(_ 1)", 3),
        ("(_ h'01', \"a\")", 3),
        ("(_ (_ h'01'))", 3),
        ("simple(24)", 8),
        ("simple(256)", 8),
        ("1(2", 4),
        ("18446744073709551616(1)", 22),
        ("\x00", 1),
    ],
)
def test_a_mistake_is_named_with_its_place(notation: str, place: int) -> None:
    with pytest.raises(UsageError, match=rf"^--cbor is not CBOR diagnostic notation: .* \(character {place}\)$"):
        encode(notation)


def test_depth_and_digits_have_bounds() -> None:
    assert encode("[" * DEPTH_MAX + "1" + "]" * DEPTH_MAX) == b"\x81" * DEPTH_MAX + b"\x01"
    for opening in ("[", "{1:", "<<", "1("):
        with pytest.raises(UsageError, match="more than 64 items"):
            encode(opening * 100_000)
    assert encode("9" * DIGITS_MAX)
    with pytest.raises(UsageError, match="more than 1000 digits"):
        encode("9" * (DIGITS_MAX + 1))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_json_is_diagnostic_notation(value: object) -> None:
    assert cbor2.loads(encode(json.dumps(value))) == value


@given(st.floats())
def test_a_float_is_encoded_as_short_as_its_value_allows(value: float) -> None:
    notation = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN" if math.isnan(value) else repr(value))
    assert encode(notation) == cbor2.dumps(value, canonical=True)


@given(
    st.lists(st.sampled_from([*"[]{}(),:_'\"\\/#-.0123456789eExhb \n", "true", "<<", ">>", "h'", "simple("])).map(
        "".join
    )
)
def test_any_text_is_encoded_or_refused(notation: str) -> None:
    with suppress(UsageError):
        cbor2.loads(encode(notation))
