"""The part of a device's page that shows a telemetry key over time."""

import time
from datetime import datetime
from typing import Final

from nicegui import ui

from gateway.console.charts import line_chart
from gateway.console.payloads import cut, written
from gateway.console.session import Session
from gateway.console.times import count, moment, span
from gateway.console.widgets import Text, choice, panel
from gateway.model import JsonValue

POINTS_MAX: Final = 1_000
"""Most points of a chart."""

INTERVALS: Final = 400
"""Into so many a range is divided where its samples are summed up."""

FOLLOWS_EVERY_MS: Final = 5_000
"""How often a range that ends now is read anew; a long one less often."""

LINES_MAX: Final = 200
"""Most values that are listed, where they are no numbers."""

_MINUTE_MS: Final = 60_000
_RANGES: Final = {
    15: "15 minutes",
    60: "1 hour",
    360: "6 hours",
    1440: "24 hours",
    10_080: "7 days",
    43_200: "30 days",
    0: "Custom …",
}
"""By their length in minutes."""

_AGGREGATIONS: Final = {
    "auto": "Automatic",
    "none": "None",
    "avg": "Average",
    "min": "Minimum",
    "max": "Maximum",
    "sum": "Sum",
    "count": "Count",
}
_FIELD_TIME: Final = "%Y-%m-%dT%H:%M"


class History:
    """A chart with the choice of key, range and aggregation."""

    def __init__(self, session: Session, path: str, kind: str, telemetry: JsonValue) -> None:
        """`path` is the device's in the API."""
        self._session = session
        self._path = path
        self._kind = kind
        self._asked = 0
        self._read_ms = 0.0
        keys = list(telemetry)
        first = next((key for key in keys if _is_number(telemetry[key]["value"])), keys[0] if keys else None)
        with panel("History"):
            with ui.element("div").classes("bar history-choice"):
                self._key = choice(keys, "Key", first).props("outlined dense")
                self._range = ui.select(_RANGES, value=1440, label="Range").props("outlined dense")
                self._how = ui.select(_AGGREGATIONS, value="auto", label="Aggregation").props("outlined dense")
            self._custom()
            for field in (self._key, self._range, self._how):
                field.on_value_change(self.reload)
            self._chart = line_chart([first or ""], [[]]).classes("history-chart")
            self._chart.options["yAxis"]["scale"] = True
            with ui.element("div").classes("values") as self._list, ui.element("table").classes("plain"):
                self._lines = ui.element("tbody")
            self._list.set_visibility(False)
            self._note = Text("div", "").classes("muted small")

    def _custom(self) -> None:
        now = datetime.fromtimestamp(time.time(), self._session.zone)
        with ui.element("div").classes("bar history-choice") as self._between:
            self._from = ui.input("From", value=f"{now.replace(hour=0, minute=0):{_FIELD_TIME}}")
            self._to = ui.input("Until", value=f"{now:{_FIELD_TIME}}")
        for field in (self._from, self._to):
            field.props("outlined dense type=datetime-local hide-bottom-space debounce=400").on_value_change(
                self.reload
            )
        self._between.bind_visibility_from(self._range, "value", lambda minutes: minutes == 0)

    def know(self, telemetry: JsonValue) -> None:
        """The keys that there are now."""
        if list(telemetry) != self._key.options:
            first = self._key.value or next(iter(telemetry), None)
            self._key.set_options(list(telemetry), value=first)

    async def choose(self, key: str) -> None:
        """Show this key."""
        self._key.value = key

    async def follow(self) -> None:
        """Read anew what has grown since."""
        minutes = self._range.value
        patience_ms = max(FOLLOWS_EVERY_MS, minutes * _MINUTE_MS / INTERVALS)
        if not self._read_ms or (minutes and time.time() * 1000 - self._read_ms >= patience_ms):
            await self.reload()

    async def reload(self) -> None:
        """Show what was chosen; of several choices the last one."""
        between = self._times()
        if between is None or self._key.value is None:
            return
        self._asked += 1
        asked, key, how = self._asked, self._key.value, self._how.value
        self._read_ms = time.time() * 1000
        told = await self._read(key, how, *between)
        if asked == self._asked:
            self._show(key, told, *between)

    def _times(self) -> tuple[int, int] | None:
        """Begin and end in milliseconds since 1970; None, and a word beside the field, where they are none."""
        if self._range.value:
            now_ms = int(time.time() * 1000) + 1
            return now_ms - self._range.value * _MINUTE_MS, now_ms
        found = []
        for field in (self._from, self._to):
            try:
                at = datetime.strptime(field.value or "", _FIELD_TIME).replace(tzinfo=self._session.zone)
                found.append(int(at.timestamp() * 1000))
                _say(field, "")
            except (ValueError, OverflowError):
                _say(field, "a day and a time")
        if len(found) == 2 and found[1] <= found[0]:
            _say(self._to, "it must be after the begin")
            return None
        return (found[0], found[1]) if len(found) == 2 else None

    async def _read(self, key: str, how: str, start_ms: int, end_ms: int) -> JsonValue:
        """The samples themselves where they are few enough, or else what they sum up to."""
        query: dict[str, JsonValue] = {"key": key, "kind": self._kind, "start_ts": start_ms, "end_ts": end_ms}
        path = f"{self._path}/history"
        if how in ("auto", "none"):
            told = await self._session.api.get(path, **query, limit=POINTS_MAX)
            if told["complete"] or how == "none" or not any(_is_number(one["value"]) for one in told["items"]):
                return told
            how = "avg"
        interval_ms = -(-(end_ms - start_ms) // INTERVALS)
        return await self._session.api.get(path, **query, agg=how, interval_ms=interval_ms)

    def _show(self, key: str, told: JsonValue, start_ms: int, end_ms: int) -> None:
        pairs = [[one["ts"], _plotted(one["value"])] for one in told["items"] if _plotted(one["value"]) is not None]
        is_charted = bool(pairs) or not told["items"]
        self._chart.set_visibility(is_charted)
        self._list.set_visibility(not is_charted)
        options = self._chart.options
        options["xAxis"].update(min=start_ms, max=end_ms)
        options["series"][0].update(name=key, data=pairs, showSymbol=len(pairs) < 60)
        self._chart.update()
        self._lines.clear()
        if not is_charted:
            self._show_lines(told["items"])
        self._note.text = _words(told, end_ms - start_ms)

    def _show_lines(self, items: list[JsonValue]) -> None:
        with self._lines:
            for one in items[: -LINES_MAX - 1 : -1]:
                with ui.element("tr"):
                    Text("td", moment(one["ts"], self._session.zone)).classes("muted num")
                    Text("td", cut(written(one["value"]), 200)).classes("num")


def _words(told: JsonValue, length_ms: int) -> str:
    items = told["items"]
    if not items:
        return "Nothing was sent in this time."
    if told["agg"] == "none":
        if told["complete"]:
            return "1 sample" if len(items) == 1 else f"{count(len(items))} samples"
        return f"There are more: the newest {count(len(items))} samples are shown; an aggregation shows all of the time"
    how = {"avg": "averages", "min": "minima", "max": "maxima", "sum": "sums", "count": "counts"}[told["agg"]]
    note = f"{count(len(items))} {how}, each of {span(length_ms / INTERVALS / 1000)}"
    return note if told["complete"] else f"{note}; of the oldest part there are too many samples to sum them up"


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float)


def _plotted(value: JsonValue) -> float | None:
    """A value's place in the chart: true is 1, false 0; None where it has none."""
    return float(value) if _is_number(value) and abs(value) < 1e300 else None


def _say(field: ui.input, message: str) -> None:
    if message:
        field.props["error"] = True
        field.props["error-message"] = message
    else:
        field.props(remove="error error-message")
