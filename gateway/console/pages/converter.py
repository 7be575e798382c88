"""A converter's page: its source, trials and example cases."""

import json
from functools import partial
from typing import Final
from urllib.parse import quote, urlencode

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.forms import Form
from gateway.console.frame import page, retitle
from gateway.console.pages.converter_cases import Cases
from gateway.console.pages.converter_templates import HIGHLIGHTING, LANGUAGES, SAMPLES, template
from gateway.console.pages.converter_trial import Trial
from gateway.console.session import Session
from gateway.console.widgets import (
    badge,
    button,
    code_block,
    confirm,
    menu_entry,
    note,
    panel,
    problem_note,
    say_done,
    text,
)
from gateway.model import JsonValue

_FIRST: Final = ("json", "javascript")
"""The template that a new converter begins with."""

_THEME: Final = "document.documentElement.dataset.theme === 'dark' ? 'githubDark' : 'githubLight'"


@page("/converters/new", "New converter")
async def new_converter(session: Session) -> None:
    """Make one."""
    if not session.is_admin:
        note("Only an admin makes converters.", "Ask one to do it.", "warn")
        return
    await _Page(session, None).build()


@page("/converters/edit", "Converter")
async def edit_converter(session: Session) -> None:
    """Look at one, try it and change it."""
    name = session.asked("name")
    known = await session.api.get(_path(name))
    retitle(name)
    if session.is_admin:
        await _Page(session, known).build()
    else:
        with ui.element("div").classes("bar"):
            badge(LANGUAGES[known["language"]], "accent")
        code_block(known["source"])


class _Page:
    def __init__(self, session: Session, known: JsonValue) -> None:
        self._session = session
        self._known = known
        self._form = Form()

    async def build(self) -> None:
        names = [one["name"] for one in await self._session.api.get_all("/integrations")]
        self._buttons()
        self._trouble = ui.element("div").classes("rows")
        with ui.element("div").classes("workbench"):
            with panel():
                self._editor_panel()
            self._kept = self._fields()
            """What is saved, or what a new one begins with."""
            with ui.element("div").classes("workbench-side"):
                self._trial = Trial(self._session, self._source, self._mark, names)
        if self._known is None:
            self._trial.take_sample(SAMPLES[_FIRST[0]])
            text("Example cases can be kept once the converter is there.", "muted small")
            return
        self._cases = Cases(self._session, self._known["name"], self._trial, self._source)
        await self._cases.reload()
        if self._known["cases"]:
            self._trial.take_case(self._known["cases"][0])
        else:
            await self._trial.take_likely(list(SAMPLES.values()))

    def _buttons(self) -> None:
        with ui.element("div").classes("bar fields"):
            name = ui.input("Name", value=self._known["name"] if self._known else "", on_change=self._warn_of_leaving)
            self._name = self._form.add("name", name.props("" if self._known else "autofocus")).style("width: 260px")
            language = self._known["language"] if self._known else _FIRST[1]
            self._language = ui.select(LANGUAGES, label="Language", value=language, on_change=self._changed_language)
            self._form.add("language", self._language).style("width: 150px")
            self._templates()
            ui.element("div").classes("space")
            if self._known is not None:
                button("Export", self._export, icon="o_download")
            button("Create" if self._known is None else "Save", self._save, icon="o_save", main=True)

    def _templates(self) -> None:
        with (
            ui.button("Template", icon="o_article").props("outline color=secondary icon-right=expand_more"),
            ui.menu().props("auto-close"),
        ):
            for key, sample in SAMPLES.items():
                menu_entry(sample.title, partial(self._take_template, key))

    def _editor_panel(self) -> None:
        source = self._known["source"] if self._known else template(*_FIRST)
        self._editor = ui.codemirror(
            source,
            language=HIGHLIGHTING[self._language.value],
            indent="  ",
            line_wrapping=True,
            on_change=self._changed_source,
        )
        self._editor.props[":theme"] = _THEME
        self._editor.classes("editor")
        self._warning = text("", "muted small")
        self._say_language()
        keys = self._known["update_only_keys"] if self._known else []
        self._keys = self._form.add(
            "update_only_keys",
            ui.input("Keys to write only on change", value=", ".join(keys), on_change=self._warn_of_leaving),
            hint="with commas between them; ThingsBoard's updateOnlyKeys",
        )

    def _source(self) -> tuple[str, str]:
        return self._language.value, self._editor.value

    async def _changed_source(self) -> None:
        self._warn_of_leaving()
        await self._trial.soon()

    def _mark(self, line: int | None) -> None:
        # By the browser's method, not by the property: that would put back what has been typed since.
        marks = [] if line is None else [{"kind": "line", "line": line, "class": "cm-wrong-line"}]
        self._editor.run_method("setDecorations", marks)

    async def _changed_language(self) -> None:
        old_templates = {template(sample, language) for sample in SAMPLES for language in LANGUAGES}
        self._editor.language = HIGHLIGHTING[self._language.value]
        self._say_language()
        self._warn_of_leaving()
        if self._editor.value in old_templates:
            self._editor.value = template(self._chosen_sample(), self._language.value)
        await self._trial.soon()

    def _chosen_sample(self) -> str:
        """The tutorial's payload whose template is in the editor."""
        source = self._editor.value
        return next(
            (sample for sample in SAMPLES for language in LANGUAGES if template(sample, language) == source), _FIRST[0]
        )

    def _say_language(self) -> None:
        python = self._language.value == "python"
        self._warning.text = (
            "Python converters are trusted code: they run without limits, with the gateway's own rights."
            if python
            else ""
        )

    async def _take_template(self, sample: str) -> None:
        known = {template(one, language) for one in SAMPLES for language in LANGUAGES}
        if self._editor.value.strip() and self._editor.value not in known:
            what = "What is in the editor is replaced; it is kept only once you save."
            if not await confirm("Take the template?", what, do="Take it", tone="primary"):
                return
        self._editor.value = template(sample, self._language.value)
        self._trial.take_sample(SAMPLES[sample])
        await self._trial.soon()

    def _fields(self) -> dict[str, JsonValue]:
        """As the API takes them."""
        return {
            "name": self._name.value.strip(),
            "language": self._language.value,
            "source": self._editor.value,
            "update_only_keys": [key.strip() for key in self._keys.value.split(",") if key.strip()],
        }

    def _warn_of_leaving(self) -> None:
        """Have the browser ask before it leaves what is not saved."""
        ui.run_javascript(f"setUnsaved({'true' if self._fields() != self._kept else 'false'})")

    async def _save(self, *, force: bool = False) -> None:
        self._form.clear()
        self._trouble.clear()
        body = self._fields()
        try:
            if self._known is None:
                made = await self._session.api.post("/converters", body)
                say_done("The converter is there.")
                self._kept = body
                self._warn_of_leaving()
                ui.navigate.to(f"/converters/edit?{urlencode({'name': made['name']})}")
                return
            self._known = await self._session.api.put(_path(self._known["name"]), {**body, "force": force})
        except ApiProblem as problem:
            await self._refused(problem)
            return
        self._kept = body
        self._warn_of_leaving()
        self._follow_name()
        say_done("The converter is saved and in force.")
        await self._cases.run()

    def _follow_name(self) -> None:
        """The page is that of the converter as it is called now, and so is its address."""
        name = self._known["name"]
        retitle(name)
        ui.navigate.history.replace(f"?{urlencode({'name': name})}")
        self._cases.follow_name(name)

    async def _refused(self, problem: ApiProblem) -> None:
        """The source does not compile, or a case fails with it: the page says which, and an admin may insist."""
        if set(problem.errors) - {"source"}:
            self._form.show(problem)
            return
        if self._known is not None and self._cases.exist and not await self._cases.run():
            with self._trouble, note("An example case fails with this source, so it is not saved.", "", "bad"):
                button("Save it all the same", lambda: self._save(force=True))
            return
        with self._trouble:
            problem_note(problem)

    async def _export(self) -> None:
        name = self._known["name"]
        content = await self._session.api.get(f"{_path(name)}/export")
        ui.download.content(json.dumps(content, indent=2, ensure_ascii=False), f"{name}.json", "application/json")


def _path(name: str) -> str:
    return f"/converters/{quote(name, safe='')}"
