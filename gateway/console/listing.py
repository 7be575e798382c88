"""Tables of lists, and the field that looks for something in one."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from nicegui import ui

from gateway.console.pager import Fetch, Pager
from gateway.console.widgets import in_page
from gateway.model import JsonValue

Row = dict[str, JsonValue]
"""What is shown in the columns, by their names, with `id`; of a link also `href`, of a badge `tone`. One that
`stays` has no button of `on_act`.
"""


class Column(NamedTuple):
    """A column; its name is a key of the rows."""

    name: str
    label: str
    kind: Literal["text", "link", "open", "badge", "cut", "outcome", "act"] = "text"
    """`link` leads to the row's `href`; `open` tells `on_open`; `cut` is of long texts; `outcome` is too, and red
    where `tone` is bad; `act` is the button of
    `on_act`, whose icon is the column's name and whose tooltip its label."""
    wide_only: bool = False
    """Whether a phone has no room for it."""
    right: bool = False


_SLOTS: Final = {
    "link": '<q-td :props="props"><a :href="props.row.href" class="strong">{{ props.value }}</a></q-td>',
    "open": """<q-td :props="props"><button type="button" class="row-open num" @click.stop="$parent.$emit('open',
        props.row.id)">{{ props.value }}</button></q-td>""",
    "badge": """<q-td :props="props"><span v-if="props.value" :class="'badge ' + (props.row.tone || '')">{{
        props.value }}</span></q-td>""",
    "cut": '<q-td :props="props"><div class="cut">{{ props.value }}</div></q-td>',
    "outcome": """<q-td :props="props"><div :class="'cut ' + (props.row.tone === 'bad' ? 'tone-bad' : '')">{{
        props.value }}</div></q-td>""",
    "act": """<q-td :props="props" auto-width><q-btn v-if="!props.row.stays" flat round dense size="sm"
        color="secondary" :icon="props.col.name" :aria-label="props.col.label + ' ' + props.row.id"
        @click.stop="$parent.$emit('act', props.row.id)"><q-tooltip>{{ props.col.label }}</q-tooltip></q-btn></q-td>""",
}
"""Vue templates: constants, which show values of a row as text alone."""


class PagedTable:
    """One of them, with buttons that leaf through it."""

    def __init__(
        self,
        columns: Sequence[Column],
        fetch: Fetch,
        row: Callable[[JsonValue], Row],
        *,
        nothing: Callable[[], object],
        on_open: Callable[[JsonValue], object] | None = None,
        on_act: Callable[[JsonValue], object] | None = None,
        on_select: Callable[[], object] | None = None,
        on_shown: Callable[[JsonValue], object] | None = None,
    ) -> None:
        """`nothing` fills the place where there are no rows. `on_open` and `on_act` are given a row's id; with
        `on_select` rows can be ticked. `on_shown` is given each of the API's answers once its rows are shown: what else
        a page says of them belongs there, because an answer that comes too late is not shown.
        """
        self._row = row
        self._make_nothing = nothing
        self._on_shown = on_shown
        self._is_new = True
        """Whether something else is looked for than what is shown."""
        self.total: int | None = None
        self._table = plain_table(columns, on_open, on_act, on_select)
        self._nothing = ui.element("section").classes("panel")
        self._nothing.set_visibility(False)
        self._pager = Pager(fetch, self._turned)

    @property
    def selected(self) -> list[JsonValue]:
        """The ids of the rows that are ticked."""
        return [row["id"] for row in self._table.selected]

    async def restart(self) -> None:
        """Begin anew with the first page, because something else is looked for."""
        self._pager.restart()
        self._is_new = True
        self._table.selected = []
        await self.reload()

    async def reload(self) -> None:
        """Ask for the page once more."""
        told = await self._pager.page()
        if told is not None:
            self._show(told)

    def _show(self, told: JsonValue) -> None:
        self.total = told["total"]
        rows = [self._row(item) for item in told["items"]]
        if rows != self._table.rows:
            there = {row["id"] for row in rows}
            self._table.selected = [row for row in self._table.selected if row["id"] in there]
            self._table.rows = rows
        self._table.set_visibility(bool(rows))
        if not rows and (self._is_new or not self._nothing.visible):
            self._nothing.clear()
            with self._nothing:
                self._make_nothing()
        self._is_new = False
        self._nothing.set_visibility(not rows)
        if self._on_shown is not None:
            self._on_shown(told)

    async def _turned(self) -> None:
        self._table.selected = []
        await self.reload()


def plain_table(
    columns: Sequence[Column],
    on_open: Callable[[JsonValue], object] | None = None,
    on_act: Callable[[JsonValue], object] | None = None,
    on_select: Callable[[], object] | None = None,
) -> ui.table:
    """A table of such columns that shows the rows that it is given."""
    table = ui.table(
        rows=[],
        columns=list(map(_column, columns)),
        row_key="id",
        selection="multiple" if on_select else None,
        on_select=on_select,
    )
    table.props("flat hide-pagination color=primary :rows-per-page-options=[0]").classes("listing")
    for column in columns:
        if column.kind in _SLOTS:
            table.add_slot(f"body-cell-{column.name}", _SLOTS[column.kind])
    if on_open is not None:
        opened = on_open
        table.classes("opens")
        table.on("open", lambda event: in_page(lambda: opened(event.args))())
        table.on("rowClick", lambda event: in_page(lambda: opened(event.args[1]["id"]))(), args=[[], ["id"], []])
    if on_act is not None:
        act = on_act
        table.on("act", lambda event: in_page(lambda: act(event.args))())
    return table


def _column(column: Column) -> dict[str, JsonValue]:
    wide = "gt-xs" if column.wide_only else ""
    hidden = "hidden-label" if column.kind == "act" else ""
    return {
        "name": column.name,
        "field": column.name,
        "label": column.label,
        "align": "right" if column.right else "left",
        "classes": f"{wide} cell-{column.kind} {'num' if column.right else ''}",
        "headerClasses": f"{wide} {hidden}",
    }


def search_box(label: str, given: str, do: Callable[[], object]) -> ui.input:
    """A field to look for something with; `do` is called when somebody has typed."""
    box = ui.input(placeholder=label, value=given, on_change=do)
    box.props(f'outlined dense clearable debounce=300 type=search aria-label="{label}"').classes("search")
    with box.add_slot("prepend"):
        ui.icon("search", size="20px")
    return box


def typed(field: ui.input) -> str:
    """What is in a field, which has None in it once it is cleared."""
    return (field.value or "").strip()
