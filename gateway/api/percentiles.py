"""Percentiles of a histogram, as Prometheus's `histogram_quantile` has them."""

from collections.abc import Sequence
from typing import NamedTuple


class Buckets(NamedTuple):
    """How many values fell between each two bounds."""

    bounds: Sequence[float]
    """The upper ones, rising; the last bucket has none."""
    counts: Sequence[int]
    """One for each bucket, one more than there are bounds."""


def percentile(buckets: Buckets, share: float) -> float | None:
    """The value that this share (0 to 1) of all does not exceed, as if a bucket's values were evenly spread in it.

    None where there are no values, or where it is in the last bucket, of which nobody knows how far it reaches.
    """
    wanted = sum(buckets.counts) * share
    if not wanted:
        return None
    below, lower = 0, 0.0
    for upper, count in zip(buckets.bounds, buckets.counts, strict=False):
        if count and below + count >= wanted:
            return lower + (upper - lower) * (wanted - below) / count
        below, lower = below + count, upper
    return None
