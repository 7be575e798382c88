"""The certificates that the authority has issued to devices: found again, looked at, revoked."""

from typing import Final

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.listing import Column, PagedTable, Row, search_box, typed
from gateway.console.pager import PAGE
from gateway.console.session import Session
from gateway.console.sheets import sheet
from gateway.console.times import ago, moment
from gateway.console.widgets import (
    Tone,
    badge,
    button,
    confirm,
    empty,
    facts,
    in_page,
    note,
    panel,
    problem_note,
    say_done,
)
from gateway.model import JsonValue

NEAR_DAYS: Final = 30
"""An end of validity is worth a warning so many days before."""

_COLUMNS: Final = (
    Column("name", "Name", "open"),
    Column("names", "Alternative names", "cut", wide_only=True),
    Column("issued", "Issued", wide_only=True),
    Column("until", "Valid until", wide_only=True),
    Column("state", "State", "badge"),
)
_REVOKE: Final = Column("o_block", "Revoke", "act")


class IssuedList:
    """A page of them at a time; an admin may revoke one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, JsonValue] = {}
        """Those that are shown, by serial number."""
        with panel("Issued to devices"):
            with ui.element("div").classes("bar"):
                self._search = search_box("Name, serial number or fingerprint", "", in_page(self.restart))
            self._findings = ui.element("div").style("width: 100%")
            columns = (*_COLUMNS, _REVOKE) if session.is_admin else _COLUMNS
            self._table = PagedTable(
                columns,
                self._fetch,
                _row,
                nothing=self._nothing,
                on_open=self._open,
                on_act=self._revoke,
                on_shown=self._keep,
            )

    async def restart(self) -> None:
        """Show the newest of them. What the API refuses is said in place: it concerns no other part of the page."""
        try:
            await self._table.restart()
        except ApiProblem as problem:
            self._findings.clear()
            with self._findings:
                problem_note(problem)

    async def _fetch(self, after: JsonValue) -> JsonValue:
        search = typed(self._search) or None
        return await self._session.api.get("/certificates/clients", search=search, limit=PAGE, offset=after)

    def _keep(self, told: JsonValue) -> None:
        self._known = {one["serial"]: one for one in told["items"]}
        self._findings.clear()
        with self._findings:
            for finding in told["findings"]:
                note(finding, tone="warn")

    def _nothing(self) -> None:
        if typed(self._search):
            empty("search_off", "No such certificate", "No name, serial number or fingerprint contains this.")
        else:
            empty(
                "o_badge",
                "None is on record",
                "What is issued from now on, here or by gateway certs client, is listed.",
            )

    def _open(self, serial: JsonValue) -> None:
        if serial in self._known:
            self._details(self._known[serial])

    def _details(self, one: JsonValue) -> None:
        with sheet(one["name"]) as dialog:
            with ui.element("div").classes("bar"):
                badge(*_state(one))
            zone = self._session.zone
            facts(
                [
                    ("Serial number", one["serial"]),
                    ("Alternative names", ", ".join(one["names"])),
                    ("Issued", moment(one["issued_ts"], zone)),
                    ("Valid", f"{one['valid_from'][:10]} to {one['valid_until'][:10]}"),
                    ("Revoked", "no" if one["revoked_ts"] is None else moment(one["revoked_ts"], zone)),
                    ("SHA-256", one["fingerprint_sha256"]),
                    ("Authority's SHA-256", one["authority_sha256"]),
                ]
            )
            if self._session.is_admin and _can_be_revoked(one):

                async def work() -> None:
                    dialog.close()
                    await self._revoke(one["serial"])

                with ui.element("div").classes("bar"):
                    button("Revoke it …", work, icon="o_block")

    async def _revoke(self, serial: JsonValue) -> None:
        one = self._known.get(serial)
        if one is None:
            return
        what = (
            f"Issued {moment(one['issued_ts'], self._session.zone)}, valid until {one['valid_until'][:10]}. "
            "The device's sessions end, and it can't come in with this certificate any more. "
            "That can't be undone: to let it in again, issue another one."
        )
        if await confirm(f"Revoke the certificate of {one['name']}?", what, do="Revoke"):
            revoked = await self._session.api.post(f"/certificates/clients/{serial}/revoke")
            if revoked["in_force"]:
                say_done(f"The certificate of {one['name']} is revoked.")
            else:
                ui.notify(
                    f"The certificate of {one['name']} is revoked, and that is not in force yet.",
                    caption=revoked["hint"],
                    type="warning",
                    position="bottom",
                    timeout=8000,
                    multi_line=True,
                )
            await self._table.reload()


def _row(one: JsonValue) -> Row:
    state, tone = _state(one)
    return {
        "id": one["serial"],
        "name": one["name"],
        "names": ", ".join(one["names"]),
        "issued": ago(one["issued_ts"]),
        "until": one["valid_until"][:10],
        "state": state,
        "tone": tone,
        "stays": not _can_be_revoked(one),
    }


def _can_be_revoked(one: JsonValue) -> bool:
    return one["state"] not in ("revoked", "of another authority")


def _state(one: JsonValue) -> tuple[str, Tone]:
    if one["revoked_ts"] is not None:
        return f"revoked {ago(one['revoked_ts'])}", "bad"
    return validity(one)


def validity(one: JsonValue) -> tuple[str, Tone]:
    """The state of a certificate by its dates, and how good that is."""
    days = one["days_left"]
    if one["state"] != "valid":
        return one["state"].lower(), "bad"
    left = "ends tomorrow" if days == 1 else "ends today" if days == 0 else f"{days} days left"
    return left, "warn" if days < NEAR_DAYS else "good"
