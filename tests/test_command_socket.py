"""The socket by which commands reach the running gateway."""

import asyncio
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.command_socket import SOCKET_FILE, Command, ask, ask_soon, serving
from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UnavailableError, UsageError
from gateway.model import JsonValue

T = TypeVar("T")


async def count(of: JsonValue) -> JsonValue:
    """A command that says how many it was given."""
    return len(of)


def served(data_dir: Path, action: Callable[[], T], command: Command = count) -> T:
    """Do something, in a thread, while the socket is served."""

    async def scenario() -> T:
        async with serving(data_dir, {"count": command}):
            return await asyncio.to_thread(action)

    return asyncio.run(scenario())


def asking(data_dir: Path) -> Callable[[], JsonValue]:
    """Ask for the command once."""
    return lambda: ask(data_dir, "count", [1])


def test_what_a_command_asks_for_arrives_whole_and_the_answer_comes_back(tmp_path: Path) -> None:
    async def echo(of: JsonValue) -> JsonValue:
        return of

    asked = {"Größe": [1, None, 1.5, "x"], "": {}}
    assert served(tmp_path, lambda: ask(tmp_path, "count", asked), echo) == asked


def test_a_request_and_its_answer_may_be_long(tmp_path: Path) -> None:
    async def echo(of: JsonValue) -> JsonValue:
        return of

    long = "x" * (8 << 20)
    assert served(tmp_path, lambda: ask(tmp_path, "count", long), echo) == long


def test_a_running_loop_can_ask(tmp_path: Path) -> None:
    async def scenario() -> JsonValue:
        async with serving(tmp_path, {"count": count}):
            return await ask_soon(tmp_path, "count", [1, 2])

    assert asyncio.run(scenario()) == 2


def test_only_its_user_may_use_it_and_it_goes_with_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / SOCKET_FILE
    mode = served(tmp_path, lambda: path.stat().st_mode)
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert not path.exists()


def test_a_data_directory_may_have_a_path_longer_than_a_socket_can_have(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    assert served(deep, asking(deep)) == 1


def test_a_socket_that_a_killed_gateway_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(SOCKET_FILE)
    assert ask(tmp_path, "count", [1]) is None
    assert served(tmp_path, asking(tmp_path)) == 1


def test_where_no_gateway_runs_nobody_is_asked(tmp_path: Path) -> None:
    assert ask(tmp_path, "count", [1]) is None
    assert ask(tmp_path / "missing", "count", [1]) is None


def test_what_else_stands_in_its_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / SOCKET_FILE).mkdir()
    with pytest.raises(ConfigurationError, match=r"gateway\.sock can't be made"):
        served(tmp_path, lambda: None)


@pytest.mark.parametrize("kind", [NotFoundError, UsageError, ConfigurationError, UnavailableError])
def test_what_goes_wrong_there_is_said_here(tmp_path: Path, kind: type[GatewayError]) -> None:
    async def fail(of: JsonValue) -> JsonValue:
        raise kind("no room left", hint="make room")

    with pytest.raises(kind, match="no room left") as caught:
        served(tmp_path, asking(tmp_path), fail)
    assert caught.value.hint == "make room"


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"nonsense\n",
        b"{}\n",
        b"[]\n",
        b'{"command": "count", "of": 1}\n',
        b'{"command": "count"}\n',
        b'{"command": "sum", "of": [1]}\n',
        b'{"command": [], "of": [1]}\n',
    ],
)
def test_an_unknown_command_is_refused_and_the_next_one_served(tmp_path: Path, request_: bytes) -> None:
    def say() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(SOCKET_FILE)
            sock.sendall(request_)
            answer = sock.makefile("rb").readline()
        assert ask(tmp_path, "count", [1]) == 1
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert b"does not know this command" in served(tmp_path, say)


def test_a_gateway_that_ends_before_it_answers_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def never(of: JsonValue) -> JsonValue:
            asked.set()
            return await asyncio.get_running_loop().create_future()

        async with serving(tmp_path, {"count": never}):
            asking = asyncio.create_task(ask_soon(tmp_path, "count"))
            await asked.wait()
            for task in asyncio.all_tasks() - {asking, asyncio.current_task()}:
                task.cancel()
            with pytest.raises(UnavailableError, match="ended before it answered"):
                await asking

    asyncio.run(scenario())
