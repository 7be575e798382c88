"""Debug events over HTTP: pages, filters, and a live stream that can be taken up again."""

import asyncio
import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from gateway.api import streams
from gateway.api.json_values import sound
from gateway.api.routes import events as events_route
from gateway.converters.cases import DEPTH_MAX
from gateway.presentation.event import as_json
from gateway.storage.events import EventStore
from tests.api.rig import PATIENCE_S, PREFIX, Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def event(n: int, **fields: Any) -> dict[str, Any]:
    return {
        "ts": n,
        "integration": "meters",
        "peer": "127.0.0.1:5000",
        "principal": None,
        "payload": b64encode(b'{"t": %d}' % n).decode(),
        "payload_bytes": len(b'{"t": %d}' % n),
        "metadata": "{}",
        "out": json.dumps({"deviceName": f"SN-{n}"}),
        "error": None,
        "duration_us": 150,
        "names": [f"SN-{n}"],
        **fields,
    }


def recorded(api: Api, *events: dict[str, Any]) -> None:
    store = EventStore(api.data_dir)
    store.add(events)
    store.close()


def ids(page: Any) -> list[int]:
    return [one["id"] for one in page["items"]]


def test_before_the_first_start_there_are_none(api: Api) -> None:
    assert api.get("/events") == {"items": [], "total": None, "next": None}


def test_the_newest_come_first_and_pages_go_back(api: Api) -> None:
    recorded(api, *(event(n) for n in range(1, 6)))
    first = api.get("/events", limit=2)
    assert (ids(first), first["next"]) == ([5, 4], 4)
    second = api.get("/events", limit=2, before=first["next"])
    assert (ids(second), second["next"]) == ([3, 2], 2)
    last = api.get("/events", limit=2, before=second["next"])
    assert (ids(last), last["next"]) == ([1], None)
    assert ids(api.get("/events", after=3)) == [5, 4]
    assert api.get("/events", limit=5)["next"] is None


def test_an_event_is_what_the_command_line_prints(api: Api) -> None:
    recorded(api, event(1, metadata='{"site": "Berlin"}', principal="gw-7"))
    assert api.get("/events")["items"] == [
        {
            "id": 1,
            "ts": 1,
            "integration": "meters",
            "peer": "127.0.0.1:5000",
            "principal": "gw-7",
            "payload_format": "json",
            "payload": '{"t": 1}',
            "payload_hex": b'{"t": 1}'.hex(),
            "payload_bytes": 8,
            "metadata": {"site": "Berlin"},
            "out": {"deviceName": "SN-1"},
            "error": None,
            "duration_ms": 0.15,
            "names": ["SN-1"],
        }
    ]


@pytest.mark.parametrize("depth", [DEPTH_MAX, DEPTH_MAX + 1, 300, 900, 2000])
def test_what_a_device_nests_too_deeply_is_shown_as_text(api: Api, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    recorded(api, event(1, out=nested), event(2))
    second, first = api.get("/events")["items"]
    assert second["out"] == {"deviceName": "SN-2"}
    assert first["out"] == (json.loads(nested) if depth <= DEPTH_MAX else nested)
    with api.app.state.backend.events() as view:
        assert streams.event("event", sound(as_json(view.after(0, limit=1)[0])))


def test_events_are_chosen_by_integration_failure_and_device(api: Api) -> None:
    recorded(
        api,
        event(1),
        event(2, integration="gauges"),
        event(3, error="it broke", names=[], out=None),
        event(4, principal="gw-7"),
        event(5, peer="[::1]:7"),
    )
    assert ids(api.get("/events", integration="meters")) == [5, 4, 3, 1]
    assert ids(api.get("/events", errors=True)) == [3]
    assert ids(api.get("/events", integration="gauges", errors=True)) == []
    assert ids(api.get("/events", device="SN-2")) == [2]
    assert ids(api.get("/events", device="gw-7")) == [4]
    assert ids(api.get("/events", device="::1")) == [5]


def test_a_device_is_looked_for_a_bounded_way_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_route, "PORTION", 4)
    monkeypatch.setattr(events_route, "SCANNED_MAX", 8)
    recorded(api, *(event(n) for n in range(1, 21)))
    page = api.get("/events", device="SN-2")
    assert (ids(page), page["next"]) == ([], 13)
    page = api.get("/events", device="SN-2", before=5)
    assert (ids(page), page["next"]) == ([2], None)
    many = api.get("/events", device="127.0.0.1", limit=3)
    assert (ids(many), many["next"]) == ([20, 19, 18], 18)


def test_what_json_can_not_hold_is_replaced(api: Api) -> None:
    recorded(api, event(1, out='{"a": "\\ud800", "b": NaN, "c": 1e999}'), event(2, out='{"cut'))
    second, first = api.get("/events")["items"]
    assert first["out"] == {"a": "\N{REPLACEMENT CHARACTER}", "b": None, "c": None}
    assert second["out"] == '{"cut'


@pytest.mark.parametrize("query", ["limit=1001", "before=-1", f"after={1 << 63}", "errors=maybe"])
def test_a_page_has_bounds(api: Api, query: str) -> None:
    assert api.fields("GET", f"/events?{query}") == [query.partition("=")[0]]


# -- the stream ----------------------------------------------------------------------------------------


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    """The app on a port of its own: a stream needs a server."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api.app, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[sock]),))
        thread.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while not server.started:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}{PREFIX}"
        finally:
            api.app.state.backend.streams.stop()
            server.should_exit = True
            thread.join()


class Stream:
    """What a client hears of a stream."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, Any]:
        """The next event's id and data."""
        block: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if not line and "data" in block:
                return block["id"], json.loads(block["data"])
            block[name] = value
        raise AssertionError("the stream has ended")


def opened(api: Api, url: str, query: str = "", **headers: str) -> Any:
    return httpx.stream("GET", f"{url}/events/stream{query}", headers={**api.headers(), **headers}, timeout=PATIENCE_S)


def test_a_stream_has_events_as_they_come_and_none_of_before(api: Api, url: str) -> None:
    recorded(api, event(1), event(2))
    stop = threading.Event()

    def record() -> None:
        n = 3
        while not stop.wait(0.05):
            recorded(api, event(n))
            n += 1

    recorder = threading.Thread(target=record)
    with opened(api, url) as response:
        stream = Stream(response)
        recorder.start()
        try:
            heard = [stream.next() for _ in range(3)]
        finally:
            stop.set()
            recorder.join()
    ids_heard = [int(id) for id, _ in heard]
    assert ids_heard == list(range(ids_heard[0], ids_heard[0] + 3))
    assert ids_heard[0] > 2
    kept = {one["id"]: one for one in api.get("/events")["items"]}
    assert [data for _, data in heard] == [kept[id] for id in ids_heard]


def test_a_stream_is_taken_up_behind_the_last_event_that_was_heard(api: Api, url: str) -> None:
    recorded(api, *(event(n) for n in range(1, 4)))
    with opened(api, url, **{"Last-Event-ID": "1"}) as response:
        stream = Stream(response)
        assert [stream.next()[0], stream.next()[0]] == ["2", "3"]


def test_a_stream_may_be_of_a_device_or_of_failures(api: Api, url: str) -> None:
    recorded(api, event(1), event(2, error="no"), event(3), event(4, error="no"))
    with opened(api, url, "?errors=true", **{"Last-Event-ID": "0"}) as response:
        stream = Stream(response)
        assert [stream.next()[0], stream.next()[0]] == ["2", "4"]
    with opened(api, url, "?device=SN-3", **{"Last-Event-ID": "0"}) as response:
        assert Stream(response).next()[0] == "3"


def test_a_stream_ends_when_the_api_does(api: Api, url: str) -> None:
    with opened(api, url) as response:
        lines = response.iter_lines()
        assert next(lines) == "retry: 1000"
        api.app.state.backend.streams.stop()
        assert not any(lines)
    assert api.app.state.backend.streams.count == 0


def test_a_place_that_is_none_is_refused(api: Api, url: str) -> None:
    with opened(api, url, **{"Last-Event-ID": "x"}) as response:
        assert response.status_code == 422
