"""The list of issued certificates where answers come late: what was asked for last is what is shown and clicked on."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from nicegui import Client, core, ui
from nicegui.page import page
from starlette.requests import HTTPConnection

from gateway.console.client import Api
from gateway.console.pager import PAGE
from gateway.console.pages.security_issued import IssuedList
from gateway.console.session import Session
from gateway.console.widgets import Text
from gateway.model import JsonValue
from tests.console.loops import run


class SlowServer:
    """Answers when it is told to, in whatever order."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[JsonValue]] = []
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), base_url="http://127.0.0.1")
        request = HTTPConnection({"type": "http", "headers": []})
        self.session = Session(Api(http, "token"), "token", "somebody", True, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        told: asyncio.Future[JsonValue] = asyncio.get_running_loop().create_future()
        self.asked.append(told)
        return httpx.Response(200, json=await told)

    async def question(self, number: int) -> "asyncio.Future[JsonValue]":
        """What answers the question with this number, from 0, once it was asked."""
        async with asyncio.timeout(10):
            while len(self.asked) <= number:
                await asyncio.sleep(0)
        return self.asked[number]


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(page("/issued"))
    yield made
    made.delete()


def certificate(number: int, state: str = "valid") -> JsonValue:
    return {
        "serial": f"{number:x}",
        "name": f"SN-{number}",
        "names": [],
        "issued_ts": 0,
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2036-01-01T00:00:00Z",
        "days_left": 1000,
        "state": state,
        "revoked_ts": 1 if state == "revoked" else None,
        "fingerprint_sha256": "0" * 64,
        "authority_sha256": "a" * 64,
    }


def answer(*numbers: int, findings: tuple[str, ...] = (), state: str = "valid") -> JsonValue:
    items = [certificate(number, state) for number in numbers]
    return {"items": items, "total": len(items), "next": None, "findings": list(findings)}


def texts(client: Client) -> list[str]:
    return [one.text for one in client.elements.values() if isinstance(one, Text)]


async def settled() -> None:
    """All that was begun by now has ended, but for this."""
    async with asyncio.timeout(10):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def test_a_late_answer_is_neither_shown_nor_known(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        server = SlowServer()
        with client:
            issued = IssuedList(server.session)
        (box,) = (one for one in client.elements.values() if isinstance(one, ui.input))
        (table,) = (one for one in client.elements.values() if isinstance(one, ui.table))
        with client:
            box.value = "SN-1"
            first = await server.question(0)
            box.value = "SN-2"
            second = await server.question(1)
        second.set_result(answer(2, findings=("of what is shown",)))
        async with asyncio.timeout(10):
            while not table.rows:
                await asyncio.sleep(0)
        first.set_result(answer(1, findings=("of what came late",)))
        await settled()
        assert [row["id"] for row in table.rows] == ["2"]
        assert "of what is shown" in texts(client) and "of what came late" not in texts(client)
        with client:
            issued._open("1")
            assert "Serial number" not in texts(client)
            issued._open("2")
        assert {"Serial number", "SN-2"} <= set(texts(client))

    run(work())


def test_all_of_the_page_that_is_shown_is_known_and_no_other(client: Client) -> None:
    async def show(*numbers: int, state: str = "valid") -> None:
        with client:
            showing = asyncio.create_task(issued.restart())
            (await server.question(len(server.asked))).set_result(answer(*numbers, state=state))
            await showing

    async def work() -> None:
        await show(*range(1, PAGE + 1))
        await show(*range(PAGE, 2 * PAGE))
        assert set(issued._known) == {f"{number:x}" for number in range(PAGE, 2 * PAGE)}
        await show(PAGE, state="revoked")
        assert issued._known[f"{PAGE:x}"]["state"] == "revoked"
        assert len(issued._known) == 1

    server = SlowServer()
    with client:
        issued = IssuedList(server.session)
    run(work())


@pytest.mark.parametrize(
    ("state", "shown", "stays"),
    [("valid", "1000 days left", False), ("of another authority", "of another authority", True)],
)
def test_what_another_authority_issued_has_a_badge_and_is_not_to_be_revoked(
    client: Client, state: str, shown: str, stays: bool
) -> None:
    async def work() -> JsonValue:
        server = SlowServer()
        with client:
            issued = IssuedList(server.session)
            showing = asyncio.create_task(issued.restart())
            (await server.question(0)).set_result(answer(1, state=state))
            await showing
            issued._open("1")
        (table,) = (one for one in client.elements.values() if isinstance(one, ui.table))
        return table.rows[0]

    row = run(work())
    assert (row["state"], row["stays"]) == (shown, stays)
    buttons = [one.text for one in client.elements.values() if isinstance(one, ui.button)]
    assert ("Revoke it …" in buttons) is not stays
