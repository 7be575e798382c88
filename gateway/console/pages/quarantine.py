"""The quarantine: uplinks that a converter failed on, and reports that a sink's receiver refused."""

from functools import partial
from typing import Final

from nicegui import ui

from gateway.console.frame import page
from gateway.console.listing import Column, PagedTable, Row
from gateway.console.pager import PAGE
from gateway.console.pages.quarantine_runs import delete, dry_run, replay
from gateway.console.pages.quarantine_sheet import show_quarantined
from gateway.console.payloads import cut
from gateway.console.session import Session
from gateway.console.times import count, moment
from gateway.console.widgets import button, choice, empty, live, text
from gateway.model import JsonValue

REFRESH_S: Final = 3.0

CUT: Final = 160
"""Characters of a payload or an error in the list."""

_COLUMNS: Final = (
    Column("received", "Received", "open"),
    Column("integration", "Integration", wide_only=True),
    Column("sink", "", "badge", wide_only=True),
    Column("in", "In", "cut", wide_only=True),
    Column("error", "Error", "outcome"),
)


@page("/quarantine", "Quarantine", icon="o_report_problem", group="Watch", order=3)
async def quarantine(session: Session) -> None:
    """What is there, and what can be done about it."""
    integrations = await session.api.get_all("/integrations")
    listed = _Quarantine(session, [one["name"] for one in integrations])
    await listed.reload()
    live(REFRESH_S, listed.reload)


class _Quarantine:
    def __init__(self, session: Session, integrations: list[str]) -> None:
        self._session = session
        asked = session.asked("integration")
        with ui.element("div").classes("bar"):
            names = sorted({*integrations, *filter(None, (asked,))})
            self._integration = choice(names, "Integration", asked or None, clearable=True)
            self._integration.props("outlined dense").on_value_change(self._restart)
            self._summary = text("", "muted")
            ui.element("div").classes("space")
            self._actions = ui.element("div").classes("bar buttons")
        self._table = PagedTable(
            _COLUMNS,
            self._fetch,
            lambda one: _row(one, session),
            nothing=self._nothing,
            on_open=lambda id: show_quarantined(session, id, self.reload),
            on_select=self._show_actions if session.is_admin else None,
            on_shown=self._show_total,
        )
        self._shown: object = None

    async def _fetch(self, after: JsonValue) -> JsonValue:
        return await self._session.api.get(
            "/quarantine", integration=self._integration.value or None, after=after, limit=PAGE
        )

    async def reload(self) -> None:
        """Show it as it is now."""
        await self._table.reload()

    def _show_total(self, told: JsonValue) -> None:
        total = told["total"]
        self._summary.text = "" if not total else "1 in quarantine" if total == 1 else f"{count(total)} in quarantine"
        self._show_actions()

    def _show_actions(self) -> None:
        """What the buttons do is what is ticked, or else all that is listed."""
        chosen, total = self._table.selected, self._table.total or 0
        shown = (chosen, total > 0, self._integration.value)
        if shown == self._shown or not self._session.is_admin:
            return
        self._shown = shown
        self._actions.clear()
        if not total:
            return
        choice, what = self._choice()
        with self._actions:
            button("Delete …", partial(delete, self._session, choice, what, self._restart), icon="o_delete")
            button("Dry run", partial(dry_run, self._session, choice, what), icon="o_science")
            button(
                f"Replay {what}", partial(replay, self._session, choice, what, self._restart), icon="replay", main=True
            )

    def _choice(self) -> tuple[dict[str, JsonValue], str]:
        if ids := self._table.selected:
            return {"ids": ids}, f"the {len(ids)} selected" if len(ids) > 1 else "the selected one"
        if self._integration.value:
            return {"integration": self._integration.value}, f"all of {cut(self._integration.value, 30)}"
        return {"all": True}, "all"

    async def _restart(self) -> None:
        await self._table.restart()

    def _nothing(self) -> None:
        empty(
            "o_verified",
            "Nothing is in quarantine",
            "Uplinks that a converter fails on are kept here, so that they can be replayed once it is mended.",
        )


def _row(one: JsonValue, session: Session) -> Row:
    return {
        "id": one["id"],
        "received": moment(one["received_ts"], session.zone),
        "integration": one["integration"],
        "sink": f"refused by {one['sink']}" if one["sink"] else "",
        "in": cut(one["payload"], CUT),
        "error": cut(one["error"], CUT),
        "tone": "bad",
    }
