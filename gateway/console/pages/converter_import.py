"""The dialog that takes over converters from ThingsBoard's files."""

import json
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from nicegui import events, ui

from gateway.console.client import ApiProblem
from gateway.console.forms import Form
from gateway.console.session import Session
from gateway.console.widgets import Text, button, note, problem_note, say_done
from gateway.model import JsonValue

FILE_BYTES_MAX: Final = 1_000_000
"""Longest file that a browser may send; `gateway converter import` takes longer ones."""

_LANGUAGES: Final = {"": "The one that it uses", "tbel": "TBEL", "javascript": "JavaScript"}

Done = Callable[[], Awaitable[None]]


def import_converters(session: Session, done: Done) -> None:
    """Open it; `done` is told when there are others."""
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        Text("h2", "Import from ThingsBoard")
        Text("div", "What ThingsBoard exports of an uplink converter: a JSON file.").classes("muted")
        _Import(session, dialog, done)
    dialog.on("hide", dialog.delete)
    dialog.open()


class _Import:
    def __init__(self, session: Session, dialog: ui.dialog, done: Done) -> None:
        self._session = session
        self._dialog = dialog
        self._done = done
        self._document: JsonValue = None
        self._upload = ui.upload(
            label="Drop the file here, or choose it with +",
            max_file_size=FILE_BYTES_MAX,
            max_files=1,
            auto_upload=True,
            on_upload=self._take,
            on_rejected=lambda: self._say(
                f"A file of at most {FILE_BYTES_MAX} bytes, please", "gateway converter import FILE takes longer ones"
            ),
        )
        self._upload.props('accept=".json,application/json" flat')
        self._told = ui.element("div").classes("rows")
        self.form = form = Form()
        with ui.element("div").classes("grid pair"):
            self._name = form.add("name", ui.input("Another name"), hint="where left out, the file's")
            self._language = form.add(
                "language", ui.select(_LANGUAGES, label="Decoder", value=""), hint="a file may have two of them"
            )
        self._replace = ui.switch("Replace converters of the same name")
        form.actions("Import", self._send, dialog)

    def _say(self, what: str, hint: str = "", *, bad: bool = True) -> None:
        self._told.clear()
        with self._told:
            note(what, hint, "bad" if bad else "good")

    async def _take(self, event: events.UploadEventArguments) -> None:
        self._upload.reset()  # so that another may follow
        try:
            self._document = json.loads(await event.file.read())
        except (ValueError, RecursionError):
            self._document = None
            self._say(f"{event.file.name} is not JSON", "export the converter in ThingsBoard: it gives a .json file")
            return
        self._say(f"{event.file.name} is read", _names(self._document), bad=False)

    async def _send(self) -> None:
        if self._document is None:
            self._say("There is no file yet", "drop it above")
            return
        given = {"name": self._name.value.strip(), "language": self._language.value}
        query = {name: value for name, value in given.items() if value}
        if self._replace.value:
            query["replace"] = "true"
        self.form.clear()
        try:
            told = await self._session.api.post(f"/converters/import?{urlencode(query)}", self._document)
        except ApiProblem as problem:
            self._told.clear()
            if set(problem.errors) & {"name", "language"}:
                self.form.show(problem)
            else:
                with self._told:
                    problem_note(problem)
            return
        await self._done()
        self._finish(told["items"])

    def _finish(self, items: list[JsonValue]) -> None:
        names = ", ".join(one["converter"]["name"] for one in items)
        notes = [f"{one['converter']['name']}: {left_out}" for one in items for left_out in one["notes"]]
        if not notes:
            self._dialog.close()
            say_done(f"Imported: {names}")
            return
        self._told.clear()
        with self._told:
            note(f"Imported: {names}. What has no place here was left out:", "", "warn")
            for line in notes:
                Text("div", line)
            button("Close", self._dialog.close)


def _names(document: JsonValue) -> str:
    parts = document if isinstance(document, list) else [document]
    names = [str(part["name"]) for part in parts if isinstance(part, dict) and "name" in part]
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
