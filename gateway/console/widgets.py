"""Small things that pages are made of."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import orjson
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.client import ApiProblem

Tone: TypeAlias = Literal["", "good", "warn", "bad", "accent"]

Doing: TypeAlias = Callable[[], Awaitable[None]]

LOG_IN_PATH: Final = "/login"

LOOKED_OVER: Final = 12
"""So many choices are looked over at a glance."""


class Text(TextElement):
    """An element of HTML with a text in it, which is never taken for HTML."""

    def __init__(self, tag: str, text: str) -> None:
        super().__init__(tag=tag, text=text)


def text(what: str, classes: str = "") -> Text:
    """A piece of text in a line."""
    return Text("span", what).classes(classes)


def panel(title: str = "") -> ui.element:
    """A card; to be used with `with`."""
    made = ui.element("section").classes("panel")
    if title:
        with made:
            Text("h2", title)
    return made


def badge(what: str, tone: Tone = "") -> Text:
    """A state in a word or two."""
    return Text("span", what).classes(f"badge {tone}")


def facts(rows: list[tuple[str, str]]) -> ui.element:
    """Names and values below each other."""
    with ui.element("div").classes("facts") as made:
        for name, value in rows:
            text(name)
            text(value or "–")
    return made


def copy_button(what: str, *, name: str = "Copy") -> ui.button:
    """Copies a text in the browser."""
    button = ui.button(icon="content_copy").props(f'flat round dense size=sm color=secondary aria-label="{name}"')
    with button:
        ui.tooltip(name)
    # In a script's text, a string of JSON is one of JavaScript.
    return button.on("click", js_handler=f"(event) => copyFrom(event, {orjson.dumps(what).decode()})")


def code_line(what: str, *, name: str = "Copy") -> None:
    """A line of code, such as a command or a URL, with a button that copies it."""
    with ui.element("div").classes("code-line"):
        Text("code", what)
        copy_button(what, name=name)


def code_block(what: str) -> Text:
    """Text as it is, several lines of it."""
    return Text("pre", what).classes("code-block mono")


def empty(icon: str, title: str, what_next: str) -> ui.element:
    """Instead of a list with nothing in it: why, and what to do about it. Buttons may be put into it."""
    with ui.element("div").classes("empty") as made:
        ui.icon(icon).props('aria-hidden="true"')
        Text("div", title).classes("empty-title")
        Text("div", what_next).classes("muted")
    return made


def note(what: str, hint: str = "", tone: Tone = "") -> ui.element:
    """Something to know, with what to do about it."""
    with ui.element("div").classes(f"note {tone}").props('role="status"') as made:
        Text("div", what)
        if hint:
            Text("div", hint)
    return made


def problem_note(problem: ApiProblem) -> ui.element:
    """What the API refused, in the page."""
    return note(problem.detail, problem.hint, "bad")


def say_problem(problem: ApiProblem) -> None:
    """What the API refused, for a moment at the page's edge. Where the log-in has ended, the log-in page."""
    if problem.status == 401:
        ui.navigate.to(LOG_IN_PATH)
        return
    ui.notify(problem.detail, caption=problem.hint, type="negative", position="bottom", timeout=8000, multi_line=True)


def say_done(what: str) -> None:
    """That something has been done."""
    ui.notify(what, type="positive", position="bottom", timeout=3000)


async def confirm(title: str, what: str, *, do: str, tone: Literal["negative", "primary"] = "negative") -> bool:
    """Ask before something that can't be undone; `do` is what it does, on the button. Anything else is a no."""
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        Text("h2", title)
        Text("div", what)
        with ui.element("div").classes("actions"):
            ui.button("Cancel", on_click=lambda: dialog.submit(False)).props("flat color=secondary autofocus")
            ui.button(do, on_click=lambda: dialog.submit(True)).props(f"unelevated color={tone}")
    agreed = await dialog
    dialog.delete()
    return agreed is True


def button(what: str, do: Callable[[], object], *, icon: str = "", main: bool = False) -> ui.button:
    """A button in the page; the `main` one is what most come for. It is dead while it works."""

    async def work() -> None:
        made.disable()
        try:
            await in_page(do)()
        finally:
            if not made.is_deleted:
                made.enable()

    made = ui.button(what, icon=icon or None, on_click=work)
    return made.props("unelevated color=primary" if main else "outline color=secondary")


def icon_button(icon: str, name: str, do: Callable[[], object]) -> ui.button:
    """A small button; its name is its tooltip."""
    made = ui.button(icon=icon, on_click=in_page(do)).props(f'flat round dense color=secondary aria-label="{name}"')
    with made:
        ui.tooltip(name)
    return made


def choice(options: list[str] | dict[str, str], label: str, value: str | None, *, clearable: bool = False) -> ui.select:
    """A field to choose in what may be many; where they are, typing finds one, for not all fit the list that opens."""
    is_typed = len(options) > LOOKED_OVER
    made = ui.select(options, label=label, value=value, with_input=is_typed, clearable=clearable)
    if is_typed:
        with made.add_slot("no-option"), ui.item():
            text("None contains this", "muted")
    return made


def menu_entry(what: str, do: Callable[[], object]) -> ui.menu_item:
    """What a menu offers."""
    return ui.menu_item(what, in_page(do))


def in_page(do: Callable[[], object]) -> Doing:
    """A handler that belongs to the page, so that it goes on where what was clicked on is gone, such as a row that it
    has deleted.
    """

    async def work() -> None:
        with ui.context.client.content:
            doing = do()
            if inspect.iscoroutine(doing):  # a dialog that is closed gives itself, and opens where it is awaited
                await doing

    return work


def live(every_s: float, refresh: Doing) -> ui.timer:
    """Have part of a page follow what happens, as long as it is looked at. What the API refuses is shown once, in
    place, until it answers again.
    """
    trouble = ui.element("div").style("width: 100%")
    told: list[str] = []

    async def once() -> None:
        try:
            await refresh()
        except ApiProblem as problem:
            if problem.status == 401:
                ui.navigate.to(LOG_IN_PATH)
            if told != [problem.detail]:
                told[:] = [problem.detail]
                trouble.clear()
                with trouble:
                    problem_note(problem)
        else:
            if told:
                told.clear()
                trouble.clear()

    timer = ui.timer(every_s, once)
    ui.on("visibility", lambda event: timer.activate() if event.args else timer.deactivate())
    return timer


class Tile:
    """A figure that matters, large, with what it is and a word on it; it leads to a page where there is more of it."""

    def __init__(self, label: str, target: str = "") -> None:
        tag = ui.link(target=target) if target else ui.element("div")
        with tag.classes("tile"):
            Text("div", label).classes("tile-label")
            self._value = Text("div", "–").classes("tile-value")
            self._note = Text("div", "\N{NO-BREAK SPACE}").classes("tile-note")

    def show(self, value: str, note: str, tone: Tone = "") -> None:
        """Change it."""
        self._value.text = value
        self._value.classes(replace=f"tile-value tone-{tone}")
        self._note.text = note or "\N{NO-BREAK SPACE}"
