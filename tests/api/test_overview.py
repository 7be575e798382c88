"""What two snapshots say together."""

from typing import Any

import pytest

from gateway.api.overview import Overview, Snapshot, overview
from gateway.metrics import (
    CERTIFICATE_EXPIRY,
    DELIVERED_REPORTS_TOTAL,
    DTLS_HANDSHAKE_FAILURES_TOTAL,
    DTLS_HANDSHAKES_TOTAL,
    DTLS_HANDSHAKES_UNDER_WAY,
    DTLS_SESSIONS,
    PROCESS_CPU_SECONDS_TOTAL,
    PROCESS_RESIDENT_BYTES,
    PROCESS_START_TIMESTAMP_SECONDS,
    REQUEST_SECONDS,
    SINK_CONNECTED,
    SINK_ERRORS_TOTAL,
    SPOOL_BYTES,
    SPOOL_OLDEST_SECONDS,
    SUM,
    UPLINKS_TOTAL,
    WORKER_RESTARTS_TOTAL,
    Key,
)
from gateway.settings import Settings

T0 = 1_800_000_000_000


def of(old: dict[Key, float], new: dict[Key, float], seconds: float = 10.0, **settings: Any) -> Overview:
    made = Settings(_env_file=None, gateway_workers=2, **settings)
    return overview(Snapshot(T0, old), Snapshot(T0 + int(seconds * 1000), new), made, quarantined=3)


def test_rates_are_of_the_time_between() -> None:
    found = of(
        {(UPLINKS_TOTAL, "a", "2.01"): 100, (UPLINKS_TOTAL, "b", "2.01"): 10},
        {(UPLINKS_TOTAL, "a", "2.01"): 300, (UPLINKS_TOTAL, "b", "2.01"): 15, (UPLINKS_TOTAL, "b", "4.00"): 5},
    )
    assert (found.ts, found.window_s) == (T0 + 10_000, 10.0)
    assert (found.uplinks.total, found.uplinks.per_s) == (320, 21.0)
    assert [(one.code, one.total, one.per_s) for one in found.uplinks.codes] == [("2.01", 315, 20.5), ("4.00", 5, 0.5)]


def test_from_one_snapshot_there_are_no_rates() -> None:
    figures: dict[Key, float] = {
        (UPLINKS_TOTAL, "a", "2.01"): 100,
        (PROCESS_RESIDENT_BYTES, "api"): 7,
        (DTLS_HANDSHAKE_FAILURES_TOTAL, "unknown_ca"): 2,
    }
    found = of(figures, figures, seconds=0.0)
    assert (found.window_s, found.uplinks.per_s, found.uplinks.codes[0].per_s) == (0.0, None, None)
    assert (found.processes[0].cpu, found.sessions.failures[0].per_s) == (None, None)
    assert (found.latency.p50_ms, found.latency.p99_ms) == (None, None)


def test_percentiles_are_of_what_was_answered_in_between() -> None:
    old: dict[Key, float] = {(REQUEST_SECONDS, "plain", "10.0"): 1_000_000, (REQUEST_SECONDS, "plain", SUM): 9e6}
    found = of(
        old,
        {
            **old,
            (REQUEST_SECONDS, "plain", "0.0005"): 40,
            (REQUEST_SECONDS, "dtls", "0.0005"): 40,
            (REQUEST_SECONDS, "dtls", "0.001"): 20,
        },
    )
    assert found.latency.p50_ms == pytest.approx(0.3 + 0.2 * 50 / 80, abs=0.001)
    assert found.latency.p95_ms == pytest.approx(0.75 + 0.25 * 15 / 20, abs=0.001)
    assert found.latency.p99_ms == pytest.approx(0.75 + 0.25 * 19 / 20, abs=0.001)


def test_sessions_and_handshakes_are_told_by_alert() -> None:
    found = of(
        {(DTLS_HANDSHAKES_TOTAL, "psk", "full"): 5},
        {
            (DTLS_SESSIONS,): 7,
            (DTLS_HANDSHAKES_UNDER_WAY,): 2,
            (DTLS_HANDSHAKES_TOTAL, "psk", "full"): 10,
            (DTLS_HANDSHAKES_TOTAL, "x509", "resumed"): 5,
            (DTLS_HANDSHAKE_FAILURES_TOTAL, "unknown_ca"): 20,
        },
    ).sessions
    assert (found.established, found.handshakes_under_way) == (7, 2)
    assert (found.handshakes.total, found.handshakes.per_s) == (15, 1.0)
    assert [(one.alert, one.total, one.per_s) for one in found.failures] == [("unknown_ca", 20, 2.0)]


def test_a_sink_is_told_with_its_troubles_and_those_of_others_are_not_its_own() -> None:
    found = of(
        {},
        {
            (DELIVERED_REPORTS_TOTAL, "devices"): 50,
            (SINK_CONNECTED, "thingsboard"): 0,
            (SINK_ERRORS_TOTAL, "thingsboard", "unreachable"): 10,
            (SINK_ERRORS_TOTAL, "http", "busy"): 1,
        },
    ).sinks
    assert [(one.sink, one.connected, one.reports.total, one.reports.per_s) for one in found] == [
        ("devices", None, 50, 5.0),
        ("http", None, 0, 0.0),
        ("thingsboard", False, 0, 0.0),
    ]
    assert [[(one.trouble, one.total, one.per_s) for one in sink.errors] for sink in found] == [
        [],
        [("busy", 1, 0.1)],
        [("unreachable", 10, 1.0)],
    ]


def test_processes_take_a_share_of_a_cpu() -> None:
    figures: dict[Key, float] = {
        (PROCESS_CPU_SECONDS_TOTAL, "worker-0"): 12.5,
        (PROCESS_RESIDENT_BYTES, "worker-0"): 4096,
        (PROCESS_START_TIMESTAMP_SECONDS, "worker-0"): 1_700_000_000.5,
        (WORKER_RESTARTS_TOTAL,): 4,
    }
    found = of({(PROCESS_CPU_SECONDS_TOTAL, "worker-0"): 2.5}, figures)
    (one,) = found.processes
    assert (one.process, one.cpu, one.resident_bytes, one.started_ts) == ("worker-0", 1.0, 4096, 1_700_000_000_500)
    assert (found.workers, found.worker_restarts, found.quarantined) == (2, 4, 3)


def test_the_spool_and_the_certificates_are_told_as_they_stand() -> None:
    figures: dict[Key, float] = {
        (SPOOL_BYTES,): 1000,
        (SPOOL_OLDEST_SECONDS,): 2.5,
        (CERTIFICATE_EXPIRY, "server"): 1_900_000_000,
    }
    found = of({}, figures, gateway_spool_max_bytes=1 << 20)
    assert (found.spool.bytes, found.spool.bytes_max, found.spool.oldest_s) == (1000, 1 << 20, 2.5)
    assert [(one.role, one.expires_ts) for one in found.certificates] == [("server", 1_900_000_000_000)]


@pytest.mark.parametrize(
    ("mode", "schemes"), [("MIXED", ["coap", "coaps"]), ("DTLS", ["coaps"]), ("NO SECURE", ["coap"])]
)
def test_the_listeners_that_there_are_are_told(mode: str, schemes: list[str]) -> None:
    found = of({}, {}, coap_security_mode=mode, coap_bind_address="127.0.0.1")
    assert [one.scheme for one in found.listeners] == schemes
    assert all(one.port in (5683, 5684) for one in found.listeners)


def test_a_counter_that_went_back_has_not_grown() -> None:
    found = of({(UPLINKS_TOTAL, "a", "2.01"): 100}, {(UPLINKS_TOTAL, "a", "2.01"): 5})
    assert (found.uplinks.total, found.uplinks.per_s) == (5, 0.0)
