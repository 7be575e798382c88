"""The DTLS sessions that are established."""

from typing import Final

from nicegui import ui

from gateway.console.listing import Column, PagedTable, Row, search_box, typed
from gateway.console.pager import PAGE
from gateway.console.session import Session
from gateway.console.sheets import sheet
from gateway.console.times import ago, count, moment
from gateway.console.widgets import badge, button, confirm, empty, facts, live, say_done, text
from gateway.model import JsonValue

REFRESH_S: Final = 5.0

KINDS: Final = {"psk": "PSK", "x509": "certificate", "rpk": "raw public key"}

_COLUMNS: Final = (
    Column("principal", "Principal", "open"),
    Column("kind", "", "badge", wide_only=True),
    Column("address", "Address"),
    Column("since", "Since", wide_only=True),
    Column("heard", "Last heard", wide_only=True, right=True),
)
_END: Final = Column("o_link_off", "End the session of", "act")


async def show_sessions(session: Session) -> None:
    """A page of them at a time; an admin may end one."""
    known: dict[str, JsonValue] = {}

    async def fetch(after: JsonValue) -> JsonValue:
        told = await session.api.get("/sessions", search=typed(search) or None, limit=PAGE, after=after)
        return {**told, "total": None, "in_all": told["total"]}  # whatever is searched

    def keep(told: JsonValue) -> None:
        known.clear()
        known.update({one["id"]: one for one in told["items"]})
        total = told["in_all"]
        summary.text = "1 session in all" if total == 1 else f"{count(total)} sessions in all" if total else ""

    def nothing() -> None:
        if typed(search):
            empty("search_off", "No such session", "Neither a principal nor an address or a fingerprint contains this.")
        else:
            empty("o_shield", "No session", "A device that has made its DTLS handshake is here.")

    async def end(id: JsonValue) -> None:
        one = known.get(id)
        if one is not None and await _agreed(one):
            await session.api.delete(f"/sessions/{id}")
            say_done("The session has ended.")
            await table.reload()

    def opened(id: JsonValue) -> None:
        if id in known:
            _details(session, known[id], end)

    with ui.element("div").classes("bar"):
        search = search_box("Principal, address or fingerprint", "", lambda: table.restart())
        summary = text("", "muted")
    columns = (*_COLUMNS, _END) if session.is_admin else _COLUMNS
    table = PagedTable(
        columns,
        fetch,
        lambda one: _row(one, session),
        nothing=nothing,
        on_open=opened,
        on_act=end,
        on_shown=keep,
    )
    live(REFRESH_S, table.reload)


async def _agreed(one: JsonValue) -> bool:
    what = "The device is told, and can't resume it. With its credentials it may begin another one."
    return await confirm(f"End the session of {one['principal'] or one['address']}?", what, do="End it")


def _details(session: Session, one: JsonValue, end: object) -> None:
    with sheet(one["principal"] or one["address"]) as dialog:
        with ui.element("div").classes("bar"):
            badge(KINDS.get(one["principal_type"], "no identity"), "accent")
            if one["resumed"]:
                badge("resumed")
        facts(
            [
                ("Address", one["address"]),
                ("Cipher suite", one["cipher_suite"]),
                ("Connection ID", one["connection_id"] or "none"),
                ("Certificate's SHA-256", one["certificate_fingerprint"] or "none"),
                ("Established", moment(one["established_ts"], session.zone)),
                ("Last heard", moment(one["last_heard_ts"], session.zone)),
                ("Ends, if silent", moment(one["expires_ts"], session.zone)),
                ("Worker", str(one["worker"])),
            ]
        )
        if session.is_admin:

            async def work() -> None:
                dialog.close()
                assert callable(end)
                await end(one["id"])

            with ui.element("div").classes("bar"):
                button("End it …", work, icon="o_link_off")


def _row(one: JsonValue, session: Session) -> Row:
    return {
        "id": one["id"],
        "principal": one["principal"] or "none",
        "kind": KINDS.get(one["principal_type"], ""),
        "tone": "",
        "address": one["address"],
        "since": moment(one["established_ts"], session.zone),
        "heard": ago(one["last_heard_ts"]),
    }
