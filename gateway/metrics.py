"""Every figure that the gateway counts: name, kind, meaning and labels, in one place.

Names end in their unit or in `_total`. Labels come from small fixed sets or from the catalogue, never from packets.
`docs/metrics.md` and what `/metrics` says of each are made from this.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str, *tuple[str, ...]]
"""A metric's name and its label values, in the order of its declaration. A histogram's figures have one value more: a
bucket's upper bound, for how many fell between the bound before and this one, or `sum`, for the sum of all."""


class Kind(StrEnum):
    """What may become of a figure; the values are Prometheus's."""

    COUNTER = "counter"
    """It only grows; what processes of before counted stays in."""
    GAUGE = "gauge"
    """It is as it is now; a process that ends takes its own along."""
    HISTOGRAM = "histogram"
    """Counters, one for each bucket."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    of_all: Callable[[Iterable[float]], float] = sum
    """How the figures of several processes become one."""
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, in its unit, without the last one, which has none."""


METRICS: Final[dict[str, Metric]] = {}
"""All of them, by name."""

NO_BOUND: Final = "+Inf"
"""The upper bound of a histogram's last bucket, as Prometheus writes it."""

SUM: Final = "sum"


def _counter(name: str, help: str, *labels: str) -> str:
    METRICS[name] = Metric(name, Kind.COUNTER, help, labels)
    return name


def _gauge(name: str, help: str, *labels: str, of_all: Callable[[Iterable[float]], float] = sum) -> str:
    METRICS[name] = Metric(name, Kind.GAUGE, help, labels, of_all)
    return name


def _histogram(name: str, help: str, *labels: str, bounds: tuple[float, ...]) -> str:
    assert all(lower < upper for lower, upper in pairwise(bounds))
    METRICS[name] = Metric(name, Kind.HISTOGRAM, help, labels, bounds=bounds)
    return name


# -- uplinks -----------------------------------------------------------------------------------------

UPLINKS_TOTAL = _counter("gateway_uplinks_total", "Uplinks answered, by response code.", "integration", "code")

REQUEST_SECONDS = _histogram(
    "gateway_request_seconds",
    "Time from when an uplink's datagram was read (the last one's where it came in blocks) to when its answer was "
    "ready, which for those that are stored is after the commit. Each uplink that is answered counts.",
    "security",
    # Below 2 s each is twice the one before at the most, so that a percentile is told to within some tenths.
    bounds=(
        *(0.0001, 0.0002, 0.0003, 0.0005, 0.00075),
        *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075),
        *(0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
        *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
        *(1.0, 2.0, 5.0, 10.0),
    ),
)

FORBIDDEN_TOTAL = _counter(
    "gateway_forbidden_total", "Uplinks refused because of who their session belongs to.", "integration"
)

DATAGRAMS_DROPPED_TOTAL = _counter(
    "gateway_datagrams_dropped_total", "CoAP datagrams dropped without an answer.", "reason"
)

DUPLICATES_TOTAL = _counter("gateway_duplicates_total", "Messages recognised as duplicates (RFC 7252 §4.5).")

DEDUP_EVICTED_TOTAL = _counter(
    "gateway_dedup_evicted_total",
    "Message IDs forgotten before their 247 s were over, because the table was full.",
)

BRIDGE_REFUSED_TOTAL = _counter(
    "gateway_bridge_refused_total", "Messages answered 5.03 because the slow lane was over its rate."
)

SEPARATE_RESPONSES_TOTAL = _counter(
    "gateway_separate_responses_total",
    "Responses that missed the piggyback time-out, by result: acknowledged, reset, lost, or unconfirmed (sent once, "
    "because too many others wait to be confirmed).",
    "result",
)

# -- DTLS --------------------------------------------------------------------------------------------

DTLS_SESSIONS = _gauge("gateway_dtls_sessions", "DTLS sessions that are established now.")

DTLS_HANDSHAKES_UNDER_WAY = _gauge(
    "gateway_dtls_handshakes_under_way", "DTLS handshakes that have proved their address and are not complete."
)

DTLS_HANDSHAKES_TOTAL = _counter(
    "gateway_dtls_handshakes_total",
    "DTLS handshakes completed, by principal (psk, x509, rpk, none) and kind (full, resumed).",
    "principal",
    "kind",
)

DTLS_HANDSHAKE_FAILURES_TOTAL = _counter(
    "gateway_dtls_handshake_failures_total",
    "DTLS handshakes that failed, by alert; none where the peer fell silent.",
    "alert",
)

DTLS_LOCKOUTS_TOTAL = _counter(
    "gateway_dtls_lockouts_total",
    "Times that a host's handshakes were ignored for a while, because too many had failed.",
)

DTLS_SESSIONS_ENDED_TOTAL = _counter("gateway_dtls_sessions_ended_total", "DTLS sessions that ended.", "reason")

DTLS_SESSIONS_RESTORED_TOTAL = _counter(
    "gateway_dtls_sessions_restored_total", "DTLS sessions that were taken over from before a restart."
)

DTLS_ADDRESS_CHANGES_TOTAL = _counter(
    "gateway_dtls_address_changes_total",
    "Times that the peer of a session with a connection ID was heard from a new address (RFC 9146 §6).",
)

DTLS_DROPPED_TOTAL = _counter(
    "gateway_dtls_dropped_total", "DTLS records and datagrams dropped without a word.", "reason"
)

DTLS_RELAYED_TOTAL = _counter(
    "gateway_dtls_relayed_total",
    "Datagrams handed to the worker whose session they are for, by result: handed over, or lost for lack of room.",
    "result",
)

CERTIFICATE_EXPIRY = _gauge(
    "gateway_certificate_expiry_timestamp_seconds",
    "When the first certificate expires, in seconds since 1970, by role: server (its chain), trust (whom clients are "
    "trusted by).",
    "role",
    of_all=min,
)

# -- converters --------------------------------------------------------------------------------------

CONVERSION_SECONDS = _histogram(
    "gateway_conversion_seconds",
    "Time that a call of a converter took, with the check of its result. Measured, and counted, are the calls for what "
    "arrived in every 17th millisecond: about one in 17.",
    "converter",
    bounds=(0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
)

CONVERSION_ERRORS_TOTAL = _counter(
    "gateway_conversion_errors_total", "Uplinks that their converter failed on.", "integration"
)

CONVERTER_BLOCKS_TOTAL = _counter(
    "gateway_converter_blocks_total",
    "Times that a converter was blocked for a while or taken up again, by change: blocked, unblocked.",
    "converter",
    "change",
)

CONVERTER_OVER_BUDGET_TOTAL = _counter(
    "gateway_converter_over_budget_total",
    "Calls of a converter in Python that took longer than GATEWAY_PYTHON_TIME_BUDGET_MS.",
    "converter",
)

QUARANTINED_TOTAL = _counter(
    "gateway_quarantined_total",
    "Uplinks that their converter failed on, by result: kept; no room, because they were over their share of the "
    "spool; not stored, because the commit failed.",
    "integration",
    "result",
)

QUARANTINE_DROPPED_TOTAL = _counter(
    "gateway_quarantine_dropped_total",
    "Uplinks that left the quarantine, or never entered it, because of its bounds.",
)

EVENTS_DROPPED_TOTAL = _counter(
    "gateway_events_dropped_total",
    "Debug events that were lost because too many came at once, by where: worker, supervisor.",
    "where",
)

# -- spools and sinks --------------------------------------------------------------------------------

SPOOL_COMMITS_TOTAL = _counter("gateway_spool_commits_total", "Commits of a spool, by result: ok, failed.", "result")

SPOOL_BYTES = _gauge("gateway_spool_bytes", "Bytes of uplinks in the spools, which not every sink has taken yet.")

SPOOL_OLDEST_SECONDS = _gauge(
    "gateway_spool_oldest_seconds",
    "Age of the oldest uplink that not every sink has taken yet; 0 where there is none.",
    of_all=max,
)

DELIVERED_REPORTS_TOTAL = _counter("gateway_delivered_reports_total", "Reports that a sink took.", "sink")

SINK_MESSAGES_TOTAL = _counter(
    "gateway_sink_messages_total",
    "Messages that a sink sent, by kind, such as telemetry, attributes, connect.",
    "sink",
    "kind",
)

SINK_INCOMING_TOTAL = _counter(
    "gateway_sink_incoming_total",
    "Messages that a sink's receiver sent to us, by what became of them: attributes and rpc were kept; not kept, "
    "because they could not be stored; ignored, because they are not as they should be; dropped, because they are too "
    "large or too many.",
    "sink",
    "result",
)

SINK_ERRORS_TOTAL = _counter(
    "gateway_sink_errors_total",
    "Times that a sink could not deliver, by trouble: unreachable, refused, untrusted, silent, busy, misconfigured.",
    "sink",
    "trouble",
)

SINK_CONNECTED = _gauge("gateway_sink_connected", "Whether a sink has a connection: 1 or 0.", "sink")

SINK_REFUSED_REPORTS_TOTAL = _counter(
    "gateway_sink_refused_reports_total",
    "Reports that a receiver would not take; they are in the quarantine.",
    "sink",
)

SINK_NOT_CARRIED_TOTAL = _counter(
    "gateway_sink_not_carried_total",
    "What a sink's protocol has no place for: assets (whole reports), customers, groups.",
    "sink",
    "what",
)

SINK_REPEATED_REPORTS_TOTAL = _counter(
    "gateway_sink_repeated_reports_total",
    "Reports that were sent again because it was not known whether they had arrived.",
    "sink",
)

# -- processes ---------------------------------------------------------------------------------------

WORKER_RESTARTS_TOTAL = _counter("gateway_worker_restarts_total", "Workers that ended unasked and were started again.")

PROCESS_CPU_SECONDS_TOTAL = _counter(
    "gateway_process_cpu_seconds_total",
    "CPU time of a process, of the user's and the kernel's, by process: supervisor, worker-N, api.",
    "process",
)

PROCESS_RESIDENT_BYTES = _gauge(
    "gateway_process_resident_bytes", "Memory that a process has in RAM, by process as above.", "process"
)

PROCESS_START_TIMESTAMP_SECONDS = _gauge(
    "gateway_process_start_timestamp_seconds", "When a process began, in seconds since 1970.", "process", of_all=max
)

BUILD_INFO = _gauge("gateway_build_info", "1, with the versions of the gateway and of Python.", "version", "python")

SERIES_LEFT_OUT = _gauge(
    "gateway_series_left_out", "Label values that /metrics leaves out, because their metric has too many."
)


class Histogram:
    """The counts of one histogram's buckets. Not thread-safe."""

    __slots__ = ("_bounds", "_counts", "_keys", "_sum", "_sum_key")

    def __init__(self, name: str, *labels: str) -> None:
        self._bounds = METRICS[name].bounds
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        texts = (*map(bound_text, self._bounds), NO_BOUND)
        self._keys = [_key(name, *labels, text) for text in texts]
        self._sum_key = _key(name, *labels, SUM)

    def observe(self, value: float, by: int = 1) -> None:
        """Count a value, `by` times."""
        self._counts[bisect_left(self._bounds, value)] += by
        self._sum += value * by

    def figures(self) -> Iterator[tuple[Key, float]]:
        """What is not 0."""
        for key, count in zip(self._keys, self._counts, strict=True):
            if count:
                yield key, count
        if self._sum:
            yield self._sum_key, self._sum


class Metrics:
    """The figures of one process, or of one of its threads. Only that may change them; any may take a snapshot."""

    __slots__ = ("_histograms", "_set", "counters")

    def __init__(self) -> None:
        self.counters: Counter[Key] = Counter()
        self._set: dict[Key, float] = {}
        self._histograms: dict[Key, Histogram] = {}

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Add `by` to a counter."""
        self.counters[(name, *labels)] += by

    def set(self, name: str, *labels: str, value: float) -> None:
        """Say how a gauge stands; or a counter that something else counts."""
        self._set[(name, *labels)] = value

    def unset(self, name: str, *labels: str) -> None:
        """Say that there is nothing to say of a gauge."""
        self._set.pop((name, *labels), None)

    def histogram(self, name: str, *labels: str) -> Histogram:
        """A histogram, always the same one: to be kept by who observes often."""
        histogram = self._histograms.get((name, *labels))
        if histogram is None:
            histogram = self._histograms[(name, *labels)] = Histogram(name, *labels)
        return histogram

    def snapshot(self) -> Mapping[Key, float]:
        """The figures as they stand."""
        figures: dict[Key, float] = {**self.counters, **self._set}
        for histogram in list(self._histograms.values()):
            figures.update(histogram.figures())
        return figures


def _key(name: str, *labels: str) -> Key:
    return (name, *labels)


def bound_text(bound: float) -> str:
    """A bucket's upper bound as keys and Prometheus have it, such as `0.0005`."""
    text = f"{bound:.9f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
