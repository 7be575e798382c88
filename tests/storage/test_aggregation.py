"""History summed up by intervals."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import JsonValue
from gateway.storage.aggregation import Aggregated, Aggregation, aggregate

SAMPLES: list[tuple[int, JsonValue]] = [(0, 1), (9, 4), (10, -2), (25, 7.5), (29, "text"), (29, True)]


def summed(how: Aggregation, samples: list[tuple[int, JsonValue]] = SAMPLES) -> list[Aggregated]:
    return aggregate(samples, how, start_ms=0, end_ms=35, interval_ms=10)


def test_each_interval_has_one_value_at_its_middle() -> None:
    assert summed(Aggregation.AVG) == [(5, 2.5), (15, -2), (25, 7.5)]
    assert summed(Aggregation.MIN) == [(5, 1), (15, -2), (25, 7.5)]
    assert summed(Aggregation.MAX) == [(5, 4), (15, -2), (25, 7.5)]
    assert summed(Aggregation.SUM) == [(5, 5), (15, -2), (25, 7.5)]


def test_everything_is_counted_and_only_numbers_are_summed_up() -> None:
    assert summed(Aggregation.COUNT) == [(5, 2), (15, 1), (25, 3)]
    assert summed(Aggregation.SUM, [(0, "a"), (1, None), (2, {"b": 1}), (3, False)]) == []


def test_the_last_interval_ends_with_the_time() -> None:
    assert summed(Aggregation.COUNT, [(34, 1)]) == [(32, 1)]


def test_a_time_before_1970_has_intervals_too() -> None:
    assert aggregate([(-5, 2)], Aggregation.SUM, start_ms=-10, end_ms=0, interval_ms=4) == [(-4, 2)]


def test_a_sum_that_no_json_number_can_hold_is_left_out() -> None:
    assert summed(Aggregation.SUM, [(0, 1e308), (1, 1e308)]) == []
    assert summed(Aggregation.MAX, [(0, 1e308), (1, 1e308)]) == [(5, 1e308)]


@given(
    st.lists(st.tuples(st.integers(0, 999), st.one_of(st.integers(), st.floats(allow_nan=False), st.text()))),
    st.integers(1, 2000),
    st.sampled_from(Aggregation),
)
def test_whatever_the_samples_the_values_are_numbers_in_order(
    samples: list[tuple[int, JsonValue]], interval_ms: int, how: Aggregation
) -> None:
    found = aggregate(samples, how, start_ms=0, end_ms=1000, interval_ms=interval_ms)
    assert [one.ts for one in found] == sorted({one.ts for one in found})
    assert all(0 <= one.ts < 1000 and math.isfinite(one.value) for one in found)
