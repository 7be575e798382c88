"""The socket by which commands reach the running gateway."""

import asyncio
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.command_socket import SOCKET_FILE, ask_to_release, serving
from gateway.errors import ConfigurationError, UnavailableError
from gateway.model import StoredReport

from .storage.reports import report

T = TypeVar("T")


class Store:
    """Stands where the delivery does, and keeps what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[dict[int, list[StoredReport]]] = []

    def release(self, converted: Mapping[int, Sequence[StoredReport]]) -> "Future[list[int]]":
        self.asked.append({id: list(reports) for id, reports in converted.items()})
        future: Future[list[int]] = Future()
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(list(converted))
        return future


def served(data_dir: Path, store: Store, action: Callable[[], T]) -> T:
    """Do something, in a thread, while the socket is served."""

    async def scenario() -> T:
        async with serving(data_dir, store.release):
            return await asyncio.to_thread(action)

    return asyncio.run(scenario())


def test_what_a_command_asks_for_arrives_whole_and_the_answer_comes_back(tmp_path: Path) -> None:
    store = Store()
    made = {3: [report("SN-1", [(1, {"t": 1.5})], attributes={"Größe": [1, None]})], 9: []}
    assert served(tmp_path, store, lambda: ask_to_release(tmp_path, made)) == [3, 9]
    assert store.asked == [
        {3: [made[3][0]._replace(telemetry=[[1, {"t": 1.5}]])], 9: []}  # type: ignore[list-item]
    ]


def test_a_request_may_be_long(tmp_path: Path) -> None:
    made = {1: [report("SN-1", attributes={"padding": "x" * (8 << 20)})]}
    assert served(tmp_path, Store(), lambda: ask_to_release(tmp_path, made)) == [1]


def test_only_its_user_may_use_it_and_it_goes_with_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / SOCKET_FILE
    mode = served(tmp_path, Store(), lambda: path.stat().st_mode)
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert not path.exists()


def test_a_data_directory_may_have_a_path_longer_than_a_socket_can_have(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    assert served(deep, Store(), lambda: ask_to_release(deep, {1: []})) == [1]


def test_a_socket_that_a_killed_gateway_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(SOCKET_FILE)
    assert ask_to_release(tmp_path, {1: []}) is None
    assert served(tmp_path, Store(), lambda: ask_to_release(tmp_path, {1: []})) == [1]


def test_where_no_gateway_runs_nobody_is_asked(tmp_path: Path) -> None:
    assert ask_to_release(tmp_path, {1: []}) is None
    assert ask_to_release(tmp_path / "missing", {1: []}) is None


def test_what_else_stands_in_its_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / SOCKET_FILE).mkdir()
    with pytest.raises(ConfigurationError, match=r"gateway\.sock can't be made"):
        served(tmp_path, Store(), lambda: None)


def test_what_goes_wrong_there_is_said_here(tmp_path: Path) -> None:
    store = Store(UnavailableError("no room left", hint="make room"))
    with pytest.raises(UnavailableError, match="no room left") as caught:
        served(tmp_path, store, lambda: ask_to_release(tmp_path, {1: []}))
    assert caught.value.hint == "make room"


@pytest.mark.parametrize(
    "request_", [b"\n", b"nonsense\n", b"{}\n", b"[]\n", b'{"release": [[1, [[2]]]]}\n', b'{"release": 1}\n']
)
def test_an_unknown_command_is_refused_and_the_next_one_served(tmp_path: Path, request_: bytes) -> None:
    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(SOCKET_FILE)
            sock.sendall(request_)
            answer = sock.makefile("rb").readline()
        assert ask_to_release(tmp_path, {1: []}) == [1]
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert b"does not know this command" in served(tmp_path, Store(), ask)


def test_a_gateway_that_ends_before_it_answers_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        never: Future[list[int]] = Future()
        async with serving(tmp_path, lambda converted: never):
            asking = asyncio.create_task(asyncio.to_thread(ask_to_release, tmp_path, {1: []}))
            await asyncio.sleep(0.2)
            for task in asyncio.all_tasks() - {asking, asyncio.current_task()}:
                task.cancel()
            with pytest.raises(UnavailableError, match="ended before it answered"):
                await asking

    asyncio.run(scenario())
