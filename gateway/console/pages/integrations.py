"""Integrations: the ways in for devices."""

import time
from functools import partial
from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.frame import page
from gateway.console.listing import search_box, typed
from gateway.console.pager import PAGE, Pager
from gateway.console.pages.integration_commands import show_commands
from gateway.console.pages.integration_form import change_integration
from gateway.console.session import Session
from gateway.console.times import count, span
from gateway.console.widgets import (
    Text,
    badge,
    button,
    code_line,
    confirm,
    empty,
    icon_button,
    live,
    menu_entry,
    panel,
    say_done,
    text,
)
from gateway.model import JsonValue

_RELOAD_S: Final = 5
"""How often it is looked whether somebody else has changed something."""

_DEBUG: Final = {"off": "Debug off", "failures": "Debug failures", "all": "Debug all"}
_DEBUG_CHOICES: Final = {"off": "Off", "failures": "Failures only", "all": "All, for 15 minutes"}


@page("/integrations", "Integrations", icon="o_hub", group="Set up", order=1)
async def integrations(session: Session) -> None:
    """What there is, and what can be done with each."""
    await _List(session).build()


class _List:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: JsonValue = None
        self._countdowns: list[tuple[Text, int]] = []
        self._ticks = 0

    async def build(self) -> None:
        with ui.element("div").classes("bar"):
            self._search = search_box("Search by name", "", self._restart)
            self._summary = text("", "muted")
            ui.element("div").classes("space")
            if self._session.is_admin:
                button("New integration", self._create, icon="add", main=True)
        self._cards = ui.element("div").classes("grid wide")
        self._pager = Pager(self._fetch, self.reload)
        await self.reload()
        live(1.0, self._tick)

    async def _fetch(self, after: JsonValue) -> JsonValue:
        return await self._session.api.get(
            "/integrations", search=typed(self._search) or None, limit=PAGE, offset=after
        )

    async def _restart(self) -> None:
        self._pager.restart()
        await self.reload()

    async def reload(self) -> None:
        told = await self._pager.page()
        if told is None:
            return
        is_searched = bool(typed(self._search))
        if (told, is_searched) == self._shown:
            return
        self._shown = told, is_searched
        self._summary.text = _summary(told["total"], is_searched=is_searched)
        self._countdowns = []
        self._cards.clear()
        with self._cards:
            for one in told["items"]:
                self._card(one)
            if not told["items"]:
                self._nothing()

    async def _tick(self) -> None:
        self._ticks += 1
        now_ms = time.time() * 1000
        over = False
        for element, until_ms in self._countdowns:
            over = over or now_ms >= until_ms
            element.text = f"for {span(max(0, until_ms - now_ms) / 1000)}"
        if over or self._ticks % _RELOAD_S == 0:
            await self.reload()

    def _nothing(self) -> None:
        if typed(self._search):
            with panel():
                empty("search_off", "No such integration", "No integration's name contains this.")
            return
        with panel(), empty("o_hub", "No integration yet", "An integration gives devices an address to send to."):
            if self._session.is_admin:
                button("New integration", self._create, icon="add")

    async def _create(self) -> None:
        converters = await self._converters()
        if not converters:
            ui.navigate.to("/converters/new")
            return
        change_integration(self._session, converters, None, self.reload)

    async def _converters(self) -> list[str]:
        return [one["name"] for one in await self._session.api.get_all("/converters")]

    def _card(self, one: JsonValue) -> None:
        with panel().classes("" if one["enabled"] else "faded"):
            with ui.element("div").classes("bar"):
                Text("h2", one["name"]).classes("panel-name cut")
                badge(one["security_mode"], "accent" if one["security_mode"] != "NO SECURE" else "")
                if not one["enabled"]:
                    badge("disabled", "warn")
                ui.element("div").classes("space")
                self._buttons(one)
            with ui.element("div").classes("bar small"):
                text("Converter", "muted")
                ui.link(one["converter"], f"/converters/edit?name={quote(one['converter'], safe='')}")
                self._extras(one)
            for url in one["endpoints"]:
                code_line(url, name="Copy the URL")
            if not one["endpoints"]:
                text("The settings leave off the listener that its security mode needs.", "muted")
            with ui.element("div").classes("bar"):
                ui.button("Send to it", icon="terminal", on_click=lambda: show_commands(self._session, one)).props(
                    "flat dense color=primary"
                )
                ui.element("div").classes("space")
                self._debug(one)

    def _extras(self, one: JsonValue) -> None:
        if one["identity_binding"] != "none":
            badge(f"identity binding {one['identity_binding']}")
        if one["require_principal"]:
            badge("identity needed")
        for key, value in list(one["metadata"].items())[:8]:
            badge(f"{key}={value}").classes("cut")

    def _buttons(self, one: JsonValue) -> None:
        if not self._session.is_admin:
            return

        async def change() -> None:
            change_integration(self._session, await self._converters(), one, self.reload)

        with ui.element("div").classes("together"):
            icon_button("o_edit", "Change", change)
            with (
                ui.button(icon="more_vert").props('flat round dense color=secondary aria-label="More"'),
                ui.menu().props('anchor="bottom right" self="top right" auto-close'),
            ):
                menu_entry("Disable" if one["enabled"] else "Enable", lambda: self._switch(one))
                menu_entry("Delete …", lambda: self._delete(one))

    async def _switch(self, one: JsonValue) -> None:
        await self._session.api.patch(_path(one), {"enabled": not one["enabled"]})
        say_done(f"{one['name']} is {'disabled' if one['enabled'] else 'enabled'}.")
        await self.reload()

    async def _delete(self, one: JsonValue) -> None:
        what = "Devices that send to it are answered 4.04 from then on. What they have sent stays."
        if await confirm(f"Delete {one['name']}?", what, do="Delete"):
            await self._session.api.delete(_path(one))
            say_done(f"{one['name']} is deleted.")
            await self.reload()

    def _debug(self, one: JsonValue) -> None:
        if one["debug_until_ts"] is not None:
            self._countdowns.append((text("", "muted small num"), one["debug_until_ts"]))
        mode = one["debug"]
        if not self._session.is_admin:
            badge(_DEBUG[mode], "accent" if mode == "all" else "")
            return
        opener = ui.button(_DEBUG[mode], icon="o_bug_report").props("flat dense icon-right=expand_more")
        opener.props(f"color={'primary' if mode == 'all' else 'secondary'}")
        with opener, ui.menu().props("auto-close"):
            for wanted, title in _DEBUG_CHOICES.items():
                menu_entry(title, partial(self._set_debug, one, wanted))
            ui.separator()
            menu_entry("See the events", lambda: ui.navigate.to(f"/events?integration={quote(one['name'])}"))

    async def _set_debug(self, one: JsonValue, mode: str) -> None:
        await self._session.api.post(f"{_path(one)}/debug", {"mode": mode})
        await self.reload()


def _summary(total: int, *, is_searched: bool) -> str:
    if not total:
        return ""
    what = "1 way in for devices" if total == 1 else f"{count(total)} ways in for devices"
    return f"{what} found" if is_searched else what


def _path(one: JsonValue) -> str:
    return f"/integrations/{quote(one['name'], safe='')}"
