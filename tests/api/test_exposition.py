"""What `/metrics` answers, as Prometheus's own parser reads it."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.exposition import SERIES_MAX, exposition
from gateway.metrics import (
    CERTIFICATE_EXPIRY,
    CONVERSION_SECONDS,
    DTLS_SESSIONS,
    METRICS,
    REQUEST_SECONDS,
    SERIES_LEFT_OUT,
    SUM,
    UPLINKS_TOTAL,
    Key,
    Metrics,
)


def families(figures: Mapping[Key, float]) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(exposition(figures).decode())}


def values(figures: Mapping[Key, float], name: str) -> dict[tuple[str, ...], float]:
    family = families(figures)[name]
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_every_metric_is_there_with_its_kind_and_its_meaning() -> None:
    found = families({})
    assert len(found) == len(METRICS)
    for metric in METRICS.values():
        family = found[metric.name.removesuffix("_total")]
        assert family.type == metric.kind.value
        assert family.documentation == metric.help


def test_what_has_no_labels_is_0_before_anything_happened() -> None:
    assert values({}, DTLS_SESSIONS) == {(): 0}
    assert values({}, "gateway_worker_restarts") == {(): 0}
    assert values({}, "gateway_uplinks") == {}


def test_a_counters_series_have_their_labels() -> None:
    figures: dict[Key, float] = {(UPLINKS_TOTAL, "meters", "2.01"): 5.0, (UPLINKS_TOTAL, "meters", "4.00"): 1.0}
    family = families(figures)["gateway_uplinks"]
    assert [(one.name, one.labels, one.value) for one in family.samples] == [
        (UPLINKS_TOTAL, {"integration": "meters", "code": "2.01"}, 5.0),
        (UPLINKS_TOTAL, {"integration": "meters", "code": "4.00"}, 1.0),
    ]


def test_a_time_is_told_to_the_second() -> None:
    assert values({(CERTIFICATE_EXPIRY, "server"): 1_893_456_000.0}, CERTIFICATE_EXPIRY) == {
        ("server",): 1_893_456_000.0
    }


def test_a_histograms_buckets_are_cumulative_and_complete() -> None:
    metrics = Metrics()
    for security, observed in (("plain", [0.00005, 0.0004, 0.0004, 99.0]), ("dtls", [1.0])):
        for seconds in observed:
            metrics.histogram(REQUEST_SECONDS, security).observe(seconds)
    samples = families(metrics.snapshot())[REQUEST_SECONDS].samples
    for security, count, total in (("plain", 4, 99.00085), ("dtls", 1, 1.0)):
        own = [sample for sample in samples if sample.labels["security"] == security]
        buckets = [(float(one.labels["le"]), one.value) for one in own if one.name.endswith("_bucket")]
        assert [bound for bound, _ in buckets] == [*METRICS[REQUEST_SECONDS].bounds, float("inf")]
        assert all(lower <= upper for (_, lower), (_, upper) in pairwise(buckets))
        assert buckets[-1][1] == count
        rest = {one.name: one.value for one in own if not one.name.endswith("_bucket")}
        assert rest[f"{REQUEST_SECONDS}_count"] == count
        assert rest[f"{REQUEST_SECONDS}_sum"] == pytest.approx(total)
    plain = {
        one.labels["le"]: one.value for one in samples if one.labels.get("security") == "plain" and "le" in one.labels
    }
    assert (plain["0.0001"], plain["0.0003"], plain["0.0005"], plain["10.0"], plain["+Inf"]) == (1, 1, 3, 3, 4)


@pytest.mark.parametrize("name", ['with "quotes"', "back\\slash", "two\nlines", "ünïcode", "{}", "a=b,c"])
def test_a_name_of_the_catalogue_comes_out_as_it_is(name: str) -> None:
    (sample,) = families({(UPLINKS_TOTAL, name, "2.01"): 1.0})["gateway_uplinks"].samples
    assert (sample.labels, sample.value) == ({"integration": name, "code": "2.01"}, 1.0)


@pytest.mark.parametrize(("integrations", "left_out"), [(SERIES_MAX, 0), (SERIES_MAX + 1, 1), (SERIES_MAX + 500, 500)])
def test_a_metric_with_too_many_series_says_how_many_are_missing(integrations: int, left_out: int) -> None:
    figures: dict[Key, float] = {(UPLINKS_TOTAL, f"i-{number}", "2.01"): 1.0 for number in range(integrations)}
    assert len(values(figures, "gateway_uplinks")) == integrations - left_out
    assert values(figures, SERIES_LEFT_OUT) == {(): left_out}


def test_a_histogram_with_too_many_series_does_too() -> None:
    figures: dict[Key, float] = {}
    for number in range(SERIES_MAX + 2):
        figures |= {(CONVERSION_SECONDS, f"c-{number}", "0.001"): 1.0, (CONVERSION_SECONDS, f"c-{number}", SUM): 0.001}
    converters = {one.labels["converter"] for one in families(figures)[CONVERSION_SECONDS].samples}
    assert len(converters) == SERIES_MAX
    assert values(figures, SERIES_LEFT_OUT) == {(): 2}
