"""The dialog that makes an integration, or changes one."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.forms import Form, Pairs
from gateway.console.session import Session
from gateway.console.widgets import Text, choice, say_done
from gateway.model import JsonValue

_MODES: Final = {
    "NO SECURE": "NO SECURE: plain CoAP",
    "DTLS": "DTLS: encrypted CoAP",
    "MIXED": "MIXED: both",
}
_DEBUG: Final = {"off": "off", "failures": "failures only", "all": "all, for 15 minutes"}
_BINDING: Final = "none: any device; name: only its own; or a pattern such as {name}-*"

Done = Callable[[], Awaitable[None]]


def change_integration(session: Session, converters: list[str], known: JsonValue, done: Done) -> None:
    """Open it. `known` is the integration, None for a new one; `done` is told when it is kept."""
    with ui.dialog().props("persistent") as dialog, ui.card().classes("dialog"):
        Text("h2", f"Change {known['name']}" if known else "New integration")
        fields = _Fields(converters, known)

        async def keep() -> None:
            if await fields.form.sends(_request(session, known, fields.values())):
                dialog.close()
                say_done("The integration is changed." if known else "The integration is there.")
                await done()

        fields.form.actions("Keep" if known else "Create", keep, dialog)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _request(session: Session, known: JsonValue, values: dict[str, JsonValue]) -> Awaitable[JsonValue]:
    if known is None:
        return session.api.post("/integrations", {name: value for name, value in values.items() if value != ""})
    changed = {name: value for name, value in values.items() if value != known[name]}
    return session.api.patch(f"/integrations/{quote(known['name'], safe='')}", changed)


class _Fields:
    def __init__(self, converters: list[str], known: JsonValue) -> None:
        given = known or {}
        self.form = form = Form()
        self._name = form.add(
            "name",
            ui.input("Name", value=given.get("name", "")).props("autofocus"),
            hint="what has arrived already is listed under the old one" if known else "",
        )
        with ui.element("div").classes("grid pair"):
            chosen = given.get("converter") or (converters[0] if len(converters) == 1 else None)
            self._converter = form.add("converter", choice(converters, "Uplink converter", chosen))
            self._mode = form.add(
                "security_mode",
                ui.select(_MODES, label="Security mode", value=given.get("security_mode", "NO SECURE")),
            )
        with ui.element("div").classes("grid pair"):
            self._prefix = form.add(
                "path_prefix",
                ui.input("Path prefix", value=given.get("path_prefix", "")).props("placeholder=api/v2"),
                hint="before /i/ in the endpoint; may be left out",
            )
            self._key = form.add(
                "routing_key",
                ui.input("Routing key", value=given.get("routing_key", "")),
                hint="the endpoint's end; a new UUID where left out",
            )
        self._metadata = form.add_pairs(
            "metadata", Pairs("Metadata, which its converter gets with each uplink", given.get("metadata", {}))
        )
        with ui.element("div").classes("grid pair"):
            self._binding = form.add(
                "identity_binding",
                ui.input("Identity binding", value=given.get("identity_binding", "none")),
                hint=_BINDING,
            )
            self._debug = form.add("debug", ui.select(_DEBUG, label="Debug", value=given.get("debug", "off")))
        self._principal = ui.switch(
            "Only clients with an identity: a pre-shared key or a certificate",
            value=given.get("require_principal", False),
        )
        self._enabled = ui.switch("Enabled", value=given.get("enabled", True))

    def values(self) -> dict[str, JsonValue]:
        """As the API takes them."""
        return {
            "name": self._name.value.strip(),
            "converter": self._converter.value or "",
            "security_mode": self._mode.value,
            "path_prefix": self._prefix.value.strip().strip("/"),
            "routing_key": self._key.value.strip(),
            "metadata": self._metadata.value,
            "identity_binding": self._binding.value.strip() or "none",
            "debug": self._debug.value,
            "require_principal": self._principal.value,
            "enabled": self._enabled.value,
        }
