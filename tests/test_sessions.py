"""The sessions of all workers: asked for over several of them, ended at all of them, and remembered."""

import asyncio
import json
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.dtls.tickets import TICKET_LIFETIME_S
from gateway.errors import NotFoundError, UnavailableError, UsageError
from gateway.questions import Questions
from gateway.sessions import ENDED_FILE, ENDED_MAX, LIMIT_MAX, SEARCH_CHARACTERS, Sessions

PORTION = 3


class Workers:
    """Workers with sessions of their own, which answer as real ones do: later, and by small portions."""

    def __init__(self, folder: Path, *sessions: int) -> None:
        self.sessions = [[f"{worker}-run-{number}" for number in range(count)] for worker, count in enumerate(sessions)]
        self.down: set[int] = set()
        self.silent: set[int] = set()
        self.refused: list[list[str]] = [[] for _ in sessions]
        self.messages: list[Mapping[str, Any]] = []
        self.questions = Questions(self._tell)
        self.it = Sessions(
            folder,
            workers=len(sessions),
            questions=self.questions,
            tell=self._tell,
            count=lambda: sum(map(len, self.sessions)),
        )

    def _tell(self, worker: int, message: Mapping[str, Any]) -> bool:
        if worker in self.down:
            return False
        self.messages.append(message)
        if "not_resumed" in message:
            self.refused[worker] += [tag for tag, _ in message["not_resumed"]]
        elif worker not in self.silent:
            answer = {"answer": message["ask"], "of": self._answer(worker, message)}
            asyncio.get_running_loop().call_soon(self.questions.take, answer)
        return True

    def _answer(self, worker: int, message: Mapping[str, Any]) -> Any:
        own = self.sessions[worker]
        if "end_session" in message:
            if message["end_session"] not in own:
                return None
            own.remove(message["end_session"])
            return {"session": {"id": message["end_session"]}, "tag": message["end_session"].encode().hex()[-16:]}
        search, limit, after = (message["sessions"][name] for name in ("search", "limit", "after"))
        start = own.index(after) + 1 if after in own else 0
        looked_at = own[start : start + min(PORTION, limit)]
        more = start + len(looked_at) < len(own)
        items = [{"id": id} for id in looked_at if search in id]
        return {"items": items, "next": looked_at[-1] if more else None}

    async def list(self, search: str = "", limit: int = 100, after: str | None = None) -> Any:
        return await self.it.commands["sessions"]({"search": search, "limit": limit, "after": after})

    async def end(self, id: str) -> Any:
        return await self.it.commands["end_session"]({"id": id})


def ids(answer: Any) -> list[str]:
    return [one["id"] for one in answer["items"]]


def test_sessions_are_listed_worker_by_worker_and_portion_by_portion(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 7, 0, 5)
        everything = workers.sessions[0] + workers.sessions[2]
        answer = await workers.list()
        assert (ids(answer), answer["next"], answer["total"]) == (everything, None, 12)
        found: list[str] = []
        after = None
        while True:
            page = await workers.list(limit=4, after=after)
            assert len(page["items"]) <= 4
            found += ids(page)
            after = page["next"]
            if after is None:
                break
        assert found == everything

    asyncio.run(check())


def test_a_search_goes_through_empty_portions(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 40, 40)
        answer = await workers.list("run-39")
        assert (ids(answer), answer["next"], answer["total"]) == (["0-run-39", "1-run-39"], None, 80)
        first = await workers.list("run-39", limit=1)
        assert ids(first) == ["0-run-39"]
        assert ids(await workers.list("run-39", after=first["next"])) == ["1-run-39"]

    asyncio.run(check())


@pytest.mark.parametrize("limit", [0, -1, LIMIT_MAX + 1])
def test_a_limit_out_of_bounds_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(UsageError, match="limit"):
        asyncio.run(Workers(tmp_path, 1).list(limit=limit))


@pytest.mark.parametrize("limit", [1, LIMIT_MAX])
def test_a_limit_at_its_bounds_is_taken(tmp_path: Path, limit: int) -> None:
    assert len(asyncio.run(Workers(tmp_path, 1).list(limit=limit))["items"]) == 1


def test_a_search_has_a_bound(tmp_path: Path) -> None:
    assert asyncio.run(Workers(tmp_path, 1).list("x" * SEARCH_CHARACTERS))["items"] == []
    with pytest.raises(UsageError, match="search"):
        asyncio.run(Workers(tmp_path, 1).list("x" * (SEARCH_CHARACTERS + 1)))


def test_a_worker_that_is_just_starting_has_no_sessions_yet(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 2, 2)
        workers.down.add(0)
        assert ids(await workers.list()) == workers.sessions[1]

    asyncio.run(check())


def test_a_worker_that_ends_while_it_is_asked_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 2, 2)
        workers.silent.add(0)
        asked = asyncio.create_task(workers.list())
        while not workers.messages:
            await asyncio.sleep(0)
        workers.questions.worker_ended(0)
        assert ids(await asked) == workers.sessions[1]
        workers.questions.take({"answer": 1, "of": {"items": [], "next": None}})  # too late, and nobody's any more

    asyncio.run(check())


def test_a_worker_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.questions.ANSWER_PATIENCE_S", 0.01)

    async def check() -> None:
        workers = Workers(tmp_path, 2)
        workers.silent.add(0)
        with pytest.raises(UnavailableError, match="worker 0 has not answered"):
            await workers.list()

    asyncio.run(check())


def test_an_ended_session_is_told_and_resumed_by_no_worker(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 3, 3)
        assert await workers.end("1-run-2") == {"id": "1-run-2"}
        assert workers.sessions[1] == ["1-run-0", "1-run-1"]
        assert workers.refused[0] == workers.refused[1]
        assert len(workers.refused[0]) == 1

    asyncio.run(check())


@pytest.mark.parametrize(
    "id", ["", "0-run-99", "7-run-0", "x-run-0", "-1-run-0", "²-run-0", "99999999999-run-0", "0" * 10_000]
)
def test_there_is_no_session_by_another_id(tmp_path: Path, id: str) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 3, 3)
        with pytest.raises(NotFoundError, match="there is no session"):
            await workers.end(id)
        assert workers.refused == [[], []]
        assert not (tmp_path / ENDED_FILE).exists()

    asyncio.run(check())


def test_what_was_ended_is_known_to_a_workers_successor_and_to_the_next_gateway(tmp_path: Path) -> None:
    async def check() -> None:
        workers = Workers(tmp_path, 3, 3)
        for id in ("0-run-0", "1-run-0"):
            await workers.end(id)
        refused = workers.refused[0]
        workers.refused[0] = []
        workers.it.worker_serves(0)
        assert workers.refused[0] == refused
        successor = Workers(tmp_path, 3)
        successor.it.worker_serves(0)
        assert successor.refused[0] == refused
        assert stat.S_IMODE((tmp_path / ENDED_FILE).stat().st_mode) == 0o600

    asyncio.run(check())


def test_what_no_ticket_can_resume_any_more_is_forgotten_and_the_rest_is_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        now_s = time.time()
        kept = [("aa" * 8, now_s - 1)] + [(f"{number:016x}", now_s + 60) for number in range(ENDED_MAX)]
        (tmp_path / ENDED_FILE).write_text(json.dumps(kept))
        workers = Workers(tmp_path, 1)
        workers.it.worker_serves(0)
        assert workers.refused[0] == [f"{number:016x}" for number in range(ENDED_MAX)]
        assert all(len(json.dumps(message)) < 64 << 10 for message in workers.messages)  # a worker takes no longer line
        await workers.end("0-run-0")
        left = json.loads((tmp_path / ENDED_FILE).read_text())
        assert (len(left), left[0][0]) == (ENDED_MAX, f"{1:016x}")
        assert left[-1][1] == pytest.approx(now_s + TICKET_LIFETIME_S, abs=60)

    asyncio.run(check())


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["aa"]]', '[["aa", "soon"]]', "7", "\xff"])
def test_a_broken_file_is_an_error_in_the_log_and_no_reason_not_to_start(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ENDED_FILE).write_text(content, encoding="latin-1")

    async def check() -> None:
        workers = Workers(tmp_path, 1)
        workers.it.worker_serves(0)
        assert workers.refused == [[]]
        await workers.end("0-run-0")
        assert len(json.loads((tmp_path / ENDED_FILE).read_text())) == 1

    asyncio.run(check())
    assert "may be resumed again" in caplog.text


def test_where_it_can_not_be_kept_the_session_is_ended_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ENDED_FILE).mkdir()

    async def check() -> None:
        workers = Workers(tmp_path, 1)
        assert await workers.end("0-run-0") == {"id": "0-run-0"}
        assert len(workers.refused[0]) == 1

    asyncio.run(check())
    assert "may be resumed after a restart" in caplog.text


@pytest.mark.parametrize("of", [None, {}, {"search": "", "limit": "many", "after": None}])
def test_a_command_of_another_shape_is_refused(tmp_path: Path, of: Any) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        asyncio.run(Workers(tmp_path, 1).it.commands["sessions"](of))  # type: ignore[arg-type]
