"""The menu of whoever is logged in: colours, password, log-out."""

from nicegui import ui

from gateway.console.forms import Form
from gateway.console.session import Session
from gateway.console.widgets import Text, badge, say_done, text

_THEMES = (("light", "Light", "light_mode"), ("dark", "Dark", "dark_mode"), ("auto", "As the system", "contrast"))


def menu(session: Session) -> None:
    """A button that opens it."""
    with (
        ui.button(icon="o_account_circle").props('flat round dense color=secondary aria-label="Account"'),
        ui.menu().props('anchor="bottom right" self="top right"'),
    ):
        with ui.element("div").style("padding: 12px 16px 8px; min-width: 230px"):
            Text("div", session.user).classes("strong")
            badge("admin" if session.is_admin else "viewer", "accent" if session.is_admin else "")
        ui.separator()
        for theme, title, icon in _THEMES:
            with ui.menu_item().classes(f"theme-{theme}") as item:
                _line(icon, title)
            item.on("click", js_handler=f"() => chooseTheme('{theme}')")
        ui.separator()
        with ui.menu_item(on_click=lambda: _change_password(session)):
            _line("o_key", "Change password …")
        with ui.menu_item() as log_out:
            _line("logout", "Log out")
        log_out.on("click", js_handler="() => logOut()")


def _line(icon: str, title: str) -> None:
    with ui.element("div").classes("bar"):
        ui.icon(icon, size="20px").classes("muted")
        text(title)


def _change_password(session: Session) -> None:
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        Text("h2", "Change your password")
        form = Form()
        current = form.add(
            "current", ui.input("Current password", password=True).props("autocomplete=current-password")
        )
        new = form.add("password", _password("New password", "new-password"))
        again = form.add("again", _password("New password again", "new-password"))

        async def change() -> None:
            form.clear()
            if new.value != again.value:
                form.say("again", "these are not the same")
                return
            if await form.sends(session.api.post("/me/password", {"current": current.value, "password": new.value})):
                dialog.close()
                say_done("The password is changed. Your other log-ins have ended.")

        form.actions("Change", change, dialog)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _password(label: str, kind: str) -> ui.input:
    return ui.input(label, password=True).props(f"autocomplete={kind}")
