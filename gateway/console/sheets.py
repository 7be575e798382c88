"""A sheet at the page's right edge, with all that there is to say of one thing of a list."""

import contextlib
from collections.abc import Iterator

from nicegui import ui

from gateway.console.widgets import Text, icon_button


@contextlib.contextmanager
def sheet(title: str) -> Iterator[ui.dialog]:
    """Open one; what is made within is in it. It is gone once it is closed."""
    dialog = ui.dialog().props("position=right full-height")
    with dialog, ui.card().classes("sheet"):
        with ui.element("div").classes("sheet-top"):
            Text("h2", title).classes("cut")
            ui.element("div").classes("space")
            icon_button("close", "Close", dialog.close)
        yield dialog
    dialog.on("hide", dialog.delete)
    dialog.open()
