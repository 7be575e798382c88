"""Devices and assets: whom the gateway has heard from."""

from typing import Final
from urllib.parse import urlencode

from nicegui import ui

from gateway.console.frame import PREFIX, page
from gateway.console.listing import Column, PagedTable, Row, search_box, typed
from gateway.console.pager import PAGE
from gateway.console.session import Session
from gateway.console.times import ago, count, moment
from gateway.console.widgets import empty, live, text
from gateway.model import JsonValue

REFRESH_S: Final = 5.0
"""How often it is looked who was heard of."""

_COLUMNS: Final = (
    Column("name", "Name", "link"),
    Column("type", "Type", wide_only=True),
    Column("kind", "", "badge", wide_only=True),
    Column("first", "First seen", wide_only=True),
    Column("last", "Last seen", right=True),
)


@page("/devices", "Devices", icon="o_sensors", group="Watch", order=1)
async def devices(session: Session) -> None:
    """A page of them at a time, by name."""
    with ui.element("div").classes("bar"):
        search = search_box("Search by name", session.asked("search"), lambda: table.restart())
        summary = text("", "muted")

    async def fetch(after: JsonValue) -> JsonValue:
        return await session.api.get("/devices", search=typed(search) or None, limit=PAGE, offset=after)

    def summarise(told: JsonValue) -> None:
        summary.text = _summary(told["total"], is_searched=bool(typed(search)))

    def nothing() -> None:
        if typed(search):
            empty("search_off", "No such device", "No name of a device or an asset contains this.")
        else:
            empty("o_sensors", "No device yet", "A device is here as soon as a converter has made a report of it.")

    table = PagedTable(_COLUMNS, fetch, lambda one: _row(one, session), nothing=nothing, on_shown=summarise)
    await table.reload()
    live(REFRESH_S, table.reload)


def _summary(total: int, *, is_searched: bool) -> str:
    if not total:
        return ""
    what = "1 device or asset" if total == 1 else f"{count(total)} devices and assets"
    return f"{what} found" if is_searched else what


def _row(one: JsonValue, session: Session) -> Row:
    where = urlencode({"name": one["name"], "kind": one["kind"]})
    return {
        "id": f"{one['kind']} {one['name']}",
        "name": one["name"],
        "href": f"{PREFIX}/devices/show?{where}",
        "type": one["type"],
        "kind": "asset" if one["kind"] == "asset" else "",
        "tone": "accent",
        "first": moment(one["first_seen_ts"], session.zone),
        "last": ago(one["last_seen_ts"]),
    }
