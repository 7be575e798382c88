"""Delivery: where reports go, what waits for them, and what is in the way."""

import time
from typing import Final

from nicegui import ui

from gateway.console.charts import LiveChart
from gateway.console.frame import page
from gateway.console.session import Session
from gateway.console.times import ago, count, moment, rate, size, span
from gateway.console.widgets import Text, Tile, Tone, badge, empty, live, note, panel, text
from gateway.model import JsonValue

KEPT: Final = 300
"""How many seconds the chart shows."""

DEVICES: Final = "devices"
"""The sink that is always there: the gateway's own store."""

TONES: Final[dict[str, Tone]] = {
    "connected": "good",
    "connecting": "accent",
    "stopped": "warn",
    "busy": "warn",
    "silent": "warn",
    "unreachable": "bad",
    "refused": "bad",
    "untrusted": "bad",
    "misconfigured": "bad",
}
"""Of a sink's state."""


@page("/delivery", "Delivery", icon="o_outbox", group="Run", order=2)
async def delivery(session: Session) -> None:
    """The spool, and each sink."""
    shown = _Delivery(session)
    await shown.refresh()
    live(1.0, shown.refresh)


class _Delivery:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._cards: dict[str, _Card] = {}
        self._chart: LiveChart | None = None
        with ui.element("div").classes("grid tiles"):
            self._waiting = Tile("Spool")
            self._oldest = Tile("Oldest that waits")
            self._reports = Tile("Reports per second")
            self._quarantined = Tile("In quarantine", "/quarantine")
        self._sinks = ui.element("div").classes("grid")
        self._more = ui.element("div").style("width: 100%")

    async def refresh(self) -> None:
        """Show it as it is now."""
        now = await self._session.api.get("/overview")
        told = await self._session.api.get("/sinks")
        sinks = told["items"]
        self._show_figures(now, sinks)
        names = [one["name"] for one in sinks]
        if names != list(self._cards):
            self._make(names)
        for one in sinks:
            self._cards[one["name"]].show(one)
        if self._chart is not None:
            self._chart.push(now["ts"], [one["rate_per_s"] for one in sinks])

    def _show_figures(self, now: JsonValue, sinks: list[JsonValue]) -> None:
        spool = now["spool"]
        share = spool["bytes"] / spool["bytes_max"]
        tone: Tone = "bad" if share > 0.9 else "warn" if share > 0.5 else ""
        self._waiting.show(size(spool["bytes"]), f"of {size(spool['bytes_max'])}: {share:.0%} full", tone)
        oldest = span(spool["oldest_s"]) if spool["bytes"] else "–"
        self._oldest.show(oldest, "" if spool["bytes"] else "nothing waits")
        # The gateway's own store gets each of them.
        own = next((one for one in sinks if one["name"] == DEVICES), {"rate_per_s": None, "delivered": None})
        self._reports.show(rate(own["rate_per_s"]), f"{count(own['delivered'])} since the start")
        refused = sum(one["refused"] for one in sinks)
        quarantined = now["quarantined"]
        self._quarantined.show(count(quarantined), f"{count(refused)} refused by sinks", "warn" if quarantined else "")

    def _make(self, names: list[str]) -> None:
        """Have a card for each."""
        self._sinks.clear()
        self._more.clear()
        with self._sinks:
            self._cards = {name: _Card(name, self._session) for name in names}
        with self._more, ui.element("div").classes("grid"):
            with panel("Delivered reports per second"):
                self._chart = LiveChart(names, points=KEPT)
            if names == [DEVICES]:
                _nothing_more()


def _nothing_more() -> None:
    with panel():
        empty(
            "o_outbox",
            "Reports stay here",
            "They are in the gateway's own store, where Devices shows them. TB_HOST, GATEWAY_HTTP_SINK_URL or "
            "GATEWAY_JSONL_SINK_PATH in the settings sends them on as well.",
        )


class _Card:
    """A sink."""

    def __init__(self, name: str, session: Session) -> None:
        self._zone = session.zone
        self._told: JsonValue = None
        with panel():
            with ui.element("div").classes("panel-title"):
                text(name)
                self._state = badge("")
                ui.element("div").classes("space")
                self._since = text("", "muted small")
            self._destination = Text("div", "").classes("mono small").style("overflow-wrap: anywhere")
            with ui.element("div").classes("figures"):
                self._figures = {
                    title: _figure(title) for title in ("Waiting", "Oldest", "Rate", "Delivered", "Refused")
                }
            self._error = ui.element("div").style("width: 100%")

    def show(self, one: JsonValue) -> None:
        """As it is now."""
        now_ms = time.time() * 1000
        self._state.text = one["state"]
        self._state.classes(replace=f"badge {TONES.get(one['state'], '')}")
        self._since.text = f"for {span(max(0, now_ms - one['since_ts']) / 1000)}" if one.get("since_ts") else ""
        self._destination.text = str(one["destination"])
        values = {
            "Waiting": _waiting(one),
            "Oldest": ago(one["oldest_ts"], now_ms) if one["oldest_ts"] else "–",
            "Rate": f"{rate(one['rate_per_s'])} per s",
            "Delivered": count(one["delivered"]),
            "Refused": count(one["refused"]),
        }
        for title, value in values.items():
            self._figures[title].text = value
        self._show_error(one["last_error"], is_over=one["state"] == "connected")

    def _show_error(self, error: JsonValue, *, is_over: bool) -> None:
        if (error, is_over) == self._told:
            return
        self._told = (error, is_over)
        self._error.clear()
        if error is None:
            return
        with self._error, note(error["message"], error["hint"], "" if is_over else "bad"):
            when = moment(error["ts"], self._zone)
            Text("div", f"{when} · it is over" if is_over else when).classes("muted small")


def _waiting(one: JsonValue) -> str:
    uplinks = one["waiting_uplinks"]
    if not uplinks:
        return "nothing"
    return f"{count(uplinks)} {'uplink' if uplinks == 1 else 'uplinks'}, {size(one['waiting_bytes'])}"


def _figure(title: str) -> Text:
    with ui.element("div").classes("figure"):
        Text("div", title).classes("muted small")
        return Text("div", "–").classes("num strong")
