"""Forms that say beside each field what is wrong with it, as the API has found."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from nicegui import ui

from gateway.api.problems import SCHEMA_HINT
from gateway.console.client import ApiProblem
from gateway.console.widgets import Text, button, icon_button, problem_note, say_problem

Field = TypeVar("Field", bound=ui.element)


class Form:
    """Fields by the names that the API has for them."""

    def __init__(self) -> None:
        self._fields: dict[str, Callable[[str], None]] = {}
        """What says beside each field what is wrong with it; nothing where it is empty."""
        self._trouble: ui.element | None = None

    def add(self, name: str, field: Field, *, hint: str = "") -> Field:
        """Take one of Quasar's fields into the form; it looks like the others then."""
        field.props("outlined dense hide-bottom-space").style("width: 100%")
        if hint:
            field.props["hint"] = hint
        self._fields[name] = lambda message: _say_in(field, message)
        return field

    def add_pairs(self, name: str, pairs: "Pairs") -> "Pairs":
        """Take keys and values into the form."""
        self._fields[name] = pairs.say
        return pairs

    def say(self, name: str, message: str) -> None:
        """What is wrong with a field."""
        self._fields[name](message)

    def clear(self) -> None:
        """Nothing is wrong any more."""
        for say in self._fields.values():
            say("")
        if self._trouble is not None:
            self._trouble.clear()

    async def sends(self, request: Awaitable[object]) -> bool:
        """Whether the API took it; where it did not, the form says why."""
        self.clear()
        try:
            await request
        except ApiProblem as problem:
            self.show(problem)
            return False
        return True

    def show(self, problem: ApiProblem) -> None:
        """Say what is wrong: beside the fields, and what is of no field of this form above its buttons."""
        # Of something within a field, such as a key of its metadata, the field's own name comes first.
        found = {name.split(".")[0]: message for name, message in reversed(problem.errors.items())}
        beside = {name: message for name, message in found.items() if name in self._fields}
        for name, message in beside.items():
            is_told = problem.hint and problem.hint != SCHEMA_HINT and len(found) == 1
            self.say(name, f"{message}; {problem.hint}" if is_told else message)
        if beside and len(beside) == len(found):
            return
        if self._trouble is None or problem.status == 401:
            say_problem(problem)
            return
        with self._trouble:
            problem_note(problem)

    def actions(self, do: str, work: Callable[[], Awaitable[None]], dialog: ui.dialog) -> None:
        """The end of a form in a dialog: its troubles, and its buttons."""
        self._trouble = ui.element("div")
        with ui.element("div").classes("actions"):
            ui.button("Cancel", on_click=dialog.close).props("flat color=secondary")
            button(do, work, main=True)


class Pairs:
    """Keys and values, as many as somebody wants."""

    def __init__(self, label: str, given: dict[str, str], *, key: str = "key", value: str = "value") -> None:
        self._names = (key, value)
        self._rows: list[tuple[ui.input, ui.input]] = []
        with ui.element("div").classes("pairs"):
            with ui.element("div").classes("bar"):
                Text("span", label).classes("muted small")
                ui.element("div").classes("space")
                ui.button("Add", icon="add", on_click=lambda: self._add("", "")).props("flat dense color=primary")
            self._list = ui.element("div").classes("pairs-rows")
            self._error = Text("div", "").classes("field-error")
        for name, content in given.items():
            self._add(name, content)

    @property
    def value(self) -> dict[str, str]:
        """What is there; rows without a key are not."""
        return {key.value.strip(): value.value for key, value in self._rows if key.value.strip()}

    def on_change(self, do: Callable[[], object]) -> None:
        """Do something at each change, of rows that are there."""
        self._list.on("change", do)
        self._list.on("keyup", do, throttle=0.4, leading_events=False)

    def say(self, message: str) -> None:
        """What is wrong with them."""
        self._error.text = message

    def _add(self, key: str, value: str) -> None:
        with self._list, ui.element("div").classes("pairs-row") as row:
            pair = tuple(
                ui.input(placeholder=name, value=given).props("outlined dense")
                for name, given in zip(self._names, (key, value), strict=True)
            )
            icon_button("close", "Remove", lambda: self._remove(row, pair))
        self._rows.append((pair[0], pair[1]))

    def _remove(self, row: ui.element, pair: tuple[ui.input, ...]) -> None:
        self._rows = [one for one in self._rows if one != pair]
        row.delete()


def _say_in(field: ui.element, message: str) -> None:
    if message:
        field.props["error"] = True
        field.props["error-message"] = message
    else:  # Quasar keeps room for an error that is false
        field.props(remove="error error-message")
