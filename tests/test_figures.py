"""What the figures of several processes are together, whatever becomes of the processes."""

import asyncio
import os

from gateway.figures import Figures, added_up, figures_of
from gateway.metrics import (
    BUILD_INFO,
    CERTIFICATE_EXPIRY,
    DELIVERED_REPORTS_TOTAL,
    DTLS_SESSIONS,
    PROCESS_CPU_SECONDS_TOTAL,
    PROCESS_RESIDENT_BYTES,
    REQUEST_SECONDS,
    SPOOL_OLDEST_SECONDS,
    UPLINKS_TOTAL,
    WORKER_RESTARTS_TOTAL,
    Key,
)
from gateway.model import JsonValue

CREATED: Key = (UPLINKS_TOTAL, "meters", "2.01")
BUCKET: Key = (REQUEST_SECONDS, "plain", "0.001")
SUM: Key = (REQUEST_SECONDS, "plain", "sum")


def test_workers_are_added_up() -> None:
    figures = Figures(2)
    figures.take(0, [[*CREATED, 3], [DTLS_SESSIONS, 5], [*BUCKET, 2], [*SUM, 0.25]])
    figures.take(1, [[*CREATED, 4], [DTLS_SESSIONS, 1], [*BUCKET, 1], [*SUM, 0.5]])
    figures.take(0, [[*CREATED, 6]])
    totals = figures.totals()
    assert (totals[CREATED], totals[(DTLS_SESSIONS,)]) == (10, 6)
    assert (totals[BUCKET], totals[SUM]) == (3, 0.75)
    assert figures.count_sessions() == 6


def test_of_ages_the_highest_counts_and_of_expiries_the_first() -> None:
    figures = Figures(2)
    figures.take(0, [[SPOOL_OLDEST_SECONDS, 7.5], [CERTIFICATE_EXPIRY, "server", 2000]])
    figures.take(1, [[SPOOL_OLDEST_SECONDS, 3.0], [CERTIFICATE_EXPIRY, "server", 1000]])
    totals = figures.totals()
    assert totals[(SPOOL_OLDEST_SECONDS,)] == 7.5
    assert totals[(CERTIFICATE_EXPIRY, "server")] == 1000


def test_what_a_worker_has_counted_stays_when_it_ends_and_how_it_stood_goes() -> None:
    figures = Figures(1)
    for restarts in range(3):
        figures.take(0, [[*CREATED, 5], [*BUCKET, 5], [*SUM, 0.5], [DTLS_SESSIONS, 9]])
        figures.take(0, [[PROCESS_CPU_SECONDS_TOTAL, "worker-0", 1.5], [PROCESS_RESIDENT_BYTES, "worker-0", 100]])
        totals = figures.totals()
        assert totals[CREATED] == 5 * (restarts + 1)
        figures.worker_ended(0)
        totals = figures.totals()
        assert (totals[CREATED], totals[BUCKET]) == (5 * (restarts + 1), 5 * (restarts + 1))
        assert totals[SUM] == 0.5 * (restarts + 1)
        assert totals[(PROCESS_CPU_SECONDS_TOTAL, "worker-0")] == 1.5 * (restarts + 1)
        assert (DTLS_SESSIONS,) not in totals
        assert (PROCESS_RESIDENT_BYTES, "worker-0") not in totals
    assert figures.count_sessions() == 0


def test_a_figure_that_is_gone_is_forgotten() -> None:
    figures = Figures(1)
    figures.take(0, [[CERTIFICATE_EXPIRY, "trust", 1000]])
    figures.take(0, [[CERTIFICATE_EXPIRY, "trust", None], [CERTIFICATE_EXPIRY, "server", None]])
    assert not [key for key in figures.totals() if key[0] == CERTIFICATE_EXPIRY]


def test_the_supervisors_own_and_those_of_its_threads_are_in() -> None:
    figures = Figures(1)
    figures.of_another_thread().count(DELIVERED_REPORTS_TOTAL, "devices", by=7)
    figures.metrics.count(WORKER_RESTARTS_TOTAL)
    totals = figures.totals()
    assert (totals[(DELIVERED_REPORTS_TOTAL, "devices")], totals[(WORKER_RESTARTS_TOTAL,)]) == (7, 1)
    assert totals[(PROCESS_CPU_SECONDS_TOTAL, "supervisor")] > 0
    assert totals[(PROCESS_RESIDENT_BYTES, "supervisor")] > os.sysconf("SC_PAGE_SIZE")
    assert [value for key, value in totals.items() if key[0] == BUILD_INFO] == [1]


def test_figures_of_another_version_are_left_out() -> None:
    figures = Figures(1)
    figures.take(0, [["gateway_of_tomorrow_total", "x", 1]])
    figures.worker_ended(0)
    assert not [key for key in figures.totals() if key[0] == "gateway_of_tomorrow_total"]
    assert added_up([{("gateway_of_tomorrow_total",): 1}]) == {}


def test_the_command_answers_all_of_them() -> None:
    figures = Figures(1)
    figures.take(0, [[*CREATED, 3]])
    answer: JsonValue = asyncio.run(figures.commands["figures"](None))  # type: ignore[arg-type]
    assert figures_of(answer)[CREATED] == 3
    assert answer["ts"] > 1_700_000_000_000
