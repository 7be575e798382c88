"""Percentiles of what fell into buckets."""

import bisect
import random

import pytest

from gateway.api.percentiles import Buckets, percentile
from gateway.metrics import METRICS, REQUEST_SECONDS


def test_of_nothing_there_is_none() -> None:
    assert percentile(Buckets((1.0, 2.0), (0, 0, 0)), 0.5) is None


@pytest.mark.parametrize(("share", "value"), [(0.0, None), (0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (1.0, 3.0)])
def test_values_are_spread_evenly_in_their_bucket(share: float, value: float | None) -> None:
    assert percentile(Buckets((1.0, 3.0), (2, 2, 0)), share) == value


def test_beyond_the_last_bound_nobody_knows() -> None:
    buckets = Buckets((1.0,), (9, 1))
    assert percentile(buckets, 0.9) == 1.0
    assert percentile(buckets, 0.91) is None


def test_empty_buckets_in_between_are_passed_over() -> None:
    assert percentile(Buckets((1.0, 2.0, 4.0), (0, 0, 10, 0)), 0.5) == 3.0
    assert percentile(Buckets((1.0, 2.0, 4.0), (5, 0, 5, 0)), 0.5) == 1.0


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_latencies_are_told_to_within_their_bucket(share: float) -> None:
    bounds = METRICS[REQUEST_SECONDS].bounds
    generator = random.Random(7)
    latencies = sorted(generator.lognormvariate(-6, 1) for _ in range(10_000))
    counts = [0] * (len(bounds) + 1)
    for one in latencies:
        counts[bisect.bisect_left(bounds, one)] += 1
    told = percentile(Buckets(bounds, counts), share)
    true = latencies[int(share * len(latencies))]
    assert told is not None
    place = bisect.bisect_left(bounds, true)
    assert bounds[place - 1] * 0.99 <= told <= bounds[place] * 1.01
