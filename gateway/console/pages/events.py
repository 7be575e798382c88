"""Debug events as they come: what went into converters, and what came out."""

from functools import partial
from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.frame import page
from gateway.console.listing import Column, Row, plain_table, search_box, typed
from gateway.console.pages.event_sheet import show_event
from gateway.console.payloads import cut, written
from gateway.console.session import Session
from gateway.console.times import exact, millis, moment
from gateway.console.widgets import button, choice, empty, icon_button, live, note, say_done, text
from gateway.model import JsonValue

PAGE: Final = 100
"""Events that are asked for at a time, and most that come in one go."""

SHOWN_MAX: Final = 200
"""Most that are kept in the page while it follows."""

CUT: Final = 120
"""Characters of a payload or a result in the list."""

LOOK_TICKS: Final = 10
"""How many ticks pass until it is looked again which integrations are debugged: there may be very many."""

OFFERED_MAX: Final = 8
"""Most integrations whose debugging can be switched on without choosing them."""

_COLUMNS: Final = (
    Column("time", "Time", "open"),
    Column("integration", "Integration", wide_only=True),
    Column("device", "Device"),
    Column("in", "In", "cut", wide_only=True),
    Column("out", "Out or error", "outcome"),
    Column("took", "Took", wide_only=True, right=True),
)


@page("/events", "Events", icon="o_receipt_long", group="Watch", order=2)
async def events(session: Session) -> None:
    """The newest ones, and those that come."""
    tail = Tail(session, await session.api.get_all("/integrations"))
    await tail.restart()
    live(1.0, tail.follow)


class Tail:
    """The list, which follows; each second of that is a tick."""

    def __init__(self, session: Session, integrations: list[JsonValue]) -> None:
        self._session = session
        self._integrations = integrations
        self._last = 0
        self._before: int | None = None
        self._number = 0
        self._is_paused = False
        self._ticks = 0
        self._told: object = None
        self._filters()
        self._hint = ui.element("div").style("width: 100%")
        self._table = plain_table(_COLUMNS, partial(show_event, session))
        self._nothing = ui.element("section").classes("panel")
        with ui.element("div").classes("bar"):
            self._count = text("", "muted small")
            ui.element("div").classes("space")
            self._older = button("Older ones", self._show_older, icon="expand_more")

    def _filters(self) -> None:
        names = [one["name"] for one in self._integrations]
        asked = self._session.asked("integration")
        with ui.element("div").classes("bar"):
            self._integration = choice(names, "Integration", asked if asked in names else None, clearable=True)
            self._integration.props("outlined dense").on_value_change(self.restart)
            self._device = search_box("Device, principal or address", self._session.asked("device"), self.restart)
            self._errors = ui.switch("Errors only", value=bool(self._session.asked("errors")))
            self._errors.on_value_change(self.restart)
            ui.element("div").classes("space")
            self._state = text("live", "badge good live-dot")
            self._pause = icon_button("o_pause", "Pause", self._switch)

    def _query(self) -> dict[str, JsonValue]:
        return {
            "integration": self._integration.value or None,
            "device": typed(self._device) or None,
            "errors": self._errors.value or None,
        }

    async def _switch(self) -> None:
        self._is_paused = not self._is_paused
        self._pause.props(f"icon={'o_play_arrow' if self._is_paused else 'o_pause'}")
        self._pause.props(f"aria-label={'Resume' if self._is_paused else 'Pause'}")
        self._state.text = "paused" if self._is_paused else "live"
        self._state.classes(replace=f"badge {'warn' if self._is_paused else 'good live-dot'}")
        await self.follow()

    async def restart(self) -> None:
        """Show the newest ones of what is wanted now."""
        self._number += 1
        number = self._number
        told = await self._session.api.get("/events", **self._query(), limit=PAGE)
        if number != self._number:
            return
        items = told["items"]
        self._last = items[0]["id"] if items else 0
        self._before = told["next"]
        self._table.rows = [_row(one, self._session) for one in items]
        self._show_state()

    async def follow(self) -> None:
        """Put those in front that have come since."""
        self._ticks += 1
        if self._is_paused:
            return
        if self._ticks % LOOK_TICKS == 0:
            await self._look()
        number = self._number
        told = await self._session.api.get("/events", **self._query(), after=self._last, limit=PAGE)
        if number != self._number or self._is_paused:
            return
        items = told["items"]
        if len(items) == PAGE and told["next"] is not None:
            await self.restart()  # more have come than anyone could read
            return
        if items:
            self._last = items[0]["id"]
            rows = [_row(one, self._session) for one in items] + self._table.rows
            if len(rows) > SHOWN_MAX:
                self._before = rows[SHOWN_MAX - 1]["id"]
            self._table.rows = rows[:SHOWN_MAX]
            self._show_state()

    async def _show_older(self) -> None:
        number = self._number
        told = await self._session.api.get("/events", **self._query(), before=self._before, limit=PAGE)
        if number != self._number:
            return
        self._before = told["next"]
        if not self._is_paused and len(self._table.rows) + PAGE > SHOWN_MAX:
            await self._switch()  # or the next one that comes would push them out
        self._table.rows = [*self._table.rows, *(_row(one, self._session) for one in told["items"])]
        self._show_count()

    async def _look(self) -> None:
        """Ask which integrations are debugged now."""
        self._integrations = await self._session.api.get_all("/integrations")
        self._show_state()

    def _show_state(self) -> None:
        """Say what there is, and why nothing is or comes."""
        self._show_count()
        rows, wanted = self._table.rows, self._integration.value
        chosen = [one for one in self._integrations if wanted in (None, one["name"])]
        modes = [(one["name"], one["debug"]) for one in chosen]
        state = (bool(rows), modes, self._errors.value, typed(self._device))
        if state == self._told:
            return
        self._told = state
        self._table.set_visibility(bool(rows))
        self._nothing.set_visibility(not rows)
        self._hint.clear()
        self._nothing.clear()
        recorded = {"all", "failures"} if self._errors.value else {"all"}
        is_on = any(mode in recorded for _, mode in modes)
        if rows and not is_on:
            with self._hint, note("No others will come: debugging " + _mode(modes), tone="warn"):
                self._offer(modes)
        if not rows:
            with self._nothing:
                self._show_nothing(modes, is_on=is_on)

    def _show_count(self) -> None:
        shown = len(self._table.rows)
        self._count.text = f"{shown} events" if shown != 1 else "1 event"
        self._count.set_visibility(shown > 1)
        self._older.set_visibility(self._before is not None)

    def _show_nothing(self, modes: list[tuple[str, str]], *, is_on: bool) -> None:
        if not modes:
            with empty("o_receipt_long", "No events", "There is no integration yet, so nothing can come."):
                button("Integrations", lambda: ui.navigate.to("/integrations"))
        elif is_on:
            empty("o_receipt_long", "Nothing yet", "Events are shown here as soon as a device sends something.")
        else:
            with empty("o_bug_report", "No events", f"Debugging {_mode(modes)}."):
                self._offer(modes)

    def _offer(self, modes: list[tuple[str, str]]) -> None:
        """Buttons that switch debugging on."""
        if not self._session.is_admin:
            text("An admin can switch it on.", "muted")
            return
        with ui.element("div").classes("bar offers"):
            for name, _ in modes[:OFFERED_MAX]:
                button(f"Record all of {name} for 15 minutes", partial(self._record, name), icon="o_bug_report")
            if len(modes) > OFFERED_MAX:
                text("or choose an integration above", "muted")

    async def _record(self, name: str) -> None:
        await self._session.api.post(f"/integrations/{quote(name, safe='')}/debug", {"mode": "all"})
        say_done(f"All events of {name} are recorded for 15 minutes.")
        await self._look()


def _mode(modes: list[tuple[str, str]]) -> str:
    of = f" of {modes[0][0]}" if len(modes) == 1 else ""
    if any(mode == "failures" for _, mode in modes):
        return f"{of} records failures only".strip()
    return f"{of} is off".strip()


def _row(one: JsonValue, session: Session) -> Row:
    names = one["names"]
    device = ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")
    failed = one["error"] is not None
    out = one["error"] if failed else "" if one["out"] is None else written(one["out"])
    return {
        "id": one["id"],
        "time": exact(one["ts"], session.zone),
        "moment": moment(one["ts"], session.zone),
        "integration": one["integration"],
        "device": cut(device or one["principal"] or one["peer"], 60),
        "in": cut(one["payload"], CUT),
        "out": cut(out, CUT),
        "tone": "bad" if failed else "",
        "took": millis(one["duration_ms"]),
    }
