"""Converters: what makes device reports of payloads."""

from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.assets import PREFIX
from gateway.console.frame import page
from gateway.console.listing import Column, PagedTable, Row, search_box, typed
from gateway.console.pager import PAGE
from gateway.console.pages.converter_import import import_converters
from gateway.console.pages.converter_templates import LANGUAGES
from gateway.console.session import Session
from gateway.console.times import count
from gateway.console.widgets import button, confirm, empty, say_done, text
from gateway.model import JsonValue

_COLUMNS: Final = (
    Column("name", "Name", "link"),
    Column("language", "Language", "badge"),
    Column("lines", "Lines", wide_only=True, right=True),
    Column("cases", "Example cases", wide_only=True, right=True),
    Column("used", "Used by"),
)
_DELETE: Final = Column("o_delete", "Delete", "act")


@page("/converters", "Converters", icon="o_transform", group="Set up", order=2)
async def converters(session: Session) -> None:
    """A page of them at a time, by name, and how to get another."""

    async def fetch(after: JsonValue) -> JsonValue:
        return await session.api.get("/converters", search=typed(search) or None, limit=PAGE, offset=after)

    def summarise(told: JsonValue) -> None:
        summary.text = _summary(told["total"], is_searched=bool(typed(search)))

    def nothing() -> None:
        if typed(search):
            empty("search_off", "No such converter", "No converter's name contains this.")
        else:
            _nothing(session)

    async def delete(name: JsonValue) -> None:
        if await confirm(f"Delete {name}?", "Its source and its example cases are gone then.", do="Delete"):
            await session.api.delete(f"/converters/{quote(name, safe='')}")
            say_done(f"{name} is deleted.")
            await table.reload()

    with ui.element("div").classes("bar"):
        search = search_box("Search by name", "", lambda: table.restart())
        summary = text("", "muted")
        ui.element("div").classes("space")
        if session.is_admin:
            button("Import", lambda: import_converters(session, table.reload), icon="o_upload_file")
            button("New converter", lambda: ui.navigate.to("/converters/new"), icon="add", main=True)
    columns = (*_COLUMNS, _DELETE) if session.is_admin else _COLUMNS
    table = PagedTable(columns, fetch, _row, nothing=nothing, on_act=delete, on_shown=summarise)
    await table.reload()


def _summary(total: int, *, is_searched: bool) -> str:
    if not total:
        return ""
    what = "1 converter" if total == 1 else f"{count(total)} converters"
    return f"{what} found" if is_searched else what


def _nothing(session: Session) -> None:
    made = empty(
        "o_transform",
        "No converter yet",
        "A converter makes device reports of what devices send. Begin with a template, or import one from ThingsBoard.",
    )
    if session.is_admin:
        with made:
            button("New converter", lambda: ui.navigate.to("/converters/new"), icon="add")


def _row(one: JsonValue) -> Row:
    used = one["used_by"]
    return {
        "id": one["name"],
        "name": one["name"],
        "href": f"{PREFIX}/converters/edit?name={quote(one['name'], safe='')}",
        "language": LANGUAGES[one["language"]],
        "tone": "accent",
        "lines": count(one["lines"]),
        "cases": count(one["case_count"]),
        "used": ", ".join(used[:3]) + (f" and {len(used) - 3} more" if len(used) > 3 else "") if used else "not used",
        "stays": bool(used),
    }
