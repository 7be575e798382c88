"""Identities with a pre-shared key. Keys are shown by nothing but the answer that generates one."""

from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.forms import Form
from gateway.console.listing import Column, PagedTable, search_box, typed
from gateway.console.pager import PAGE
from gateway.console.session import Session
from gateway.console.times import moment
from gateway.console.widgets import Text, button, code_line, confirm, empty, note, say_done
from gateway.model import JsonValue

_COLUMNS: Final = (Column("identity", "Identity"), Column("added", "Key added", right=True))
_REMOVE: Final = Column("o_delete", "Remove", "act")
_WAYS: Final = {"generated": "Generate one", "key": "As text", "key_hex": "In hex"}


async def show_psks(session: Session) -> None:
    """A page of them at a time; an admin may add and remove some."""

    async def fetch(after: JsonValue) -> JsonValue:
        return await session.api.get("/psk", search=typed(search) or None, limit=PAGE, after=after)

    def nothing() -> None:
        if typed(search):
            empty("search_off", "No such identity", "No identity with a key contains this.")
        else:
            empty("o_key", "No pre-shared key", "A device with a key of its own needs no certificate.")

    async def remove(identity: JsonValue) -> None:
        what = "Its sessions end, and the device can't come in with this key any more."
        if await confirm(f"Remove the key of {identity}?", what, do="Remove"):
            await session.api.delete(f"/psk/{quote(identity, safe='')}")
            say_done(f"The key of {identity} is removed.")
            await table.reload()

    with ui.element("div").classes("bar"):
        search = search_box("Search by identity", "", lambda: table.restart())
        ui.element("div").classes("space")
        if session.is_admin:
            button("Add an identity", lambda: _add(session, table), icon="add", main=True)
    columns = (*_COLUMNS, _REMOVE) if session.is_admin else _COLUMNS
    table = PagedTable(
        columns,
        fetch,
        lambda one: {
            "id": one["identity"],
            "identity": one["identity"],
            "added": moment(one["added_ts"], session.zone),
        },
        nothing=nothing,
        on_act=remove,
    )
    await table.reload()


def _add(session: Session, table: PagedTable) -> None:
    with ui.dialog().props("persistent") as dialog, ui.card().classes("dialog"):
        Text("h2", "Add an identity")
        form = Form()
        identity = form.add(
            "identity", ui.input("Identity").props("autofocus"), hint="what the device calls itself in its handshake"
        )
        way = ui.toggle(_WAYS, value="generated").props("dense unelevated no-caps")
        key = form.add("key", ui.input("Key", password=True).props("autocomplete=off"), hint="at least 16 characters")
        key_hex = form.add("key_hex", ui.input("Key in hex", password=True).props("autocomplete=off"))
        key.bind_visibility_from(way, "value", lambda chosen: chosen == "key")
        key_hex.bind_visibility_from(way, "value", lambda chosen: chosen == "key_hex")
        replace = ui.switch("Replace the key that it has")

        async def add() -> None:
            body: dict[str, JsonValue] = {"identity": identity.value.strip(), "replace": replace.value}
            field = {"key": key, "key_hex": key_hex}.get(way.value)
            if field is not None:
                body[way.value] = field.value
                if not field.value:
                    form.clear()
                    form.say(way.value, "the key is missing")
                    return
            answer: list[JsonValue] = []

            async def request() -> None:
                answer.append(await session.api.post("/psk", body))

            if await form.sends(request()):
                dialog.close()
                _show_added(answer[0])
                await table.reload()

        form.actions("Add", add, dialog)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _show_added(added: JsonValue) -> None:
    if added["key"] is None and not added["weak"]:
        say_done(f"{added['identity']} has its key.")
        return
    with ui.dialog().props("persistent") as dialog, ui.card().classes("dialog"):
        Text("h2", f"The key of {added['identity']}")
        if added["weak"]:
            note("This key is shorter than it should be.", "use at least 16 bytes that nobody can guess", "warn")
        if added["key"] is not None:
            note("It is shown only now.", "copy it to the device before you close this", "warn")
            Text("div", "As text").classes("muted small")
            code_line(added["key"], name="Copy the key")
            Text("div", "The same in hex").classes("muted small")
            code_line(added["key_hex"], name="Copy the key in hex")
        with ui.element("div").classes("actions"):
            ui.button("Done", on_click=dialog.close).props("unelevated color=primary")
    dialog.on("hide", dialog.delete)
    dialog.open()
