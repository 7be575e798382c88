"""The quarantine in the device store: exactly once in, within its bounds, out in one transaction with the reports."""

from pathlib import Path

import pytest

from gateway.errors import NotFoundError, UnavailableError
from gateway.model import Delivery, FailedUplink, Principal
from gateway.storage.device_view import DeviceView
from gateway.storage.devices import DeviceStore
from gateway.storage.quarantine import ROW_OVERHEAD_BYTES, QuarantineView

from .reports import SPOOL, report

METADATA = {"Option:uri": "/i/k"}
SIZE = 4 + len('{"Option:uri":"/i/k"}') + len("broken") + ROW_OVERHEAD_BYTES


def uplink(payload: bytes = b"oops", integration: str = "meters", principal: Principal | None = None) -> FailedUplink:
    return FailedUplink(integration, 1_000, principal, payload, METADATA, "broken")


def delivered(batch_id: int, *failed: FailedUplink) -> Delivery:
    return Delivery(batch_id, [], failed)


def payloads(data_dir: Path, **chosen: object) -> list[bytes]:
    with QuarantineView(data_dir) as view:
        return [one.uplink.payload for one in view.uplinks(**chosen)]  # type: ignore[arg-type]


def test_an_uplink_comes_in_once_with_everything_that_it_takes_to_try_again(tmp_path: Path) -> None:
    whole = uplink(bytes(range(256)), principal=Principal("x509", "gw-7", sans=("a", "b")))
    with DeviceStore(tmp_path) as store:
        assert store.apply(SPOOL, [delivered(1, whole)]) == 0
        store.apply(SPOOL, [delivered(1, whole)])
        with QuarantineView(tmp_path) as view:
            ((one),) = view.uplinks()
            assert (one.id, one.uplink) == (1, whole)
            assert view.uplink(1) == one
            assert (view.size(), view.last_id()) == (1, 1)


def test_it_comes_in_with_the_reports_of_its_batch_or_not_at_all(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        with pytest.raises(UnavailableError):
            store.apply(SPOOL, [Delivery(1, [report("a")], [uplink(b"x" * 100_000)])])
        assert (store.position(SPOOL), payloads(tmp_path)) == (0, [])
        store._connection.execute("PRAGMA max_page_count = 100000").fetchall()
        store.apply(SPOOL, [Delivery(1, [report("a")], [uplink(b"x" * 100_000)])])
        assert (store.position(SPOOL), len(payloads(tmp_path))) == (1, 1)


@pytest.mark.parametrize(("count", "dropped"), [(2, 0), (3, 0), (4, 1), (9, 6)])
def test_beyond_the_rows_the_oldest_go_and_are_counted(tmp_path: Path, count: int, dropped: int) -> None:
    with DeviceStore(tmp_path, quarantine_rows=3) as store:
        assert store.apply(SPOOL, [delivered(1, *(uplink(b"%04d" % n) for n in range(count)))]) == dropped
    assert payloads(tmp_path) == [b"%04d" % n for n in range(dropped, count)]


@pytest.mark.parametrize(("count", "dropped"), [(2, 0), (3, 0), (4, 1), (9, 6)])
def test_beyond_the_bytes_the_oldest_go_and_are_counted(tmp_path: Path, count: int, dropped: int) -> None:
    with DeviceStore(tmp_path, quarantine_bytes=3 * SIZE) as store:
        for n in range(count):
            store.apply(SPOOL, [delivered(n + 1, uplink(b"%04d" % n))])
    assert payloads(tmp_path) == [b"%04d" % n for n in range(dropped, count)]


def test_one_that_is_larger_than_the_bound_drives_out_nobody(tmp_path: Path) -> None:
    with DeviceStore(tmp_path, quarantine_bytes=3 * SIZE) as store:
        assert store.apply(SPOOL, [delivered(1, uplink(), uplink(b"x" * 3 * SIZE))]) == 1
    assert payloads(tmp_path) == [b"oops"]


def test_released_uplinks_leave_with_their_reports_and_only_once(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivered(1, uplink(b"a"), uplink(b"b"))])
        made = {1: [report("SN-1", [(1_000, {"t": 1})])], 7: [report("SN-7")]}
        assert store.release(made) == [1]
        assert store.release(made) == []
        assert store.release({2: []}) == [2]
    with DeviceView(tmp_path) as view:
        assert [device.name for device in view.devices()] == ["SN-1"]
        assert len(view.history("SN-1", "t")) == 1
    assert payloads(tmp_path) == []


def test_a_release_that_fails_changes_nothing(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivered(1, uplink(b"a"))])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        with pytest.raises(UnavailableError):
            store.release({1: [report("SN-1", attributes={"padding": "x" * 1_000_000})]})
        assert payloads(tmp_path) == [b"a"]


def test_an_id_is_never_given_twice(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivered(1, uplink())])
        store.release({1: []})
        store.apply(SPOOL, [delivered(2, uplink())])
    with QuarantineView(tmp_path) as view:
        assert [one.id for one in view.uplinks()] == [2]


def test_uplinks_are_read_in_portions_and_by_integration(tmp_path: Path) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivered(1, *(uplink(b"%d" % n, "ab"[n % 2]) for n in range(6)))])
    assert payloads(tmp_path, integration="b") == [b"1", b"3", b"5"]
    assert payloads(tmp_path, limit=2) == [b"0", b"1"]
    assert payloads(tmp_path, after=4) == [b"4", b"5"]
    assert payloads(tmp_path, bytes=1) == [b"0"]
    with QuarantineView(tmp_path) as view:
        assert (view.size(), view.size(integration="a"), view.size(integration="c")) == (6, 3, 0)


def test_where_there_is_no_file_nothing_is_in_it(tmp_path: Path) -> None:
    with QuarantineView(tmp_path) as view:
        assert (view.uplinks(), view.size(), view.last_id()) == ([], 0, 0)
        with pytest.raises(NotFoundError, match="no uplink 1"):
            view.uplink(1)


@pytest.mark.parametrize("id", [0, -1, 2, 1 << 63, -(1 << 80)])
def test_an_unknown_id_is_not_found(tmp_path: Path, id: int) -> None:
    with DeviceStore(tmp_path) as store:
        store.apply(SPOOL, [delivered(1, uplink())])
    with QuarantineView(tmp_path) as view, pytest.raises(NotFoundError) as caught:
        view.uplink(id)
    assert "quarantine list" in caught.value.hint
