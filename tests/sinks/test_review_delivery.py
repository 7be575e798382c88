"""What must not happen between the spools and a sink: loss, blame of the innocent, standing still, and no end."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import delivery as delivery_module
from gateway.delivery import Delivery
from gateway.errors import UnavailableError
from gateway.metrics import SINK_ERRORS_TOTAL, Metrics
from gateway.model import Delivery as Batch
from gateway.sinks import handover, runner
from gateway.sinks.sink import Record, SinkError, Taken, Trouble
from gateway.storage.devices import DeviceStore
from gateway.storage.sink_store import Position, SinkStore
from gateway.storage.spool import prepare_spool, spool_path
from gateway.storage.spool_reader import SpoolReader

from .records import settings_of
from .scripted_sink import ScriptedSession, ScriptedSink
from .spools import Spools, failed, stored
from .test_runner import Running

WAIT_S = 10.0


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    for pause in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "SEARCH_PAUSE_S"):
        monkeypatch.setattr(runner, pause, 0.01)
    it = Running(tmp_path, ScriptedSink())
    yield it
    if it.runner._thread.is_alive():
        it.stop()


def failing_record(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So often, no position can be recorded."""
    left = [times]
    record = SinkStore.record

    def recording(store: SinkStore, positions: Mapping[str, Position]) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise UnavailableError("no room left", hint="make room")
        record(store, positions)

    monkeypatch.setattr(SinkStore, "record", recording)


# -- nothing is lost -----------------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["SN-0", "SN-2", "SN-9"])
def test_what_is_sent_again_without_a_refused_record_is_sent_whole(running: Running, poison: str) -> None:
    running.update_only = {"demo": {"t"}}
    names = running.commit(0, 10)
    running.sink.refused = {poison}
    running.start()
    running.until_done()
    told = {record.report.name for record in running.sink.reports if record.report.telemetry}
    assert told == {name for name in names if name != poison}


def test_batches_of_a_restored_spool_are_not_taken_for_one_that_a_sink_has_half(tmp_path: Path) -> None:
    spools = Spools(tmp_path)
    spools.make(0)
    reader = SpoolReader(spool_path(tmp_path, 0))
    reader.close()
    with contextlib.closing(SinkStore(tmp_path, "jsonl")) as store:
        store.record({reader.identity: Position(1, 2)})
    lines = tmp_path / "lines"
    with delivering(tmp_path, gateway_jsonl_sink_path=str(lines)):
        spools.commit(0, [stored(name, 1) for name in "abc"])
        until(lambda: lines.exists() and lines.read_bytes().count(b"\n") >= 1)
    assert [json.loads(line)["deviceName"] for line in lines.read_text().splitlines()] == ["a", "b", "c"]


def test_a_sink_that_confirms_too_early_what_is_behind_a_refused_record_loses_nothing(tmp_path: Path) -> None:
    running = Running(tmp_path, HastySink())
    names = running.commit(0, 10)
    for first, count in ((10, 1000), (1010, 10)):  # more than a spool's share of a portion, and the next one
        names += [f"SN-{number}" for number in range(first, first + count)]
        running.spools.commit(1, [stored(f"SN-{number}", number) for number in range(first, first + count)])
    running.sink.refused = {"SN-2"}
    running.start()
    running.until_done()
    running.stop()
    assert [name for name, _ in running.quarantined] == ["SN-2"]
    assert set(running.sink.arrived) == set(names) - {"SN-2"}


class HastySink(ScriptedSink):
    """Confirms a session's second call before its first one."""

    portion_bytes = 1

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ScriptedSession]:
        self.sessions += 1
        yield HastySession(self)


class HastySession(ScriptedSession):
    def __init__(self, sink: ScriptedSink) -> None:
        super().__init__(sink)
        self._calls = 0
        self._second = asyncio.Event()

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        self._calls += 1
        if self._calls == 2:
            taken(len(records))
            self._second.set()
        else:
            await self._second.wait()
            await super().deliver(records, taken)


def test_a_position_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[dict[str, Position]] = []
    record = SinkStore.record

    def recording(store: SinkStore, positions: Mapping[str, Position]) -> None:
        recorded.append(dict(positions))
        record(store, positions)

    monkeypatch.setattr(SinkStore, "record", recording)
    running = Running(tmp_path, PairingSink())
    running.commit(0, 1000)  # more than a spool's share of a portion
    running.commit(1000, 1000)
    running.start()
    running.until_done()
    running.stop()
    (spool,) = recorded[-1]
    seen = [positions[spool] for positions in recorded if spool in positions]
    assert seen == sorted(seen)


class PairingSink(ScriptedSink):
    """Confirms two calls at once: the first one's is done before anybody looks at it, and so is the second one's."""

    portion_bytes = 1

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ScriptedSession]:
        yield PairingSession(self)


class PairingSession(ScriptedSession):
    def __init__(self, sink: ScriptedSink) -> None:
        super().__init__(sink)
        self._waiting = 0
        self._both = asyncio.Event()

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        self._waiting += 1
        before = self._waiting - 1
        if before:
            self._both.set()
        await self._both.wait()
        for _ in range(before + 1):
            await asyncio.sleep(0)
        taken(len(records))


# -- nobody is blamed for what others do -----------------------------------------------------------


def test_a_receiver_that_closes_at_whatever_comes_gets_few_records_into_the_quarantine(running: Running) -> None:
    names = running.commit(0, 40)
    running.sink.closes_at = set(names)
    running.start()
    running.until(lambda: running.sink.sessions >= 40)  # losses before portions are small, then 3, 6, 12, 24 …
    running.sink.closes_at = set()
    running.until_done()
    blamed = [name for name, _ in running.quarantined]
    assert blamed == names[: len(blamed)]
    assert len(blamed) <= 4
    assert running.sink.arrived == names[len(blamed) :]


def test_a_long_row_of_records_at_which_the_receiver_closes_gets_through(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MOST_STRIKES", 4)
    names = running.commit(0, 13)
    running.sink.closes_at = set(names[:12])
    running.start()
    running.until_done()
    assert [name for name, _ in running.quarantined] == names[:12]
    assert running.sink.arrived == names[12:]


def test_neighbours_at_which_the_receiver_closes_are_all_found(running: Running) -> None:
    names = running.commit(0, 12)
    poison = {"SN-3", "SN-4", "SN-9"}
    running.sink.closes_at = poison
    running.start()
    running.until_done()
    assert {name for name, _ in running.quarantined} == poison
    assert list(dict.fromkeys(running.sink.arrived)) == [name for name in names if name not in poison]


# -- nothing stands still, nothing piles up --------------------------------------------------------


def test_failed_uplinks_that_are_read_while_records_are_under_way_are_done_with_them(running: Running) -> None:
    running.sink.portion_bytes = 1
    names = running.commit(0, 1000)  # more than a spool's share of a portion
    running.spools.commit(0, [failed(1001)])
    running.start()
    running.until_done()
    assert running.sink.arrived == names
    assert running.sink.sessions == 1


def test_nothing_is_remembered_of_what_was_passed_by(running: Running) -> None:
    running.start()
    for ms in range(5):
        running.spools.commit(0, [failed(ms)])
        running.until_done()
    assert not running.runner._handover._taken


@pytest.mark.parametrize("what", ["records", "failed uplinks"])
def test_a_position_that_could_not_be_recorded_is_recorded_though_nothing_comes_behind_it(
    running: Running, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    failing_record(monkeypatch, 2)
    if what == "records":
        running.commit(0, 5)
    else:
        running.spools.commit(0, [failed(1)])
    running.start()
    running.until_done()
    assert running.metrics.counters[SINK_ERRORS_TOTAL, "scripted", "misconfigured"] >= 1


def test_a_receiver_that_asks_to_be_asked_again_at_once_is_not_asked_without_a_pause(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 0.05)
    running.sink.unreachable = SinkError(Trouble.BUSY, "come again", hint="", retry_after_s=0.0)
    began_s = time.monotonic()
    running.start()
    running.until(lambda: running.metrics.counters[SINK_ERRORS_TOTAL, "scripted", "busy"] >= 5)
    assert time.monotonic() - began_s >= 4 * 0.05


def test_what_is_asked_of_the_device_store_is_answered_though_nothing_can_be_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: DeviceStore, spool: str, deliveries: Sequence[Batch]) -> int:
        raise UnavailableError("no room left", hint="make room")

    monkeypatch.setattr(DeviceStore, "apply", full)
    monkeypatch.setattr(delivery_module, "RETRY_S", 0.01)
    Spools(tmp_path).commit(0, [stored("a", 1)])
    with delivering(tmp_path) as delivery:
        until(lambda: delivery.statuses()[0]["state"] == "unreachable")
        assert delivery.do(lambda store: store.outbox_identity).result(timeout=WAIT_S)


def test_a_refused_report_that_the_quarantine_has_no_room_for_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with delivering(tmp_path, gateway_quarantine_rows=0) as delivery:
        refusing = delivery.do(lambda store: delivery._refuse(store, stored("a", 1), "http", "too large"))
        assert refusing.result(timeout=WAIT_S) == 1
    assert [record.message.partition(":")[0] for record in caplog.records] == ["the quarantine is full"]


# -- it ends ---------------------------------------------------------------------------------------


class LookingUpSink(ScriptedSink):
    """Looks up an address that no name server answers for."""

    def __init__(self) -> None:
        super().__init__()
        self.looking = threading.Event()
        self.answer = threading.Event()
        self.gave_up = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ScriptedSession]:
        await asyncio.get_running_loop().run_in_executor(None, self._look_up)
        yield ScriptedSession(self)

    def _look_up(self) -> None:
        self.looking.set()
        self.gave_up = not self.answer.wait(WAIT_S)


def test_a_stop_does_not_wait_for_an_address_look_up(tmp_path: Path) -> None:
    sink = LookingUpSink()
    running = Running(tmp_path, sink)
    running.start()
    assert sink.looking.wait(WAIT_S)
    running.stop()
    assert running.state == "stopped"
    assert not running.runner._thread.is_alive()
    assert not sink.gave_up
    sink.answer.set()


def test_a_stop_leaves_behind_what_does_not_end(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "STOP_PATIENCE_S", 0.05)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:  # as a disk does
        hangs.set()
        goes_on.wait(WAIT_S)

    running.sink.before_parcel = hang
    running.commit(0, 1)
    running.start()
    assert hangs.wait(WAIT_S)
    running.runner.ask_to_stop()
    running.runner.stop(0.0)
    assert "does not end" in caplog.text
    goes_on.set()
    running.runner._thread.join(WAIT_S)
    assert not running.runner._thread.is_alive()


def test_a_connection_that_is_lost_while_it_stops_is_not_waited_for_once_more(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 1000.0)
    running.commit(0, 1)
    running.sink.before_parcel = running.runner.ask_to_stop
    running.sink.loses_after = 0
    running.start()
    running.runner._thread.join(WAIT_S)
    assert running.state == "stopped"


def test_a_start_does_not_wait_for_a_sink_that_can_have_no_loop(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left() -> asyncio.AbstractEventLoop:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.events, "new_event_loop", none_left)
        running.start()
        running.runner._thread.join(WAIT_S)
    assert running.state == "stopped"
    assert "sink scripted has ended" in caplog.text


# -- helpers ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def delivering(data_dir: Path, **values: Any) -> Iterator[Delivery]:
    """A delivery at work on a data directory."""
    prepare_spool(spool_path(data_dir, 0))
    settings = settings_of(gateway_data_dir=data_dir, gateway_workers=1, **values)
    it = Delivery(settings, on_delivered=lambda worker, batch: None, new_metrics=Metrics)
    it.start()
    try:
        yield it
    finally:
        it.stop(1.0)


def until(condition: object) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)
