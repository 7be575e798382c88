"""How a failure is put into words: `gateway.converters.diagnostics`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.converters.diagnostics import MAX_LENGTH, brief


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Error: x", "Error: x"),
        ("  two\r\n\tlines  ", "two lines"),
        ("bell\a and \ud800", "bell\N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}"),
        ("größer als 日本", "größer als 日本"),
        ("x" * 300, "x" * 255 + "…"),
    ],
)
def test_a_failure_is_one_short_line(text: str, line: str) -> None:
    assert brief(text) == line


@given(st.text(st.characters(exclude_categories=()), max_size=600))
def test_any_text_becomes_one_line_that_can_be_sent(text: str) -> None:
    line = brief(text)
    assert len(line) <= MAX_LENGTH
    assert line.isprintable()
    line.encode()
