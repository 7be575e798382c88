"""How the gateway does: what two snapshots of its figures say, taken some seconds apart."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import BaseModel, Field

from gateway import __version__
from gateway.api.percentiles import Buckets, percentile
from gateway.metrics import (
    CERTIFICATE_EXPIRY,
    DELIVERED_REPORTS_TOTAL,
    DTLS_HANDSHAKE_FAILURES_TOTAL,
    DTLS_HANDSHAKES_TOTAL,
    DTLS_HANDSHAKES_UNDER_WAY,
    DTLS_SESSIONS,
    METRICS,
    NO_BOUND,
    PROCESS_CPU_SECONDS_TOTAL,
    PROCESS_RESIDENT_BYTES,
    PROCESS_START_TIMESTAMP_SECONDS,
    REQUEST_SECONDS,
    SINK_CONNECTED,
    SINK_ERRORS_TOTAL,
    SPOOL_BYTES,
    SPOOL_OLDEST_SECONDS,
    UPLINKS_TOTAL,
    WORKER_RESTARTS_TOTAL,
    Key,
    bound_text,
)
from gateway.model import Security
from gateway.settings import Settings

_PER_S: Final = "In a second, on the average over window_s; null where that is 0"


class Snapshot(NamedTuple):
    """The figures of one moment."""

    ts_ms: int
    """In milliseconds since 1970."""
    figures: Mapping[Key, float]


class Counted(BaseModel):
    """How often something happened."""

    total: int = Field(description="Since the gateway started")
    per_s: float | None = Field(description=_PER_S)


class Code(Counted):
    """Uplinks that were answered with one code."""

    code: str


class Uplinks(Counted):
    """Uplinks that were answered."""

    codes: list[Code]


class Latency(BaseModel):
    """How long the uplinks of the window took; null where there was none, or one took longer than can be told."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Failure(Counted):
    """DTLS handshakes that failed in one way."""

    alert: str


class Sessions(BaseModel):
    """DTLS sessions."""

    established: int
    handshakes_under_way: int
    handshakes: Counted
    failures: list[Failure]


class Spool(BaseModel):
    """What waits for the sinks."""

    bytes: int
    bytes_max: int
    oldest_s: float = Field(description="Age of the oldest uplink; 0 where nothing waits")


class Trouble(Counted):
    """Times that a sink could not deliver, for one reason."""

    trouble: str


class Sink(BaseModel):
    """Where reports go."""

    sink: str
    connected: bool | None = Field(description="null for a sink without a connection")
    reports: Counted
    errors: list[Trouble]


class Certificate(BaseModel):
    """When the first certificate of a role expires."""

    role: str
    expires_ts: int = Field(description="In milliseconds since 1970")


class Process(BaseModel):
    """One of the gateway's processes."""

    process: str
    started_ts: int = Field(description="In milliseconds since 1970")
    cpu: float | None = Field(description="Share of one CPU over window_s; null where that is 0")
    resident_bytes: int


class Listener(BaseModel):
    """Where devices are listened to."""

    scheme: str
    address: str
    port: int


class Overview(BaseModel):
    """How the gateway does."""

    ts: int = Field(description="In milliseconds since 1970")
    window_s: float = Field(description="What rates and latency are of; 0 where nobody has looked for a while")
    version: str
    listeners: list[Listener]
    uplinks: Uplinks
    latency: Latency
    sessions: Sessions
    spool: Spool
    sinks: list[Sink]
    quarantined: int = Field(description="Uplinks in the quarantine")
    certificates: list[Certificate]
    workers: int
    worker_restarts: int
    processes: list[Process]


class Span:
    """Two snapshots, of which the older may be the newer one itself."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self._old: dict[tuple[str, ...], float] = dict(old.figures.items())
        self._new: dict[tuple[str, ...], float] = dict(new.figures.items())
        self.seconds = (new.ts_ms - old.ts_ms) / 1000

    def now(self, name: str, *labels: str) -> float:
        """A figure as it stands."""
        return self._new.get((name, *labels), 0)

    def grown(self, name: str, *labels: str) -> float:
        """By how much a figure has grown."""
        key = (name, *labels)
        return max(0.0, self._new.get(key, 0) - self._old.get(key, 0))

    def per_s(self, name: str, *labels: str) -> float | None:
        """How fast it grew."""
        return round(self.grown(name, *labels) / self.seconds, 3) if self.seconds > 0 else None

    def by_label(self, name: str, label: str) -> dict[str, Counted]:
        """A counter by the values of one of its labels."""
        place = METRICS[name].labels.index(label) + 1
        return {
            value: self.counted(name, place, value)
            for value in sorted({key[place] for key in self._new if key[0] == name})
        }

    def counted(self, name: str, place: int = 0, value: str = "") -> Counted:
        """A counter, of all its series or of those with this value at that place of their keys."""
        keys = [key for key in self._new if key[0] == name and (not place or key[place] == value)]
        rate = sum(self.grown(*key) for key in keys) / self.seconds if self.seconds > 0 else None
        return Counted(total=int(sum(self._new[key] for key in keys)), per_s=None if rate is None else round(rate, 3))

    def values(self, name: str) -> list[str]:
        """The values of the first label of a metric."""
        return sorted({key[1] for key in self._new if key[0] == name})


def overview(old: Snapshot, new: Snapshot, settings: Settings, *, quarantined: int) -> Overview:
    """What there is to say at the time of `new`."""
    span = Span(old, new)
    uplinks = span.counted(UPLINKS_TOTAL)
    codes = span.by_label(UPLINKS_TOTAL, "code")
    return Overview(
        ts=new.ts_ms,
        window_s=span.seconds,
        version=__version__,
        listeners=_listeners(settings),
        uplinks=Uplinks(
            **uplinks.model_dump(), codes=[Code(code=code, **one.model_dump()) for code, one in codes.items()]
        ),
        latency=_latency(span),
        sessions=_sessions(span),
        spool=Spool(
            bytes=int(span.now(SPOOL_BYTES)),
            bytes_max=settings.gateway_spool_max_bytes,
            oldest_s=span.now(SPOOL_OLDEST_SECONDS),
        ),
        sinks=_sinks(span),
        quarantined=quarantined,
        certificates=[
            Certificate(role=role, expires_ts=int(span.now(CERTIFICATE_EXPIRY, role) * 1000))
            for role in span.values(CERTIFICATE_EXPIRY)
        ],
        workers=settings.workers,
        worker_restarts=int(span.now(WORKER_RESTARTS_TOTAL)),
        processes=[_process(span, process) for process in span.values(PROCESS_RESIDENT_BYTES)],
    )


def _listeners(settings: Settings) -> list[Listener]:
    found = []
    if settings.plain_listener:
        found.append((Security.PLAIN, settings.coap_bind_address, settings.coap_bind_port))
    if settings.dtls_listener:
        found.append((Security.DTLS, settings.coap_dtls_bind_address, settings.coap_dtls_bind_port))
    return [Listener(scheme=scheme.value, address=str(address), port=port) for scheme, address, port in found]


def _latency(span: Span) -> Latency:
    bounds = METRICS[REQUEST_SECONDS].bounds
    texts = (*map(bound_text, bounds), NO_BOUND)
    counts = [
        sum(int(span.grown(REQUEST_SECONDS, security, text)) for security in span.values(REQUEST_SECONDS))
        for text in texts
    ]
    buckets = Buckets(bounds, counts)

    def in_ms(share: float) -> float | None:
        seconds = percentile(buckets, share)
        return None if seconds is None else round(seconds * 1000, 3)

    return Latency(p50_ms=in_ms(0.5), p95_ms=in_ms(0.95), p99_ms=in_ms(0.99))


def _sessions(span: Span) -> Sessions:
    failures = span.by_label(DTLS_HANDSHAKE_FAILURES_TOTAL, "alert")
    return Sessions(
        established=int(span.now(DTLS_SESSIONS)),
        handshakes_under_way=int(span.now(DTLS_HANDSHAKES_UNDER_WAY)),
        handshakes=span.counted(DTLS_HANDSHAKES_TOTAL),
        failures=[Failure(alert=alert, **one.model_dump()) for alert, one in failures.items()],
    )


def _sinks(span: Span) -> list[Sink]:
    delivered = span.by_label(DELIVERED_REPORTS_TOTAL, "sink")
    connected = span.values(SINK_CONNECTED)
    troubled = span.values(SINK_ERRORS_TOTAL)
    return [
        Sink(
            sink=sink,
            connected=bool(span.now(SINK_CONNECTED, sink)) if sink in connected else None,
            reports=delivered.get(sink, Counted(total=0, per_s=0.0 if span.seconds > 0 else None)),
            errors=_troubles(span, sink) if sink in troubled else [],
        )
        for sink in sorted({*delivered, *connected, *troubled})
    ]


def _troubles(span: Span, sink: str) -> list[Trouble]:
    return [
        Trouble(
            trouble=trouble,
            total=int(span.now(SINK_ERRORS_TOTAL, sink, trouble)),
            per_s=span.per_s(SINK_ERRORS_TOTAL, sink, trouble),
        )
        for trouble in span.by_label(SINK_ERRORS_TOTAL, "trouble")
        if span.now(SINK_ERRORS_TOTAL, sink, trouble)
    ]


def _process(span: Span, process: str) -> Process:
    return Process(
        process=process,
        started_ts=int(span.now(PROCESS_START_TIMESTAMP_SECONDS, process) * 1000),
        cpu=span.per_s(PROCESS_CPU_SECONDS_TOTAL, process),
        resident_bytes=int(span.now(PROCESS_RESIDENT_BYTES, process)),
    )
