"""The figures in Prometheus's text format."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway.metrics import METRICS, NO_BOUND, SERIES_LEFT_OUT, SUM, Key, Kind, Metric, bound_text

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

SERIES_MAX: Final = 1000
"""Most combinations of label values of a metric. A catalogue may hold more integrations than a scraper should get."""

_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_Series: TypeAlias = dict[tuple[str, ...], float]


def exposition(figures: Mapping[Key, float]) -> bytes:
    """All metrics, those that have counted nothing yet too, as `/metrics` answers them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures))
    return generate_latest(registry)


class _Figures(Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, figures: Mapping[Key, float]) -> None:
        self._series: defaultdict[str, _Series] = defaultdict(dict)
        for (name, *labels), value in figures.items():
            self._series[name][tuple(labels)] = value

    def collect(self) -> Iterator[_Family]:
        """Each metric with its series."""
        left_out = 0
        for metric in METRICS.values():
            if metric.name == SERIES_LEFT_OUT:
                continue
            series = self._series[metric.name]
            if not metric.labels and not series:
                series = {(): 0.0}
            if metric.kind is Kind.HISTOGRAM:
                family, more = _histogram(metric, series)
            else:
                family, more = _plain(metric, series)
            left_out += more
            yield family
        yield _plain(METRICS[SERIES_LEFT_OUT], {(): float(left_out)})[0]


def _plain(metric: Metric, series: _Series) -> tuple[_Family, int]:
    """A counter or gauge, and how many of its series are left out."""
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels in list(series)[:SERIES_MAX]:
        family.add_metric(labels, series[labels])
    return family, max(0, len(series) - SERIES_MAX)


def _histogram(metric: Metric, series: _Series) -> tuple[_Family, int]:
    """A histogram, likewise."""
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    texts = (*map(bound_text, metric.bounds), NO_BOUND)
    several = list(dict.fromkeys(labels[:-1] for labels in series))
    for labels in several[:SERIES_MAX]:
        counts = accumulate(series.get((*labels, text), 0) for text in texts)
        family.add_metric(labels, list(zip(texts, counts, strict=True)), series.get((*labels, SUM), 0))
    return family, max(0, len(several) - SERIES_MAX)
