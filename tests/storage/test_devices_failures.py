"""The device store when the disk is full or its process is killed: all of a call of `apply`, or nothing."""

import os
import signal
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.errors import UnavailableError
from gateway.model import Delivery
from gateway.storage import history as history_module
from gateway.storage.database import open_database
from gateway.storage.device_schema import FILE_NAME, MIGRATIONS
from gateway.storage.device_view import DeviceView, Sample
from gateway.storage.devices import DeviceStore
from tests.storage.processes import CONTEXT, WAIT_S, process
from tests.storage.reports import SPOOL, delivery, report

DEVICES = 50


def numbered(batch_id: int) -> Delivery:
    """A delivery that sets everything of every device to its own number, and adds a device and a key."""
    names = [*(f"SN-{n}" for n in range(DEVICES)), f"new with {batch_id}"]
    return delivery(
        batch_id,
        *(
            report(
                name,
                [(batch_id, {"n": batch_id, f"key {batch_id}": 0})],
                received_ms=batch_id,
                customer=f"C{batch_id}",
                attributes={"n": batch_id},
            )
            for name in names
        ),
    )


def check_applied_up_to(data_dir: Path, batch_id: int) -> None:
    """Everything in the store must be exactly what deliveries 1 to `batch_id` make of it."""
    with DeviceView(data_dir) as view:
        assert len(view.devices()) == (DEVICES + batch_id if batch_id else 0)
        for n in range(DEVICES if batch_id else 0):
            details = view.device(f"SN-{n}")
            assert (details.first_seen_ts, details.last_seen_ts) == (1, batch_id)
            assert details.customer == f"C{batch_id}"
            assert details.attributes == {"n": Sample(batch_id, batch_id)}
            assert details.telemetry["n"] == Sample(batch_id, batch_id)
            assert len(details.telemetry) == 1 + batch_id
            assert view.history(f"SN-{n}", "n") == [Sample(ts, ts) for ts in range(1, batch_id + 1)]
        for number in range(1, batch_id + 1):
            assert view.device(f"new with {number}").telemetry["n"] == Sample(number, number)


def limit_pages(store: DeviceStore, pages: int) -> None:
    """Let SQLite find the disk full where the file would grow beyond so many pages."""
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def pages(store: DeviceStore) -> int:
    ((count,),) = store._connection.execute("PRAGMA page_count").fetchall()
    return int(count)


# -- a full disk ---------------------------------------------------------------------------------------


def test_a_full_disk_changes_nothing_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [numbered(1)])
        limit_pages(store, pages(store) + 2)
        applied = 1
        with pytest.raises(UnavailableError, match="no room left") as caught:
            for batch_id in range(2, 100):
                store.apply(SPOOL, [numbered(batch_id)])
                applied = batch_id
        assert str(tmp_path) in caught.value.hint
        for _ in range(3):
            with pytest.raises(UnavailableError):
                store.apply(SPOOL, [numbered(applied + 1), numbered(applied + 2), numbered(applied + 3)])
            assert store.position(SPOOL) == applied
            check_applied_up_to(tmp_path, applied)
        limit_pages(store, 1 << 30)
        store.apply(SPOOL, [numbered(applied + 1), numbered(applied + 2)])
        assert store.position(SPOOL) == applied + 2
    check_applied_up_to(tmp_path, applied + 2)


def test_a_full_disk_while_a_run_is_sorted_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "RUN_ROWS", 2 * (DEVICES + 1) * 20)
    with DeviceStore(tmp_path) as store:
        for batch_id in range(1, 20):
            store.apply(SPOOL, [numbered(batch_id)])
        limit_pages(store, pages(store) + 5)
        with pytest.raises(UnavailableError, match="no room left"):
            store.apply(SPOOL, [numbered(20)])
        check_applied_up_to(tmp_path, 19)
        limit_pages(store, 1 << 30)
        store.apply(SPOOL, [numbered(20), numbered(21)])
    check_applied_up_to(tmp_path, 21)


def test_a_file_that_another_process_holds_too_long_is_unavailable_and_nothing_is_changed(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [numbered(1)])
        store._connection.execute("PRAGMA busy_timeout = 20").fetchall()
        other = open_database(tmp_path / FILE_NAME, migrations=MIGRATIONS)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            store.apply(SPOOL, [numbered(2)])
        check_applied_up_to(tmp_path, 1)
        other.close()
        store.apply(SPOOL, [numbered(2)])
    check_applied_up_to(tmp_path, 2)


def test_a_mistake_in_a_report_changes_nothing(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [numbered(1)])
        with pytest.raises(TypeError):
            store.apply(SPOOL, [numbered(2), delivery(3, report("SN-1", [(3, {"n": object()})]))])
        check_applied_up_to(tmp_path, 1)
        store.apply(SPOOL, [numbered(2)])
    check_applied_up_to(tmp_path, 2)


# -- kill -9 -------------------------------------------------------------------------------------------


def apply_and_die_at(data_dir: Path, statement: str) -> None:
    """Apply two deliveries, and be killed in the third as soon as SQLite begins that statement."""

    def die(sql: str) -> None:
        if sql.lstrip().startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    store = DeviceStore(data_dir)
    store.apply(SPOOL, [numbered(1)])
    store.apply(SPOOL, [numbered(2)])
    store._connection.set_trace_callback(die)
    store.apply(SPOOL, [numbered(3)])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO devices",
        "INSERT INTO series",
        "INSERT INTO device_seen",
        "UPDATE devices",
        "INSERT INTO attributes",
        "INSERT INTO latest",
        "INSERT INTO history_recent",
        "INSERT INTO positions",
        "COMMIT",
    ],
)
def test_a_kill_in_the_middle_of_apply_leaves_nothing_of_it(tmp_path: Path, statement: str) -> None:
    with process(apply_and_die_at, tmp_path, statement) as child:
        child.join(WAIT_S)
        assert child.exitcode == -signal.SIGKILL
    check_applied_up_to(tmp_path, 2)
    with DeviceStore(tmp_path) as store:
        assert store.position(SPOOL) == 2
        store.apply(SPOOL, [numbered(2), numbered(3)])
    check_applied_up_to(tmp_path, 3)


def apply_without_end(data_dir: Path, answer: Connection) -> None:
    """Apply delivery after delivery, sorting runs and checkpointing often, and tell of each that was applied."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(history_module, "RUN_ROWS", 250)
    store = DeviceStore(data_dir)
    store._connection.execute("PRAGMA wal_autocheckpoint = 20").fetchall()
    batch_id = store.position(SPOOL)
    while True:
        batch_id += 1
        store.apply(SPOOL, [numbered(batch_id)])
        answer.send(batch_id)


def test_kills_at_any_moment_lose_nothing_that_was_applied_and_repeat_nothing(tmp_path: Path) -> None:
    position = 0
    for more in (1, 7, 12):
        receiver, sender = CONTEXT.Pipe(duplex=False)
        with process(apply_without_end, tmp_path, sender) as child:
            told = 0
            while told < position + more:
                assert receiver.poll(WAIT_S)
                told = receiver.recv()
            child.kill()
            child.join(WAIT_S)
            while receiver.poll(0):
                told = receiver.recv()
        with DeviceStore(tmp_path) as store:
            position = store.position(SPOOL)
        assert position in (told, told + 1)
        check_applied_up_to(tmp_path, position)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
