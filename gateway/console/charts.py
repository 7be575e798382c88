"""Line charts. Their colours suit light and dark, so that a switch needs nothing of the server."""

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from nicegui import ui

from gateway.model import JsonValue

COLORS: Final = ("#17a2a8", "#e0952f", "#8e72dc", "#e0625f", "#4b93e0", "#6aa84f")

SYMBOLS_MAX: Final = 40
"""So few points are marked, so that a single one is seen."""

_INK: Final = "#7f909a"
_LINES: Final = "rgba(127, 144, 154, 0.18)"

Point = tuple[int, Sequence[float | None]]
"""A time in milliseconds since 1970, and a value of each series."""


def line_chart(
    names: Sequence[str], series: Sequence[Iterable[tuple[int, float | None]]], *, unit: str = ""
) -> ui.echart:
    """Values over time: of each name the pairs of a time, in milliseconds since 1970, and a value."""
    return ui.echart(_options(names, [[list(pair) for pair in pairs] for pairs in series], unit, symbols=True)).classes(
        "chart"
    )


class LiveChart:
    """The last minutes of some figures. The browser keeps the points, and is sent new ones alone."""

    def __init__(self, names: Sequence[str], past: Iterable[Point] = (), *, unit: str = "", points: int = 300) -> None:
        """Begins with what is known of the `past`, oldest first; shows at most so many points."""
        self._points = points
        data: list[list[JsonValue]] = [[] for _ in names]
        for ts_ms, values in past:
            for pairs, value in zip(data, values, strict=True):
                pairs.append([ts_ms, value])
        self._chart = ui.echart(_options(names, data, unit, symbols=False)).classes("chart")

    def push(self, ts_ms: int, values: Sequence[float | None]) -> None:
        """Add a point to each series."""
        numbers = orjson.dumps(list(values)).decode()
        ui.run_javascript(f"pushPoint({self._chart.id}, {ts_ms}, {numbers}, {self._points})")


def _options(
    names: Sequence[str], data: Sequence[list[JsonValue]], unit: str, *, symbols: bool
) -> dict[str, JsonValue]:
    return {
        "animation": False,
        "textStyle": {"fontFamily": "Roboto, sans-serif"},
        "color": list(COLORS),
        "grid": {"left": 8, "right": 26, "top": 34 if len(names) > 1 else 14, "bottom": 4, "containLabel": True},
        "legend": {
            "show": len(names) > 1,
            "top": 0,
            "right": 0,
            "icon": "roundRect",
            "itemWidth": 12,
            "itemHeight": 4,
            "textStyle": {"color": _INK},
        },
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": "var(--raised)",
            "borderColor": "var(--border)",
            "textStyle": {"color": "var(--text)", "fontSize": 13},
            "axisPointer": {"lineStyle": {"color": _INK}},
        },
        "xAxis": {
            "type": "time",
            "axisLine": {"lineStyle": {"color": _LINES}},
            "axisTick": {"show": False},
            "axisLabel": {"color": _INK, "hideOverlap": True},
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "scale": False,
            "axisLabel": {"color": _INK, "formatter": f"{{value}} {unit}".strip()},
            "splitLine": {"lineStyle": {"color": _LINES}},
            "splitNumber": 4,
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "data": pairs,
                "showSymbol": symbols and len(pairs) < SYMBOLS_MAX,
                "symbolSize": 5,
                "lineStyle": {"width": 2},
                "areaStyle": {"opacity": 0.12 if len(names) == 1 else 0},
                "emphasis": {"disabled": True},
            }
            for name, pairs in zip(names, data, strict=True)
        ],
    }
