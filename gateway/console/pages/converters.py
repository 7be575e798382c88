"""Converters: what makes device reports of payloads."""

from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.frame import page
from gateway.console.pages.converter_import import import_converters
from gateway.console.pages.converter_templates import LANGUAGES
from gateway.console.session import Session
from gateway.console.widgets import badge, button, confirm, empty, icon_button, panel, say_done, text
from gateway.model import JsonValue

SHOWN_MAX: Final = 1000
"""Most that are listed."""


@page("/converters", "Converters", icon="o_transform", group="Set up", order=2)
async def converters(session: Session) -> None:
    """What there is, and how to get another."""

    async def reload() -> None:
        told = await session.api.get("/converters", limit=SHOWN_MAX)
        summary.text = _summary(told["total"])
        found.clear()
        with found:
            for one in told["items"]:
                _row(session, one, reload)
            if not told["items"]:
                _nothing(session)

    with ui.element("div").classes("bar"):
        summary = text("", "muted")
        ui.element("div").classes("space")
        if session.is_admin:
            button("Import", lambda: import_converters(session, reload), icon="o_upload_file")
            button("New converter", lambda: ui.navigate.to("/converters/new"), icon="add", main=True)
    with panel():
        found = ui.element("div").classes("rows")
    await reload()


def _summary(total: int) -> str:
    if total > SHOWN_MAX:
        return f"the first {SHOWN_MAX} of {total} converters"
    return "" if not total else "1 converter" if total == 1 else f"{total} converters"


def _nothing(session: Session) -> None:
    made = empty(
        "o_transform",
        "No converter yet",
        "A converter makes device reports of what devices send. Begin with a template, or import one from ThingsBoard.",
    )
    if session.is_admin:
        with made:
            button("New converter", lambda: ui.navigate.to("/converters/new"), icon="add")


def _row(session: Session, one: JsonValue, reload: object) -> None:
    async def delete() -> None:
        if await confirm(f"Delete {one['name']}?", "Its source and its example cases are gone then.", do="Delete"):
            await session.api.delete(f"/converters/{quote(one['name'], safe='')}")
            say_done(f"{one['name']} is deleted.")
            assert callable(reload)
            await reload()

    with ui.element("div").classes("row-item"):
        ui.link(one["name"], f"/converters/edit?name={quote(one['name'], safe='')}").classes("strong cut")
        badge(LANGUAGES[one["language"]], "accent")
        details = [_number(one["lines"], "line"), _number(one["case_count"], "example case")]
        text(" · ".join(details), "muted small")
        ui.element("div").classes("space")
        used = one["used_by"]
        if used:
            what = ", ".join(used[:3]) + (f" and {len(used) - 3} more" if len(used) > 3 else "")
            text(f"used by {what}", "muted small cut")
        elif session.is_admin:
            text("not used", "muted small")
            icon_button("o_delete", "Delete", delete)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
