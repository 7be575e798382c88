"""The server's certificate with its chain, what is trusted by file, and devices' certificates, new and issued ones."""

from collections.abc import Awaitable, Callable
from typing import Final

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.forms import Form
from gateway.console.pages.security_issued import IssuedList, validity
from gateway.console.session import Session
from gateway.console.widgets import Text, badge, button, copy_button, facts, note, panel, say_done, text
from gateway.model import JsonValue

_FORMATS: Final = {"pem": "PEM, with its key", "pkcs12": "PKCS#12, with a password"}
_KEYS: Final = {"p256": "EC P-256, the usual one", "p384": "EC P-384", "rsa": "RSA"}
_SUFFIXES: Final = {"pem": "pem", "pkcs12": "p12"}
_MEDIA_TYPES: Final = {"pem": "application/x-pem-file", "pkcs12": "application/x-pkcs12"}


async def show_certificates(session: Session) -> None:
    """The server's own first."""
    told = await session.api.get("/certificates")
    with ui.element("div").classes("bar buttons"):
        button("Download the CA", lambda: _download_ca(session), icon="o_download")
        if session.is_admin:
            button("Issue a client certificate", lambda: _issue(session, issued.restart), icon="add", main=True)
    for finding in told["findings"]:
        note(finding, tone="warn")
    with panel("The server's certificate"):
        if told["server"] is None:
            text("The DTLS listener is off, or its files can't be read.", "muted")
        else:
            text(told["server"]["source"], "muted small mono")
            for place, one in enumerate(told["server"]["chain"]):
                _certificate(one, "Server" if place == 0 else "CA above it")
    with panel("Trusted for clients"):
        if not told["trust_anchors"]:
            text("None: no client comes in by a certificate.", "muted")
        for one in told["trust_anchors"]:
            _certificate(one, one["source"])
    issued = IssuedList(session)
    await issued.restart()


def _certificate(one: JsonValue, what: str) -> None:
    with ui.element("div").classes("certificate"):
        with ui.element("div").classes("bar"):
            text(one["subject"], "strong").style("overflow-wrap: anywhere; min-width: 0")
            badge(what)
            badge(*validity(one))
        facts(
            [
                (name, value)
                for name, value in (
                    ("Names", ", ".join(one["names"])),
                    ("Issuer", "itself" if one["issuer"] == one["subject"] else one["issuer"]),
                    ("Valid", f"{one['valid_from'][:10]} to {one['valid_until'][:10]}"),
                    ("Key", one["key"] or ""),
                    ("Usage", ", ".join([*one["key_usage"], *one["extended_key_usage"]])),
                )
                if value
            ]
        )
        with ui.element("div").classes("bar small"):
            text("SHA-256", "muted").style("white-space: nowrap")
            text(one["fingerprint_sha256"], "mono cut").style("flex: 0 1 auto")
            copy_button(one["fingerprint_sha256"], name="Copy the fingerprint")


async def _download_ca(session: Session) -> None:
    ui.download.content(await session.api.get_bytes("/certificates/authority"), "ca.pem", _MEDIA_TYPES["pem"])


def _issue(session: Session, done: Callable[[], Awaitable[None]]) -> None:
    with ui.dialog().props("persistent") as dialog, ui.card().classes("dialog"):
        Text("h2", "Issue a client certificate")
        what = "Its key is made now, is in the file that you get, and is kept nowhere else."
        Text("div", f"{what} That it was issued is on record, so that it can be revoked.").classes("muted")
        form = Form()
        name = form.add("name", ui.input("Device's name").props("autofocus"), hint="the certificate's CN")
        others = form.add(
            "alternative_names",
            ui.input("Alternative names"),
            hint="host names, addresses, URIs or e-mail addresses, with commas; may be left out",
        )
        with ui.element("div").classes("grid pair"):
            days = form.add("days", ui.number("Validity in days", value=825, min=1, precision=0))
            key = form.add("key_type", ui.select(_KEYS, label="Key", value="p256"))
        with ui.element("div").classes("grid pair"):
            container = form.add("format", ui.select(_FORMATS, label="File", value="pem"))
            password = form.add(
                "password",
                ui.input("Password", password=True).props("autocomplete=new-password"),
                hint="of the key; in PEM it may be left out",
            )

        async def issue() -> None:
            body: dict[str, JsonValue] = {
                "name": (name.value or "").strip(),
                "alternative_names": [part.strip() for part in (others.value or "").split(",") if part.strip()],
                "days": None if days.value is None else int(days.value),
                "key_type": key.value,
                "format": container.value,
                "password": password.value or "",
            }
            form.clear()
            try:
                content = await session.api.post_for_bytes("/certificates/clients", body)
            except ApiProblem as problem:
                form.show(problem)
                return
            dialog.close()
            file = f"client-{body['name']}.{_SUFFIXES[container.value]}"
            ui.download.content(content, file, _MEDIA_TYPES[container.value])
            say_done(f"{file} is yours: keep its key secret.")
            await done()

        form.actions("Issue and download", issue, dialog)
    dialog.on("hide", dialog.delete)
    dialog.open()
