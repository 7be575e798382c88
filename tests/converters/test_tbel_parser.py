"""The parser of TBEL against hostile text: `gateway.converters.tbel`."""

import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.converters.tbel.builder import MAX_DEPTH
from gateway.converters.tbel.parser import MAX_LENGTH
from gateway.converters.tbel.translator import translate
from gateway.errors import ConverterError

from .rig import RECEIVED_MS, tbel

DEMO = Path(__file__).parents[2] / "scripts" / "demo"
DECODERS = [path.read_text() for path in sorted(DEMO.glob("*.tbel"))]
PIECES = [
    *"(){}[];:,.?+-*/%&|^~!<>=\"'\\`#@$ \n",
    *["var ", "if ", "else ", "for ", "foreach ", "while ", "do ", "until ", "switch ", "case ", "default ", "return "],
    *[
        "function ",
        "def ",
        "new ",
        "null ",
        "empty ",
        "true ",
        "is ",
        "instanceof ",
        "contains ",
        "and ",
        "or ",
        "int ",
    ],
    *[
        "String ",
        "payload",
        "metadata",
        "x",
        "f",
        "1",
        "0x1F",
        "5L",
        "2.5f",
        "1e400",
        "'a'",
        ".?",
        "==",
        "++",
        "+=",
        "~=",
    ],
    *["//", "/*", "*/", "\ufeff", "é", "\ud800", "\x00", "__proto__", "parseInt", "Math", ".size()", ">>>="],
]
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


def only_converter_errors(source: str) -> None:
    try:
        decode = tbel(source)
    except ConverterError as error:
        assert error.message.isprintable() and len(error.message) < 400
        return
    try:
        decode(b"SN-001,default", RECEIVED_MS)
    except ConverterError as error:
        assert "SyntaxError" not in error.message or "JSON" in error.message


@settings(max_examples=300, deadline=None)
@given(source=TEXTS)
def test_any_text_is_a_decoder_or_a_converter_error(source: str) -> None:
    only_converter_errors(source)


@settings(max_examples=300, deadline=None)
@given(
    source=st.sampled_from(DECODERS),
    cuts=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 12), st.sampled_from(["", *PIECES])), max_size=4),
)
def test_a_mutated_decoder_is_a_decoder_or_a_converter_error(source: str, cuts: list[tuple[int, int, str]]) -> None:
    for at, length, piece in cuts:
        source = source[:at] + piece + source[at + length :]
    only_converter_errors(source)


NESTINGS = [
    "(",
    "[",
    "{",
    "-",
    "!",
    "~",
    "f(",
    "x[",
    "a ? ",
    "if (a) ",
    "{a: ",
    "(int) ",
    "1 + ",
    "a = ",
    "x.?y",
    "do {",
]


def test_nesting_of_any_depth_is_refused_in_time() -> None:
    for opening in NESTINGS:
        begun = time.process_time()
        for source in (opening * 4000, opening * 4000 + "1", "function f() { " * 3000):
            try:
                translate(source)
            except ConverterError as error:
                assert f"nested more than {MAX_DEPTH} deep" in error.message or "(" in error.message
        assert time.process_time() - begun < 20


def test_the_longest_source_takes_seconds_at_most() -> None:
    begun = time.process_time()
    line = "var x = payload.size() + (2 * 3);\n"
    translate(line * (MAX_LENGTH // len(line)))
    assert time.process_time() - begun < 20
