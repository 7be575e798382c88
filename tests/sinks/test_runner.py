"""A sink at work: what arrives, in which order, how often, and what becomes of the rest."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from gateway.errors import UnavailableError
from gateway.metrics import DELIVERED_REPORTS_TOTAL, SINK_ERRORS_TOTAL, SINK_REFUSED_REPORTS_TOTAL, Metrics
from gateway.model import StoredReport
from gateway.sinks import handover, runner
from gateway.sinks.runner import SinkHost, SinkRunner
from gateway.sinks.sink import SinkError, Trouble
from gateway.storage.sink_store import Position, SinkStore, SinkView
from gateway.storage.update_only import UpdateOnly

from .scripted_sink import ScriptedSink
from .spools import Spools, failed, stored

WAIT_S = 20.0


class Running:
    """A runner on a data directory, and what went to the quarantine."""

    def __init__(self, data_dir: Path, sink: ScriptedSink) -> None:
        self.data_dir = data_dir
        self.sink = sink
        self.spools = Spools(data_dir)
        self.metrics = Metrics()
        self.quarantined: list[tuple[str, str]] = []
        self.quarantine_error: Exception | None = None
        self.update_only: UpdateOnly = {}
        self.runner = self._new_runner()

    def _new_runner(self) -> SinkRunner:
        host = SinkHost(self.sink.name, self.data_dir, self.metrics)
        return SinkRunner(self.sink, host, self.data_dir, update_only=lambda: self.update_only, refuse=self._quarantine)

    def _quarantine(self, report: StoredReport, reason: str) -> "Future[int]":
        future: Future[int] = Future()
        if self.quarantine_error is not None:
            future.set_exception(self.quarantine_error)
        else:
            self.quarantined.append((report.name, reason))
            future.set_result(0)
        return future

    def commit(self, first: int, count: int) -> list[str]:
        """A batch of devices' reports; gives their names."""
        names = [f"SN-{number}" for number in range(first, first + count)]
        self.spools.commit(0, [stored(name, first + one) for one, name in enumerate(names)])
        return names

    def start(self) -> None:
        self.runner.start()

    def stop(self) -> None:
        self.runner.ask_to_stop()
        self.runner.stop(5.0)

    def restart(self) -> None:
        """As after the gateway's restart."""
        self.stop()
        self.runner = self._new_runner()
        self.start()

    def until(self, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.runner.status, self.sink.calls, self.sink.arrived[-5:])
            time.sleep(0.005)

    def until_done(self) -> None:
        self.until(lambda: self.runner.waiting().uplinks == 0)

    @property
    def state(self) -> str:
        return self.runner.status.state


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(runner, "LONGEST_PAUSE_S", 0.02)
    it = Running(tmp_path, ScriptedSink())
    yield it
    if it.runner._thread.is_alive():
        it.stop()


def test_everything_arrives_once_and_in_order(running: Running) -> None:
    names = running.commit(0, 23) + running.commit(23, 1)
    running.start()
    running.until_done()
    names += running.commit(24, 7)
    running.until_done()
    assert running.sink.arrived == names
    assert running.sink.sessions == 1
    assert running.metrics.counters[DELIVERED_REPORTS_TOTAL, "scripted"] == len(names)
    assert running.runner.status.delivered == len(names)


def test_several_portions_are_under_way_at_a_time(running: Running) -> None:
    running.sink.portion_bytes = 1
    running.sink.confirms = False
    names = []
    for first in range(0, 3000, 500):  # each more than a spool's share of a portion
        names += running.commit(first, 500)
    running.start()
    running.until(lambda: len(running.sink.calls) == 2)


def test_it_goes_on_after_a_restart_where_it_was(running: Running) -> None:
    names = running.commit(0, 12)
    running.start()
    running.until_done()
    running.restart()
    names += running.commit(12, 3)
    running.until_done()
    assert running.sink.arrived == names


def test_a_lost_connection_repeats_no_more_than_what_was_under_way(running: Running) -> None:
    names = running.commit(0, 40)
    running.sink.loses_after = 4
    running.start()
    running.until_done()
    assert running.sink.arrived == names  # each parcel was on record when the next one was sent
    assert running.sink.sessions == 2
    assert running.metrics.counters[SINK_ERRORS_TOTAL, "scripted", "unreachable"] == 1


def test_what_was_not_confirmed_is_sent_again_after_the_next_start(running: Running) -> None:
    names = running.commit(0, 5)
    running.sink.confirms = False
    running.start()
    running.until(lambda: running.sink.arrived)
    running.runner.stop(0.0)
    running.sink.confirms = True
    running.restart()
    running.until_done()
    assert running.sink.arrived == names + names


def test_an_unreachable_receiver_is_tried_again_and_told_of_once(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.commit(0, 3)
    running.sink.unreachable = SinkError(Trouble.REFUSED, "it does not let us in", hint="set the token")
    with caplog.at_level(logging.INFO):
        running.start()
        running.until(lambda: running.metrics.counters[SINK_ERRORS_TOTAL, "scripted", "refused"] >= 5)
        assert running.state == "refused"
        last = running.runner.status.last_error
        assert last is not None
        assert (last.trouble, last.message, last.hint) == ("refused", "it does not let us in", "set the token")
        running.sink.unreachable = None
        running.until_done()
        running.until(lambda: running.state == "connected")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "sink scripted (nowhere) is refused, reports stay in the spools: it does not let us in; set the token",
        "sink scripted is connected: nowhere",
        "sink scripted delivers again",
    ]


@pytest.mark.parametrize("poison", [{"SN-0"}, {"SN-7"}, {"SN-22"}, {"SN-3", "SN-4", "SN-17"}, {"SN-20", "SN-21"}])
def test_what_is_refused_goes_to_the_quarantine_and_the_rest_goes_on_in_order(
    running: Running, poison: set[str]
) -> None:
    names = running.commit(0, 23)
    running.sink.refused = poison
    running.start()
    running.until_done()
    assert running.quarantined == [(name, "it is poison") for name in names if name in poison]
    last = {name: number for number, name in enumerate(running.sink.arrived)}
    assert sorted(last, key=last.__getitem__) == [name for name in names if name not in poison]
    assert running.metrics.counters[SINK_REFUSED_REPORTS_TOTAL, "scripted"] == len(poison)
    assert running.runner.status.refused == len(poison)
    assert running.runner.status.delivered == len(names) - len(poison)
    assert running.sink.sessions == 1


def test_a_report_that_can_not_be_quarantined_is_not_given_up(running: Running) -> None:
    names = running.commit(0, 4)
    running.sink.refused = {"SN-1"}
    running.quarantine_error = UnavailableError("no room left", hint="make room")
    running.start()
    running.until(lambda: running.state == "misconfigured")
    assert running.quarantined == []
    running.quarantine_error = None
    running.until_done()
    assert running.quarantined == [("SN-1", "it is poison")]
    assert running.sink.arrived[-2:] == names[-2:]


def test_a_receiver_that_closes_at_a_record_loses_that_one_alone(running: Running) -> None:
    names = running.commit(0, 200)
    running.sink.closes_at = {"SN-77"}
    running.start()
    running.until_done()
    assert [name for name, _ in running.quarantined] == ["SN-77"]
    assert "the connection was closed 3 times when this was sent" in running.quarantined[0][1]
    assert list(dict.fromkeys(running.sink.arrived)) == [name for name in names if name != "SN-77"]
    running.sink.calls.clear()
    running.commit(200, 1000)
    running.until_done()
    assert max(running.sink.calls) > 500  # portions are large again


def test_an_outage_is_no_poison(running: Running) -> None:
    names = running.commit(0, 5)
    running.sink.closes_at = set(names)
    running.start()
    running.until(lambda: running.sink.sessions >= 2)
    running.sink.closes_at = set()
    running.until_done()
    assert running.quarantined == []
    assert running.sink.arrived == names


def test_what_can_not_be_recorded_is_not_delivered_again_and_again(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = running.commit(0, 40)
    full: list[bool] = []
    record = SinkStore.record

    def recording(store: SinkStore, positions: dict[str, Position]) -> None:
        if full:
            raise UnavailableError("no room left", hint="make room")
        record(store, positions)

    def trying(store: SinkStore) -> None:
        if full:
            raise UnavailableError("no room left", hint="make room")

    monkeypatch.setattr(SinkStore, "record", recording)
    monkeypatch.setattr(SinkStore, "try_out", trying)
    running.sink.before_parcel = lambda: full.append(True) if len(running.sink.arrived) == 20 else None
    running.start()
    running.until(lambda: running.metrics.counters[SINK_ERRORS_TOTAL, "scripted", "misconfigured"] >= 5)
    assert len(running.sink.arrived) <= 40
    running.sink.before_parcel = lambda: None
    full.clear()
    running.until_done()
    assert list(dict.fromkeys(running.sink.arrived)) == names
    assert len(running.sink.arrived) <= 60


def test_what_only_a_converter_failed_on_is_passed_by(running: Running) -> None:
    running.spools.commit(0, [failed(1), failed(2)])
    running.start()
    running.until_done()
    with SinkView(running.data_dir) as view:
        assert [*view.positions("scripted").values()] == [Position(2, 0)]
    assert running.sink.arrived == []


def test_values_that_stay_the_same_are_sent_once_and_again_after_a_failure(running: Running) -> None:
    running.update_only = {"demo": {"t"}}
    running.start()

    def take(ms: int, value: int) -> None:
        running.spools.commit(0, [stored("a", ms, t=value)])
        running.until_done()

    for ms, value in ((1, 5), (2, 5), (3, 6), (4, 6)):
        take(ms, value)
    assert [record.report.telemetry for record in running.sink.reports if record.report.telemetry] == [
        [(1, {"t": 5})],
        [(3, {"t": 6})],
    ]
    running.sink.loses_after = 0
    take(5, 6)
    assert running.sink.reports[-1].report.telemetry == [(5, {"t": 6})]


def test_a_stop_delivers_what_is_there(running: Running) -> None:
    names = running.commit(0, 50)
    running.start()
    running.until(lambda: running.sink.arrived)
    running.stop()
    assert running.sink.arrived == names
    assert running.state == "stopped"


def test_a_stop_does_not_wait_for_a_receiver_that_never_confirms(running: Running) -> None:
    running.commit(0, 5)
    running.sink.confirms = False
    running.start()
    running.until(lambda: running.sink.arrived)
    running.runner.ask_to_stop()
    running.runner.stop(0.1)
    assert running.state == "stopped"


def test_a_stop_does_not_wait_for_the_next_attempt(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 1000.0)
    running.sink.unreachable = SinkError(Trouble.UNREACHABLE, "nobody answers", hint="")
    running.start()
    running.until(lambda: running.state == "unreachable")
    running.stop()
    assert running.state == "stopped"


def test_a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_asks(running: Running) -> None:
    running.commit(0, 1)
    running.sink.unreachable = SinkError(Trouble.BUSY, "come again", hint="", retry_after_s=0.3)
    running.start()
    running.until(lambda: running.state == "busy")
    running.sink.unreachable = None
    assert running.sink.sessions == 0
    running.until_done()


def test_the_limits_of_caution_fit_together() -> None:
    assert handover.MOST_LIMIT * handover.CAUTION < handover.NO_LIMIT
