"""What surrounds every page: who may see it, the navigation, the header, and what happens to errors."""

import contextlib
import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

from fastapi import Request
from nicegui import ui

from gateway.console import account
from gateway.console.assets import PREFIX as PREFIX
from gateway.console.assets import url
from gateway.console.client import ApiProblem
from gateway.console.session import Session
from gateway.console.widgets import Text, problem_note, say_problem

PageBuilder = Callable[[Session], Awaitable[None]]

BUILD_PATIENCE_S: Final = 20.0
"""How long the API may take to answer what a page is built of."""

GROUPS: Final = ("Watch", "Set up", "Run")
"""Of the navigation, in its order."""

_HEAD: Final = "".join(
    (
        *(f'<link rel="stylesheet" href="{url(name)}">' for name in ("base.css", "console.css")),
        *(f'<script src="{url(name)}"></script>' for name in ("theme.js", "console.js")),
    )
)


class Entry(NamedTuple):
    """A page in the navigation."""

    order: int
    path: str
    title: str
    icon: str
    group: str


_entries: list[Entry] = []


def page(
    path: str, title: str, *, icon: str = "", group: str = GROUPS[0], order: int = 0
) -> Callable[[PageBuilder], PageBuilder]:
    """Make a page of a function that fills it, in the name of whoever looks.

    `path` is below `/console` and may have parts in braces (`Session.named`). With an icon, of Material Icons, it
    stands in the navigation.
    """
    if icon:
        _entries.append(Entry(order, path, title, icon, group))

    def register(build: PageBuilder) -> PageBuilder:
        async def show(request: Request) -> None:
            # The gate has put it there; without it there is no page.
            session: Session = dataclasses.replace(request.state.session, request=request)
            with _framed(session, title, path):
                try:
                    await build(session)
                except ApiProblem as problem:
                    problem_note(problem)

        ui.page(path, title=f"{title} · Gateway", response_timeout=BUILD_PATIENCE_S)(show)
        return build

    return register


def retitle(title: str) -> None:
    """Call the page by what it shows, such as a device's name."""
    ui.page_title(f"{title} · Gateway")
    for element in ui.context.client.elements.values():
        if isinstance(element, Text) and element.tag == "h1":
            element.text = title


def entries() -> list[Entry]:
    """The pages in the navigation, in its order."""
    return sorted(_entries, key=lambda entry: (GROUPS.index(entry.group), entry.order))


@contextlib.contextmanager
def _framed(session: Session, title: str, path: str) -> Iterator[None]:
    ui.add_head_html(_HEAD)
    theme = session.request.cookies.get("gateway-theme")
    ui.dark_mode({"dark": True, "light": False}.get(theme or ""))
    ui.on_exception(_tell)
    drawer = _navigation(path)
    with ui.header().classes("top"):
        menu = ui.button(icon="menu", on_click=drawer.toggle)
        menu.props('flat round dense color=secondary aria-label="Navigation"').classes("lt-md")
        Text("h1", title)
        account.menu(session)
    yield


def _navigation(here: str) -> ui.left_drawer:
    drawer = ui.left_drawer(value=False, top_corner=True, bottom_corner=True).classes("side")
    drawer.props("show-if-above width=228 breakpoint=1023")
    with drawer, ui.element("nav").props('aria-label="Pages"').classes("side-inner"):
        with ui.link(target="/").classes("brand"):
            ui.element("img").props(f'src="{url("favicon.svg")}" alt=""')
            Text("span", "Gateway")
        for group, of_group in itertools.groupby(entries(), key=lambda entry: entry.group):
            Text("div", group).classes("side-group")
            for entry in of_group:
                _link(entry, is_here=entry.path == here or (entry.path != "/" and here.startswith(f"{entry.path}/")))
    return drawer


def _link(entry: Entry, *, is_here: bool) -> None:
    link = ui.link(target=entry.path).classes("side-link")
    if is_here:
        link.classes("here").props('aria-current="page"')
    with link:
        ui.icon(entry.icon).props('aria-hidden="true"')
        Text("span", entry.title)


def _tell(error: Exception) -> None:
    """What a button's work ended in, where the page itself has not said it better."""
    if isinstance(error, ApiProblem):
        say_problem(error)
    else:
        ui.notify("The console failed at this; the gateway's log says more.", type="negative")
