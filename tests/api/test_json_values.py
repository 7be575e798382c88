"""Values on their way out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.json_values import sound

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner) | st.tuples(inner),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\U0001f600", "\U0001f600"),
        (float("nan"), None),
        (float("-inf"), None),
        (True, True),
        ((1 << 63) - 1, (1 << 63) - 1),
        (1 << 63, "<integer beyond 64 bits>"),
        (-(1 << 63), -(1 << 63)),
        ({"\udfff": [1.5, None]}, {"\ufffd": [1.5, None]}),
    ],
)
def test_what_can_not_be_held_is_replaced_and_nothing_else(value: Any, expected: Any) -> None:
    assert sound(value) == expected


@given(VALUES)
def test_whatever_it_is_the_result_is_json_in_utf_8(value: Any) -> None:
    json.dumps(sound(value), ensure_ascii=False, allow_nan=False).encode()
