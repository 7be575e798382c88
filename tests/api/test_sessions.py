"""Sessions over HTTP, beside workers that have some."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from gateway.command_socket import serving
from gateway.model import Role
from tests.api.rig import PREFIX, Api
from tests.listeners.test_session_list import listed
from tests.test_sessions import Workers


class RealWorkers(Workers):
    """Workers that list sessions as real ones do."""

    def __init__(self, folder: Path, *sessions: int) -> None:
        super().__init__(folder, *sessions)
        self.lists = [listed(count, worker=worker) for worker, count in enumerate(sessions)]

    def _answer(self, worker: int, message: object) -> object:
        assert isinstance(message, dict)
        if "sessions" in message:
            return self.lists[worker].portion(**message["sessions"])
        session = self.lists[worker].find(message["end_session"])
        return None if session is None else {"session": self.lists[worker].as_json(session), "tag": ""}


@contextlib.asynccontextmanager
async def asking(api: Api, workers: Workers) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api.app)
    async with (
        serving(api.data_dir, workers.it.commands),
        httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1{PREFIX}", headers=api.headers()) as client,
    ):
        yield client


def test_sessions_are_listed_by_the_page_and_searched(tmp_path: Path) -> None:
    async def check() -> None:
        api = Api(tmp_path)
        async with asking(api, RealWorkers(api.data_dir, 150, 20)) as client:
            first = (await client.get("/sessions")).json()
            assert (len(first["items"]), first["total"]) == (100, 170)
            assert first["items"][0].keys() >= {"id", "address", "principal", "cipher_suite", "established_ts"}
            second = (await client.get("/sessions", params={"after": first["next"], "limit": 1000})).json()
            assert (len(second["items"]), second["next"]) == (70, None)
            found = (await client.get("/sessions", params={"search": "sn-00007"})).json()
            assert [one["worker"] for one in found["items"]] == [0, 1]

    asyncio.run(check())


def test_one_is_ended_by_an_admin_and_by_nobody_else(tmp_path: Path) -> None:
    async def check() -> None:
        api = Api(tmp_path)
        workers = RealWorkers(api.data_dir, 3)
        async with asking(api, workers) as client:
            one = (await client.get("/sessions")).json()["items"][1]
            refused = await client.delete(f"/sessions/{one['id']}", headers=api.headers(Role.VIEWER))
            assert refused.status_code == 403
            assert not any("end_session" in message for message in workers.messages)
            ended = await client.delete(f"/sessions/{one['id']}")
            assert (ended.status_code, ended.json()["id"]) == (200, one["id"])
            unknown = await client.delete("/sessions/7-abcd-1")
            assert unknown.status_code == 404
            assert "there is no session" in unknown.json()["detail"]

    asyncio.run(check())


def test_what_is_out_of_bounds_is_refused_beside_its_field(tmp_path: Path) -> None:
    async def check() -> None:
        api = Api(tmp_path)
        async with asking(api, RealWorkers(api.data_dir, 1)) as client:
            for field, value in (("limit", "0"), ("limit", "1001"), ("search", "x" * 257), ("after", "x" * 65)):
                answer = await client.get("/sessions", params={field: value})
                assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (422, [field])
            assert (await client.get("/sessions", params={"after": "nothing of ours"})).status_code == 404

    asyncio.run(check())


def test_without_a_gateway_there_are_none_to_be_had(tmp_path: Path) -> None:
    api = Api(tmp_path)
    assert json.dumps(api.problem("GET", "/sessions", 503)).count("no gateway runs") == 1
    api.problem("DELETE", "/sessions/0-abcd-1", 503)
