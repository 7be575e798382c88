"""Debug events on disk: what goes in comes out, within the bounds of rows and age."""

from pathlib import Path
from typing import Any

import pytest

from gateway.storage.events import Event, EventStore, EventView

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000


def event(ts: int = NOW_MS, integration: str = "meters", error: str | None = None) -> dict[str, Any]:
    return {
        "ts": ts,
        "integration": integration,
        "peer": "192.0.2.1:5683",
        "principal": "gw-7",
        "payload": "AP8=",
        "payload_bytes": 9_000,
        "metadata": '{"site":"B"}',
        "out": '{"deviceName":"a"}',
        "error": error,
        "duration_us": 12,
        "names": ["a"],
    }


def times(data_dir: Path, integration: str = "meters", **chosen: Any) -> list[int]:
    with EventView(data_dir) as view:
        return [one.ts for one in view.newest(integration, **{"limit": 1000, **chosen})]


def test_an_event_comes_back_whole(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.add([event(error="broken")])
    with EventView(tmp_path) as view:
        assert view.after(0, limit=10) == [
            Event(
                id=1,
                integration="meters",
                ts=NOW_MS,
                peer="192.0.2.1:5683",
                principal="gw-7",
                payload=b"\x00\xff",
                payload_bytes=9_000,
                metadata={"site": "B"},
                out='{"deviceName":"a"}',
                error="broken",
                duration_us=12,
                names=("a",),
            )
        ]
    store.close()


def test_the_newest_of_an_integration_come_in_their_order(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.add([event(ts, "ab"[ts % 2], error="broken" if ts > 6 else None) for ts in range(10)])
    store.close()
    assert times(tmp_path, "a") == [0, 2, 4, 6, 8]
    assert times(tmp_path, "a", limit=2) == [6, 8]
    assert times(tmp_path, "a", failed_only=True) == [8]
    assert times(tmp_path, "c") == []


def test_who_follows_gets_each_event_once(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    with EventView(tmp_path) as view:
        assert view.last_id() == 0
        store.add([event(1), event(2), event(3)])
        first = view.after(0, limit=2)
        store.add([event(4)])
        rest = view.after(first[-1].id, limit=10)
        assert [one.ts for one in first + rest] == [1, 2, 3, 4]
        assert view.last_id() == rest[-1].id
    store.close()


@pytest.mark.parametrize(("count", "left"), [(2, 2), (3, 3), (4, 3), (9, 3)])
def test_beyond_the_rows_of_an_integration_its_oldest_go(tmp_path: Path, count: int, left: int) -> None:
    store = EventStore(tmp_path)
    store.add([event(NOW_MS + n) for n in range(count)])
    store.add([event(NOW_MS, "others")])
    store.trim(rows=3, now_ms=NOW_MS, days=7)
    store.close()
    assert times(tmp_path) == [NOW_MS + n for n in range(count - left, count)]
    assert times(tmp_path, "others") == [NOW_MS]


def test_what_is_older_than_the_days_goes_and_ids_go_on(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.add([event(NOW_MS - 7 * DAY_MS - 1), event(NOW_MS - 7 * DAY_MS)])
    store.trim(rows=100, now_ms=NOW_MS, days=7)
    assert times(tmp_path) == [NOW_MS - 7 * DAY_MS]
    store.trim(rows=100, now_ms=NOW_MS + DAY_MS, days=7)
    assert times(tmp_path) == []
    store.add([event()])
    with EventView(tmp_path) as view:
        assert view.last_id() == 3
    store.close()


def test_where_there_is_no_file_there_are_no_events(tmp_path: Path) -> None:
    assert times(tmp_path) == []
    with EventView(tmp_path) as view:
        assert (view.after(0, limit=1), view.last_id()) == ([], 0)


def test_pages_go_from_the_newest_back_within_bounds_and_by_choice(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    store.add([event(error="no" if n % 2 else None, integration="others" if n == 3 else "meters") for n in range(6)])
    store.close()

    def ids(**chosen: Any) -> list[int]:
        with EventView(tmp_path) as view:
            return [one.id for one in view.page(**{"before": 1 << 62, "limit": 10, **chosen})]

    assert ids() == [6, 5, 4, 3, 2, 1]
    assert ids(limit=2) == [6, 5]
    assert ids(before=5, after=2) == [4, 3]
    assert ids(integration="meters", failed_only=True) == [6, 2]
    assert ids(integration="nobody") == []


def test_without_a_file_there_is_no_page(tmp_path: Path) -> None:
    with EventView(tmp_path) as view:
        assert view.page(before=9, limit=1) == []
