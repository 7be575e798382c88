"""Short tables that follow what happens: only what has changed is sent to the browser."""

from collections.abc import Sequence
from typing import NamedTuple

from nicegui import ui

from gateway.console.widgets import Text, Tone


class Cell(NamedTuple):
    """A text, with a colour where that says something."""

    text: str
    tone: Tone = ""


Row = Sequence[str | Cell]


class LiveTable:
    """Rows of text, told apart by their first cell. A header in brackets, such as `(total)`, is of numbers."""

    def __init__(self, headers: Sequence[str], nothing: str) -> None:
        """`nothing` is what stands there instead of rows."""
        self._numeric = [header.startswith("(") for header in headers]
        self._cells: dict[str, list[Text]] = {}
        with ui.element("table").classes("plain") as self._table:
            if any(headers):
                with ui.element("thead"), ui.element("tr"):
                    for header, numeric in zip(headers, self._numeric, strict=True):
                        Text("th", header.strip("()")).classes("right" if numeric else "")
            self._body = ui.element("tbody")
        self._nothing = Text("div", nothing).classes("muted")
        self._table.set_visibility(False)

    def show(self, rows: Sequence[Row]) -> None:
        """Have these rows there."""
        keys = [_cell(row[0]).text for row in rows]
        if keys != list(self._cells):
            self._make(rows, keys)
            return
        for row, cells in zip(rows, self._cells.values(), strict=True):
            for value, element in zip(row, cells, strict=True):
                _fill(element, _cell(value))

    def _make(self, rows: Sequence[Row], keys: Sequence[str]) -> None:
        self._table.set_visibility(bool(rows))
        self._nothing.set_visibility(not rows)
        self._body.clear()
        self._cells = {}
        with self._body:
            for key, row in zip(keys, rows, strict=True):
                with ui.element("tr"):
                    self._cells[key] = [
                        self._make_cell(_cell(value), numeric)
                        for value, numeric in zip(row, self._numeric, strict=True)
                    ]

    def _make_cell(self, cell: Cell, numeric: bool) -> Text:
        with ui.element("td").classes("right num" if numeric else ""):
            element = Text("span", cell.text)
        _fill(element, cell)
        return element


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _fill(element: Text, cell: Cell) -> None:
    element.text = cell.text
    element.classes(replace=f"badge {cell.tone}" if cell.tone else "")
