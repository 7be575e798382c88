"""A device or an asset: who it is, and what it has sent."""

import time
from typing import Final
from urllib.parse import quote, urlencode

from nicegui import ui

from gateway.console.frame import page, retitle
from gateway.console.listing import search_box, typed
from gateway.console.pages.device_history import History
from gateway.console.payloads import cut, pretty, written
from gateway.console.session import Session
from gateway.console.times import ago, exact, moment
from gateway.console.widgets import Text, badge, code_block, copy_button, facts, live, panel, text
from gateway.model import JsonValue

REFRESH_S: Final = 2.0
"""How often it is looked what it has sent."""

KEYS_SHOWN_MAX: Final = 100
"""Most keys of a table; the others are found by searching."""

SEARCHED_FROM: Final = 12
"""So many keys have a field to search them with."""

VALUE_CHARACTERS_MAX: Final = 300
RPC_CHARACTERS_MAX: Final = 4_000
"""Most that is shown of a value, and of a call."""


@page("/devices/show", "Device")
async def device(session: Session) -> None:
    """Its latest values, their history, its attributes."""
    name, kind = session.asked("name"), session.asked("kind") or "device"
    retitle(name)
    details = await session.api.get(_path(name), kind=kind)
    _Page(session, name, kind, details)


def _path(name: str) -> str:
    return f"/devices/{quote(name, safe='')}"


class _Page:
    def __init__(self, session: Session, name: str, kind: str, details: JsonValue) -> None:
        self._session = session
        self._name = name
        self._kind = kind
        self._identity(details)
        with ui.element("div").classes("device-parts"):
            with panel("Latest telemetry"):
                self._telemetry = _Values(session, "It has sent no telemetry yet.", self._chosen)
            self._history = History(session, _path(name), kind, details["telemetry"])
        with ui.element("div").classes("grid wide"):
            with panel("Attributes"):
                self._attributes = _Values(session, "It has sent no attributes yet.")
            if kind == "device":
                self._downlink()
        self._show(details)
        live(REFRESH_S, self._refresh)

    def _identity(self, details: JsonValue) -> None:
        with panel():
            with ui.element("div").classes("panel-title"):
                text(self._name).style("overflow-wrap: anywhere")
                copy_button(self._name, name="Copy the name")
                badge(details["type"], "accent")
                if self._kind == "asset":
                    badge("asset")
                ui.element("div").classes("space")
                self._seen = text("", "muted small")
            rows = [
                ("Principal", details["principal"] or "none: it was heard over plain CoAP"),
                ("Customer", details["customer"]),
                ("Group", details["group"]),
                ("First seen", moment(details["first_seen_ts"], self._session.zone)),
            ]
            facts([(title, value) for title, value in rows if value])
            if self._kind == "device":
                where = urlencode({"device": self._name}, quote_via=quote)
                ui.link("Its debug events", f"/events?{where}").classes("small")

    def _downlink(self) -> None:
        """What ThingsBoard has sent for it."""
        with panel("Shared attributes"):
            self._shared = _Values(self._session, "ThingsBoard has set none.")
        with panel("Last remote procedure call"):
            self._rpc_when = text("", "muted")
            self._rpc = code_block("")

    async def _refresh(self) -> None:
        self._show(await self._session.api.get(_path(self._name), kind=self._kind))
        await self._history.follow()

    def _show(self, details: JsonValue) -> None:
        self._seen.text = f"last seen {ago(details['last_seen_ts'])}"
        self._telemetry.show(details["telemetry"])
        self._attributes.show(details["attributes"])
        self._history.know(details["telemetry"])
        if self._kind != "device":
            return
        self._shared.show(details["shared_attributes"])
        call = details["last_rpc"]
        self._rpc_when.text = moment(call["ts"], self._session.zone) if call else "ThingsBoard has made none."
        self._rpc.text = cut(pretty(written(call["value"])), RPC_CHARACTERS_MAX) if call else ""
        self._rpc.set_visibility(bool(call))

    async def _chosen(self, key: str) -> None:
        await self._history.choose(key)


class _Values:
    """Keys with their values, which follow what comes in."""

    def __init__(self, session: Session, nothing: str, choose: object = None) -> None:
        self._session = session
        self._choose = choose
        self._values: JsonValue = {}
        self._shown: dict[str, tuple[Text, Text]] = {}
        self._search = search_box("Search keys", "", self._arrange)
        self._search.set_visibility(False)
        with ui.element("div").classes("values"), ui.element("table").classes("plain"):
            self._body = ui.element("tbody")
        self._more = text(nothing, "muted")
        self._nothing = nothing

    def show(self, values: JsonValue) -> None:
        """Have these there."""
        is_other = values.keys() != self._values.keys()
        self._values = values
        if is_other:
            self._search.set_visibility(len(values) >= SEARCHED_FROM)
            self._arrange()
        for key, (value, when) in self._shown.items():
            value.text = cut(written(values[key]["value"]), VALUE_CHARACTERS_MAX)
            when.text = self._when(values[key]["ts"])

    def _arrange(self) -> None:
        wanted = typed(self._search).casefold()
        keys = [key for key in self._values if wanted in key.casefold()]
        self._body.clear()
        self._shown = {}
        with self._body:
            for key in keys[:KEYS_SHOWN_MAX]:
                self._line(key)
        hidden = len(keys) - KEYS_SHOWN_MAX
        self._more.text = f"and {hidden} more: search for them" if self._values else self._nothing
        self._more.set_visibility(hidden > 0 or not self._values)
        if self._values:
            self.show(self._values)

    def _line(self, key: str) -> None:
        with ui.element("tr"):
            with ui.element("td"):
                if callable(self._choose):
                    choose = self._choose
                    made = Text("button", key).classes("row-open").props('type="button"')
                    made.on("click", lambda: choose(key))
                else:
                    text(key)
            value = Text("td", "").classes("num strong")
            when = Text("td", "").classes("right muted small num")
        self._shown[key] = (value, when)

    def _when(self, ts_ms: int) -> str:
        is_recent = 0 <= time.time() * 1000 - ts_ms < 43_200_000
        return exact(ts_ms, self._session.zone)[:-4] if is_recent else moment(ts_ms, self._session.zone)
