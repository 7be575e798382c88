"""All that there is to say of one debug event."""

from urllib.parse import quote, urlencode

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.payloads import cut, pretty, show_pairs, show_payload, written
from gateway.console.session import Session
from gateway.console.sheets import sheet
from gateway.console.times import exact, millis, moment
from gateway.console.widgets import Text, badge, code_block, copy_button, facts, text
from gateway.model import JsonValue


async def show_event(session: Session, id: int) -> None:
    """Open it."""
    told = await session.api.get("/events", after=id - 1, before=id + 1, limit=1)
    if not told["items"]:
        raise ApiProblem(404, "Gone", "this event has made room for newer ones", "", {})
    one = told["items"][0]
    with sheet(f"{one['integration']} · {exact(one['ts'], session.zone)}"):
        with ui.element("div").classes("bar"):
            badge("failed", "bad") if one["error"] is not None else badge("converted", "good")
            text(millis(one["duration_ms"]), "muted small")
            ui.element("div").classes("space")
            copy_button(one["payload_hex"], name="Copy the payload in hex")
        if one["error"] is not None:
            Text("h3", "Error")
            code_block(cut(one["error"])).classes("bad")
        _facts(session, one)
        show_payload(one["payload_format"], one["payload"], one["payload_hex"], one["payload_bytes"])
        if one["out"] is not None:
            Text("h3", "Out")
            code_block(cut(one["out"] if isinstance(one["out"], str) else pretty(written(one["out"]))))
        show_pairs("Metadata", one["metadata"])


def _facts(session: Session, one: JsonValue) -> None:
    facts(
        [
            ("Received", moment(one["ts"], session.zone)),
            ("Device's address", one["peer"]),
            ("Principal", one["principal"] or "none: plain CoAP"),
        ]
    )
    with ui.element("div").classes("bar small"):
        for name in one["names"][:20]:
            ui.link(name, f"/devices/show?{urlencode({'name': name}, quote_via=quote)}")
