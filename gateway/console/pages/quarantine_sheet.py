"""All that there is to say of one uplink in the quarantine."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.pages.quarantine_runs import delete, dry_run, replay
from gateway.console.payloads import cut, pretty, show_pairs, show_payload
from gateway.console.session import Session
from gateway.console.sheets import sheet
from gateway.console.times import moment
from gateway.console.widgets import Text, badge, button, code_block, facts, note
from gateway.model import JsonValue

_KINDS = {"psk": "pre-shared key", "x509": "certificate", "rpk": "raw public key"}


async def show_quarantined(session: Session, id: int, changed: Callable[[], Awaitable[None]]) -> None:
    """Open it; `changed` is told when it has left."""
    one = await session.api.get(f"/quarantine/{id}")
    sink = one["sink"]
    with sheet(f"{one['integration']} · {one['id']}") as dialog:
        if sink:
            badge(f"a report that {sink} refused", "warn")
        Text("h3", "Error")
        code_block(cut(one["error"])).classes("bad")
        facts(
            [
                ("Received", moment(one["received_ts"], session.zone)),
                ("Integration", one["integration"]),
                ("Principal", _principal(one)),
            ]
        )
        if not sink:
            await _converter(session, one["integration"])
        if session.is_admin:
            _actions(session, id, dialog, changed)
        if sink:
            Text("h3", "Report")
            code_block(cut(pretty(one["payload"])))
        else:
            show_payload(one["payload_format"], one["payload"], one["payload_hex"])
            show_pairs("Metadata", one["metadata"])


def _actions(session: Session, id: int, dialog: ui.dialog, changed: Callable[[], Awaitable[None]]) -> None:
    async def done() -> None:
        dialog.close()
        await changed()

    choice: dict[str, JsonValue] = {"ids": [id]}
    with ui.element("div").classes("bar"):
        button("Replay", lambda: replay(session, choice, "this one", done), icon="replay", main=True)
        button("Dry run", lambda: dry_run(session, choice, "this one"), icon="o_science")
        button("Delete …", lambda: delete(session, choice, "this one", done), icon="o_delete")


async def _converter(session: Session, integration: str) -> None:
    """The way to what is to be mended, where it is still there."""
    try:
        known = await session.api.get(f"/integrations/{quote(integration, safe='')}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
        note("Its integration is no longer there, so it can't be replayed.", tone="warn")
        return
    name = known["converter"]
    ui.link(f"Mend its converter {name}", f"/converters/edit?name={quote(name, safe='')}")


def _principal(one: JsonValue) -> str:
    if one["principal"] is None:
        return "none: plain CoAP"
    return f"{one['principal']} ({_KINDS.get(one['principal_type'], '')})"
