"""Tables of lists: which of several answers counts."""

import asyncio

import pytest
from nicegui import Client
from nicegui.page import page

from gateway.console.listing import Column, PagedTable
from gateway.model import JsonValue
from tests.console.loops import run


def answer(*names: str, total: int) -> JsonValue:
    """A page as the API tells it."""
    return {"items": list(names), "total": total, "next": None}


@pytest.mark.parametrize("is_late", [False, True])
def test_a_page_is_told_of_the_answer_that_is_shown_and_of_none_that_comes_too_late(is_late: bool) -> None:
    old, new = answer("older", total=40), answer("newer", total=1)
    told: list[JsonValue] = []

    async def search_twice() -> int | None:
        asked: list[asyncio.Future[JsonValue]] = []

        async def fetch(after: JsonValue) -> JsonValue:
            asked.append(asyncio.get_running_loop().create_future())
            return await asked[-1]

        with Client(page("/listing"), request=None) as client:
            table = PagedTable(
                [Column("id", "Name")], fetch, lambda name: {"id": name}, nothing=lambda: None, on_shown=told.append
            )
            first = asyncio.create_task(table.reload())
            await asyncio.sleep(0)
            if not is_late:
                asked[0].set_result(old)
                await first
            second = asyncio.create_task(table.restart())
            await asyncio.sleep(0)
            asked[1].set_result(new)
            await second
            if is_late:
                asked[0].set_result(old)
                await first
            client.delete()
        return table.total

    assert run(search_twice()) == 1
    assert told == ([new] if is_late else [old, new])
