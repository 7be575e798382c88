"""Long lists: a page at a time is asked of the API, and nothing else is loaded."""

from collections.abc import Awaitable, Callable
from typing import Final

from nicegui import ui

from gateway.console.times import count
from gateway.console.widgets import Doing, icon_button, text
from gateway.model import JsonValue

PAGE: Final = 50
"""Items of a page."""

Fetch = Callable[[JsonValue], Awaitable[JsonValue]]
"""Asks the API for the page behind a `next` of it; None for the first one."""


class Pager:
    """Where in a list one is, and the buttons that leaf through it; they are there where one page is not all."""

    def __init__(self, fetch: Fetch, turned: Doing) -> None:
        """`turned` shows the page that a button has led to."""
        self._fetch = fetch
        self._turned = turned
        self._pages: list[tuple[int, JsonValue]] = [(0, None)]
        """How many items are before each page that led to this one, and what it was asked with."""
        self._following: tuple[int, JsonValue] = (0, None)
        """As in `_pages`, of the page behind this one."""
        self._asked = 0
        with ui.element("div").classes("bar") as self._bar:
            ui.element("div").classes("space")
            self._place = text("", "muted num")
            self._back = icon_button("chevron_left", "Previous page", self._turn_back)
            self._on = icon_button("chevron_right", "Next page", self._turn_on)
        self._bar.set_visibility(False)

    @property
    def is_at_start(self) -> bool:
        """Whether the first page is shown."""
        return len(self._pages) == 1

    def restart(self) -> None:
        """Begin anew with the first page."""
        self._pages, self._following = [(0, None)], (0, None)

    async def page(self) -> JsonValue:
        """The page as it is now. None where it was asked for once more meanwhile: the last question counts."""
        self._asked += 1
        asked = self._asked
        told = await self._fetch(self._pages[-1][1])
        if asked != self._asked:
            return None
        if not told["items"] and not self.is_at_start:
            self._pages.pop()
            return await self.page()
        self._show(len(told["items"]), told["total"], told["next"])
        return told

    def _show(self, shown: int, total: int | None, following: JsonValue) -> None:
        before = self._pages[-1][0]
        self._following = (before + shown, following)
        of = f" of {count(total)}" if total is not None else ""
        self._place.text = f"{count(before + 1)}–{count(before + shown)}{of}"
        self._back.set_enabled(not self.is_at_start)
        self._on.set_enabled(following is not None)
        self._bar.set_visibility(not self.is_at_start or following is not None)

    async def _turn_back(self) -> None:
        if not self.is_at_start:
            self._pages.pop()
            await self._turn()

    async def _turn_on(self) -> None:
        if self._following[1] is not None:
            if self._pages[-1] != self._following:  # a second click comes before the page does
                self._pages.append(self._following)
            await self._turn()

    async def _turn(self) -> None:
        await self._turned()
        ui.run_javascript("window.scrollTo(0, 0)")
