"""Who may come in: sessions, pre-shared keys, certificates."""

from typing import Final

from nicegui import ui

from gateway.console.frame import page
from gateway.console.pages.security_certificates import show_certificates
from gateway.console.pages.security_psk import show_psks
from gateway.console.pages.security_sessions import show_sessions
from gateway.console.pages.security_trust import show_trust
from gateway.console.session import Session

_TABS: Final = {
    "sessions": "Sessions",
    "psk": "PSK",
    "trust": "Trust anchors",
    "certificates": "Certificates",
}
_PARTS: Final = {
    "sessions": show_sessions,
    "psk": show_psks,
    "trust": show_trust,
    "certificates": show_certificates,
}


@page("/security", "Security", icon="o_shield", group="Run", order=1)
async def security(session: Session) -> None:
    """A tab for each; its address says which."""
    asked = session.asked("tab")
    here = asked if asked in _TABS else "sessions"
    with ui.element("nav").classes("tab-bar").props('aria-label="Parts"'):
        for name, title in _TABS.items():
            link = ui.link(title, f"/security?tab={name}").classes("tab")
            if name == here:
                link.classes("here").props('aria-current="page"')
    await _PARTS[here](session)
