"""The dialog with commands that try each way into an integration."""

from typing import Final
from urllib.parse import quote

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.session import Session
from gateway.console.widgets import Text, code_line, empty, problem_note
from gateway.model import JsonValue

_WAYS: Final = {
    "none": "Plain CoAP",
    "psk": "DTLS with a pre-shared key",
    "x509": "DTLS with a certificate",
}
_TOOLS: Final = {"coap-client": "libcoap's client", "gateway": "the gateway's own client"}
_KNOW: Final = {
    "none": "",
    "psk": "KEY stands for the key's text. Keys are made under Security, or with: gateway psk add IDENTITY",
    "x509": "The files are made under Security, or with: gateway certs client NAME",
}


def show_commands(session: Session, integration: JsonValue) -> None:
    """Open it."""
    with ui.dialog() as dialog, ui.card().classes("dialog wide"):
        Text("h2", f"Send to {integration['name']}")
        Text("div", "ThingsBoard's tutorial payload, ready for a shell on a machine that reaches the gateway.").classes(
            "muted"
        )
        with ui.element("div").classes("grid pair"):
            device = ui.input("As device").props("outlined dense clearable placeholder=SN-001")
            identity = ui.input("PSK identity").props("outlined dense clearable placeholder=IDENTITY")
        ways = ui.element("div").classes("rows")

        async def renew() -> None:
            path = f"/integrations/{quote(integration['name'], safe='')}/commands"
            try:
                told = await session.api.get(path, device=device.value or None, identity=identity.value or None)
            except ApiProblem as problem:
                ways.clear()
                with ways:
                    problem_note(problem)
                return
            ways.clear()
            with ways:
                _ways(told["items"])

        for field in (device, identity):
            field.on("update:model-value", renew, throttle=0.4, leading_events=False)
        ui.timer(0, renew, once=True)
        with ui.element("div").classes("actions"):
            ui.button("Close", on_click=dialog.close).props("flat color=secondary")
    dialog.on("hide", dialog.delete)
    dialog.open()


def _ways(commands: list[JsonValue]) -> None:
    if not commands:
        empty("lock", "No way in", "Its security mode needs a listener that the settings leave off.")
    for way, title in _WAYS.items():
        found = [one for one in commands if one["credential"] == way]
        if found:
            Text("div", title).classes("strong way")
            if _KNOW[way]:
                Text("div", _KNOW[way]).classes("muted small")
            for one in found:
                Text("div", f"With {_TOOLS[one['tool']]}").classes("muted small way-tool")
                code_line(one["command"], name="Copy the command")
