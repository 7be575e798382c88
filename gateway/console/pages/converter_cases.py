"""The part of a converter's page with its example cases."""

from collections.abc import Callable
from urllib.parse import quote

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.forms import Form
from gateway.console.pages.converter_trial import Trial
from gateway.console.session import Session
from gateway.console.widgets import (
    Text,
    badge,
    button,
    code_block,
    confirm,
    empty,
    icon_button,
    note,
    panel,
    say_done,
    text,
)
from gateway.model import JsonValue


class Cases:
    """Kept examples: what goes in, and what must come out. A source that fails one is not kept unasked."""

    def __init__(self, session: Session, name: str, trial: Trial, source: Callable[[], tuple[str, str]]) -> None:
        self._session = session
        self.follow_name(name)
        self._trial = trial
        self._source = source
        self._cases: list[JsonValue] = []
        self._verdicts: dict[str, JsonValue] = {}
        with panel():
            with ui.element("div").classes("panel-title"):
                text("Example cases")
                ui.element("div").classes("space")
                if session.is_admin:
                    button("Run all", self.run, icon="play_arrow")
                    button("Keep this trial", self._ask_name, icon="add")
            self._trouble = ui.element("div")
            self._list = ui.element("div").classes("rows")

    def follow_name(self, name: str) -> None:
        """The converter is called so now; its cases have gone with it."""
        self._path = f"/converters/{quote(name, safe='')}/cases"

    @property
    def exist(self) -> bool:
        """Whether there is one."""
        return bool(self._cases)

    async def reload(self) -> None:
        """Show those that there are."""
        self._cases = (await self._session.api.get(self._path))["items"]
        self._show()

    async def run(self) -> bool:
        """Try the source in the editor on all of them; whether none failed."""
        language, source = self._source()
        told = await self._session.api.post(f"{self._path}/run", {"source": source, "language": language})
        self._trouble.clear()
        self._verdicts = {one["case"]: one for one in told["items"]}
        if told["error"]:
            with self._trouble:
                note(told["error"]["message"], "", "bad")
        self._show()
        return not told["error"] and all(one["passed"] for one in told["items"])

    def _show(self) -> None:
        self._list.clear()
        with self._list:
            for case in self._cases:
                self._row(case)
            if not self._cases:
                empty(
                    "o_fact_check", "No example case yet", "Try a payload, and keep it: changes are tried on it then."
                )

    def _row(self, case: JsonValue) -> None:
        verdict = self._verdicts.get(case["name"])
        with ui.element("div").classes("row-item"):
            text(case["name"], "strong cut")
            if verdict is not None:
                badge("passed" if verdict["passed"] else "failed", "good" if verdict["passed"] else "bad")
            text("expects what is kept" if case["expected"] is not None else "expects any report", "muted small")
            ui.element("div").classes("space")
            if self._session.is_admin:
                icon_button("o_science", "Try it", lambda: self._trial.take_case(case))
                icon_button("o_delete", "Delete", lambda: self._delete(case["name"]))
            if verdict is not None and not verdict["passed"]:
                with ui.element("div").style("width: 100%"):
                    note(verdict["error"] or "failed", "", "bad")
                    if verdict["difference"]:
                        code_block("\n".join(verdict["difference"]))

    async def _delete(self, name: str) -> None:
        if await confirm(f"Delete the case {name}?", "The converter is not tried on it any more.", do="Delete"):
            await self._session.api.delete(f"{self._path}/{quote(name, safe='')}")
            await self.reload()

    def _ask_name(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            Text("h2", "Keep this trial as a case")
            form = Form()
            name = form.add("name", ui.input("Name").props("autofocus"))
            strict = ui.switch("Expect what the kept converter returns today", value=True)
            text("Otherwise any report will do, as long as it does not fail.", "muted small")

            async def keep() -> None:
                if not name.value.strip():
                    form.say("name", "it needs a name")
                    return
                path = f"{self._path}/{quote(name.value.strip(), safe='')}"
                body = {**self._trial.fields(), "expect_current": strict.value}
                try:
                    await self._session.api.put(path, body)
                except ApiProblem as problem:
                    form.show(problem)
                    return
                dialog.close()
                say_done("The case is kept.")
                await self.reload()

            form.actions("Keep", keep, dialog)
        dialog.on("hide", dialog.delete)
        dialog.open()
