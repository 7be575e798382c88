"""The table of metrics, and the figures that a process keeps."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.metrics import (
    CONVERSION_SECONDS,
    METRICS,
    NO_BOUND,
    REQUEST_SECONDS,
    SPOOL_BYTES,
    SUM,
    UPLINKS_TOTAL,
    Kind,
    Metric,
    Metrics,
    bound_text,
)

DECLARED = METRICS.values()


@pytest.mark.parametrize("metric", DECLARED, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_wants_it_and_says_what_it_means(metric: Metric) -> None:
    assert re.fullmatch(r"gateway(_[a-z][a-z0-9]*)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    if metric.kind is Kind.HISTOGRAM:
        assert metric.name.endswith("_seconds")
        assert metric.bounds
    assert re.fullmatch(r"[A-Z0-9].*\.", metric.help)
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
    assert len(set(metric.labels)) == len(metric.labels)
    assert not {"le", "quantile"} & set(metric.labels)


def test_every_metric_that_is_used_is_declared() -> None:
    used = {
        name
        for file in (Path(__file__).parents[1] / "gateway").rglob("*.py")
        for name in re.findall(r'"(gateway_[a-z_]+(?:_total|_seconds|_bytes))"', file.read_text())
    }
    assert used <= METRICS.keys()


def test_bounds_of_latency_are_close_enough_for_percentiles() -> None:
    bounds = METRICS[REQUEST_SECONDS].bounds
    assert (bounds[0], bounds[-1]) == (0.0001, 10.0)
    assert all(upper / lower <= 2 or lower >= 2 for lower, upper in pairwise(bounds))


@pytest.mark.parametrize(
    ("bound", "text"), [(0.0001, "0.0001"), (0.00001, "0.00001"), (0.75, "0.75"), (1.0, "1.0"), (10.0, "10.0")]
)
def test_a_bound_is_written_as_prometheus_writes_it(bound: float, text: str) -> None:
    assert bound_text(bound) == text
    assert float(text) == bound


def test_a_value_falls_into_the_bucket_that_it_does_not_exceed() -> None:
    metrics = Metrics()
    histogram = metrics.histogram(CONVERSION_SECONDS, "c")
    for value in (0.0, 0.00001, 0.000011, 1.0, 1.5, 99.0):
        histogram.observe(value)
    histogram.observe(0.05, by=64)
    assert metrics.histogram(CONVERSION_SECONDS, "c") is histogram
    figures = {key[-1]: value for key, value in metrics.snapshot().items()}
    total = figures.pop(SUM)
    assert figures == {"0.00001": 2, "0.00003": 1, "0.1": 64, "1.0": 1, NO_BOUND: 2}
    assert total == pytest.approx(0.00001 + 0.000011 + 1.0 + 1.5 + 99.0 + 64 * 0.05)


def test_a_histogram_that_has_seen_nothing_takes_no_room() -> None:
    metrics = Metrics()
    metrics.histogram(REQUEST_SECONDS, "plain")
    assert metrics.snapshot() == {}


def test_a_snapshot_has_everything_and_stays_as_it_was() -> None:
    metrics = Metrics()
    metrics.count(UPLINKS_TOTAL, "meters", "2.01", by=3)
    metrics.set(SPOOL_BYTES, value=12)
    before = metrics.snapshot()
    metrics.count(UPLINKS_TOTAL, "meters", "2.01")
    metrics.unset(SPOOL_BYTES)
    metrics.unset(SPOOL_BYTES)
    assert before == {(UPLINKS_TOTAL, "meters", "2.01"): 3, (SPOOL_BYTES,): 12}
    assert metrics.snapshot() == {(UPLINKS_TOTAL, "meters", "2.01"): 4}
