"""Certificates and public keys that clients are trusted by."""

import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from nicegui import events, ui

from gateway.console.forms import Form
from gateway.console.listing import Column, PagedTable, Row
from gateway.console.pager import PAGE
from gateway.console.session import Session
from gateway.console.sheets import sheet
from gateway.console.times import ago, day, moment
from gateway.console.widgets import Text, badge, button, confirm, empty, facts, say_done, text
from gateway.model import JsonValue

FILE_BYTES_MAX: Final = 512 << 10
"""Longest file that is taken."""

NEAR_MS: Final = 30 * 86_400_000
"""An end of validity is worth a warning so long before."""

KINDS: Final = {"ca": "CA", "device": "device", "key": "public key"}
_CHOICES: Final = {"": "As the certificate says", "ca": "CA: trust what it issued", "device": "Device: trust it alone"}

_COLUMNS: Final = (
    Column("name", "Name", "open"),
    Column("kind", "Kind"),
    Column("subject", "Subject", "cut", wide_only=True),
    Column("expires", "Expires", "badge"),
)
_REMOVE: Final = Column("o_delete", "Remove", "act")


async def show_trust(session: Session) -> None:
    """What was added beside the file in the settings; an admin may add and remove some."""
    known: dict[str, JsonValue] = {}

    async def fetch(after: JsonValue) -> JsonValue:
        return await session.api.get("/trust", limit=PAGE, offset=after)

    def keep(told: JsonValue) -> None:
        known.clear()
        known.update({one["name"]: one for one in told["items"]})

    async def remove(name: JsonValue) -> None:
        what = "The sessions that it vouches for end, and such clients can't come in any more."
        if await confirm(f"Trust {name} no longer?", what, do="Remove"):
            await session.api.delete(f"/trust/{quote(name, safe='')}")
            say_done(f"{name} is no longer trusted.")
            await table.reload()

    def opened(name: JsonValue) -> None:
        if name in known:
            _details(session, known[name])

    with ui.element("div").classes("bar"):
        text("Those of COAP_DTLS_TRUST_STORE are under Certificates.", "muted")
        ui.element("div").classes("space")
        if session.is_admin:
            button("Add", lambda: _Add(session, table.reload), icon="add", main=True)
    columns = (*_COLUMNS, _REMOVE) if session.is_admin else _COLUMNS
    table = PagedTable(columns, fetch, _row, nothing=_nothing, on_open=opened, on_act=remove, on_shown=keep)
    await table.reload()


def _nothing() -> None:
    empty(
        "o_verified_user",
        "Nothing was added",
        "Add the certificate of a CA, or of a single device, in PEM: clients that show such a one are let in.",
    )


def _row(one: JsonValue) -> Row:
    ends_ms = one["expires_ts"]
    near = ends_ms is not None and ago(ends_ms)
    tone = "bad" if one["expired"] else "warn" if ends_ms is not None and _is_near(ends_ms) else "good"
    return {
        "id": one["name"],
        "name": one["name"],
        "kind": KINDS[one["kind"]],
        "subject": one["subject"] or "",
        "expires": f"expired {near}" if one["expired"] else near or "",
        "tone": tone,
    }


def _is_near(ends_ms: int) -> bool:
    return ends_ms - time.time() * 1000 < NEAR_MS


def _details(session: Session, one: JsonValue) -> None:
    with sheet(one["name"]):
        with ui.element("div").classes("bar"):
            badge(KINDS[one["kind"]], "accent")
            if one["expired"]:
                badge("expired", "bad")
        facts(
            [
                ("Subject", one["subject"]),
                ("Issuer", one["issuer"]),
                ("Expires", day(one["expires_ts"], session.zone)),
                ("SHA-256", one["fingerprint"]),
                ("Added", moment(one["added_ts"], session.zone)),
            ]
        )


class _Add:
    """The dialog that takes PEM, dropped or pasted."""

    def __init__(self, session: Session, done: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._done = done
        self._form = form = Form()
        with ui.dialog().props("persistent") as self._dialog, ui.card().classes("dialog"):
            Text("h2", "Trust certificates or a public key")
            upload = ui.upload(
                label="Drop a PEM file here, or choose it with +",
                max_file_size=FILE_BYTES_MAX,
                max_files=1,
                auto_upload=True,
                on_upload=self._take,
                on_rejected=lambda: self._form.say("pem", f"a file of at most {FILE_BYTES_MAX >> 10} KiB, please"),
            )
            self._upload = upload.props('accept=".pem,.crt,.cer,.pub,.txt" flat')
            self._pem = form.add("pem", ui.textarea("or paste it here").props("input-class=mono rows=5"))
            with ui.element("div").classes("grid pair"):
                self._name = form.add("name", ui.input("Name"), hint="where left out, its CN")
                self._kind = form.add("kind", ui.select(_CHOICES, label="Kind", value=""))
            form.actions("Trust it", self._send, self._dialog)
        self._dialog.on("hide", self._dialog.delete)
        self._dialog.open()

    async def _take(self, event: events.UploadEventArguments) -> None:
        self._upload.reset()  # so that another may follow
        content = await event.file.read()
        try:
            self._pem.value = content.decode("ascii")
        except UnicodeDecodeError:
            self._form.say("pem", f"{event.file.name} is not PEM; openssl x509 -inform DER makes PEM of it")
            return
        self._form.clear()

    async def _send(self) -> None:
        body: dict[str, JsonValue] = {"pem": self._pem.value or ""}
        body |= {
            name: value for name, value in (("name", self._name.value.strip()), ("kind", self._kind.value)) if value
        }
        answer: list[JsonValue] = []

        async def request() -> None:
            answer.append(await self._session.api.post("/trust", body))

        if await self._form.sends(request()):
            self._dialog.close()
            names = ", ".join(one["name"] for one in answer[0]["items"][:5])
            say_done(f"Trusted: {names}")
            await self._done()
