"""How the gateway does, live."""

from collections import deque
from typing import Final

from nicegui import ui

from gateway.console.charts import LiveChart, Point
from gateway.console.frame import page
from gateway.console.session import Session
from gateway.console.tables import Cell, LiveTable
from gateway.console.times import ago, count, day, millis, rate, size, span
from gateway.console.widgets import Text, Tile, Tone, live, panel
from gateway.model import JsonValue

KEPT: Final = 300
"""How many seconds the charts show."""

EXPIRY_NEAR_MS: Final = 30 * 86_400_000
"""A certificate is worth a warning so long before its end."""

_MEANINGS: Final = {
    "2.01": "accepted",
    "2.04": "accepted",
    "4.00": "payload or converter",
    "4.01": "not authenticated",
    "4.02": "unknown option",
    "4.03": "not this device",
    "4.04": "no such endpoint",
    "4.05": "not this method",
    "4.08": "a block is missing",
    "4.13": "too large",
    "4.29": "over its rate",
    "5.00": "failed",
    "5.03": "spool full or busy",
}

_uplinks: Final[deque[Point]] = deque(maxlen=KEPT)
_latency: Final[deque[Point]] = deque(maxlen=KEPT)
"""What was seen while anybody looked, so that a page does not begin with nothing."""


@page("/", "Overview", icon="o_dashboard", group="Watch", order=0)
async def overview(session: Session) -> None:
    """Rates, latency, sessions, spool and sinks, certificates and processes."""
    tiles = _Tiles()
    with ui.element("div").classes("grid wide"):
        with panel("Uplinks per second"):
            uplinks = LiveChart(["uplinks/s"], _uplinks, points=KEPT)
        with panel("Latency"):
            latency = LiveChart(["p50", "p95", "p99"], _latency, unit="ms", points=KEPT)
    tables = _Tables()

    async def refresh() -> None:
        now = await session.api.get("/overview")
        tiles.show(now)
        tables.show(now)
        shown = now["latency"]
        seen = ((now["uplinks"]["per_s"],), (shown["p50_ms"], shown["p95_ms"], shown["p99_ms"]))
        for chart, past, values in zip((uplinks, latency), (_uplinks, _latency), seen, strict=True):
            chart.push(now["ts"], values)
            if not past or past[-1][0] < now["ts"]:
                past.append((now["ts"], values))

    live(1.0, refresh)


class _Tiles:
    """The figures that matter most."""

    def __init__(self) -> None:
        with ui.element("div").classes("grid tiles"):
            self._uplinks = Tile("Uplinks per second")
            self._latency = Tile("Latency, p99")
            self._sessions = Tile("DTLS sessions", "/security")
            self._spool = Tile("Waiting for the sinks", "/delivery")
            self._quarantine = Tile("In quarantine", "/quarantine")
            self._certificate = Tile("Certificate expiry", "/security")

    def show(self, now: JsonValue) -> None:
        uplinks, latency, sessions, spool = now["uplinks"], now["latency"], now["sessions"], now["spool"]
        self._uplinks.show(rate(uplinks["per_s"]), f"{count(uplinks['total'])} since the start")
        self._latency.show(millis(latency["p99_ms"]), f"p50 {millis(latency['p50_ms'])}")
        self._sessions.show(count(sessions["established"]), f"{sessions['handshakes_under_way']} handshaking")
        full = spool["bytes"] / spool["bytes_max"]
        oldest = f"oldest {span(spool['oldest_s'])}" if spool["bytes"] else "nothing waits"
        self._spool.show(size(spool["bytes"]), oldest, "bad" if full > 0.9 else "warn" if full > 0.5 else "")
        self._quarantine.show(
            count(now["quarantined"]),
            "kept for a replay" if now["quarantined"] else "no uplink failed",
            "warn" if now["quarantined"] else "",
        )
        ends = sorted((one["expires_ts"], one["role"]) for one in now["certificates"])
        if ends:
            ends_ms, role = ends[0]
            self._certificate.show(ago(ends_ms, now["ts"]), role, _expiry_tone(ends_ms, now["ts"]))
        else:
            self._certificate.show("–", "none in use")


class _Tables:
    """The rest, in short tables."""

    def __init__(self) -> None:
        with ui.element("div").classes("grid"):
            with panel("Listeners"):
                self._listeners = LiveTable(("", ""), "none")
            with panel("Responses"):
                self._codes = LiveTable(("code", "meaning", "(per s)", "(total)"), "No device has sent anything yet.")
            with panel("DTLS handshakes"):
                self._handshakes = LiveTable(("result", "(per s)", "(total)"), "none")
            with panel("Sinks"):
                self._sinks = LiveTable(("sink", "state", "(reports/s)", "(total)"), "Nothing was delivered yet.")
            with panel("Certificates"):
                self._certificates = LiveTable(("", "expires", ""), "None is in use: the DTLS listener is off.")
            with panel("Processes"):
                self._processes = LiveTable(("process", "(CPU)", "(memory)", "(up)"), "none")
        self._version = Text("div", "").classes("muted small")

    def show(self, now: JsonValue) -> None:
        self._listeners.show([_listener(one) for one in now["listeners"]])
        self._codes.show([_code(one) for one in now["uplinks"]["codes"]])
        sessions = now["sessions"]
        done = (
            Cell("completed", "good"),
            rate(sessions["handshakes"]["per_s"]),
            count(sessions["handshakes"]["total"]),
        )
        failed = [(one["alert"], rate(one["per_s"]), count(one["total"])) for one in sessions["failures"]]
        self._handshakes.show([done, *failed])
        self._sinks.show([_sink(one) for one in now["sinks"]])
        self._certificates.show(
            [
                (
                    one["role"],
                    day(one["expires_ts"]),
                    Cell(ago(one["expires_ts"], now["ts"]), _expiry_tone(one["expires_ts"], now["ts"]) or "good"),
                )
                for one in now["certificates"]
            ]
        )
        self._processes.show([_process(one, now["ts"]) for one in now["processes"]])
        restarts = now["worker_restarts"]
        self._version.text = f"gateway {now['version']}" + (f" · {restarts} workers were restarted" if restarts else "")


def _listener(one: JsonValue) -> tuple[str | Cell, ...]:
    host = f"[{one['address']}]" if ":" in one["address"] else one["address"]
    scheme = "DTLS" if one["scheme"] == "coaps" else "plain"
    return f"{one['scheme']}://{host}:{one['port']}", Cell(scheme, "accent")


def _code(one: JsonValue) -> tuple[str | Cell, ...]:
    code = one["code"]
    tone: Tone = "good" if code.startswith("2") else "warn" if code.startswith("4") else "bad"
    return Cell(code, tone), _MEANINGS.get(code, ""), rate(one["per_s"]), count(one["total"])


def _sink(one: JsonValue) -> tuple[str | Cell, ...]:
    # The words are those of the page Delivery; a sink without a connection has lost none.
    state = Cell("not connected", "bad") if one["connected"] is False else Cell("connected", "good")
    worst = max(one["errors"], key=lambda error: error["per_s"] or 0.0, default=None)
    shown = Cell(worst["trouble"], "bad") if worst and worst["per_s"] else state
    return one["sink"], shown, rate(one["reports"]["per_s"]), count(one["reports"]["total"])


def _process(one: JsonValue, now_ms: int) -> tuple[str | Cell, ...]:
    cpu = "–" if one["cpu"] is None else f"{one['cpu'] * 100:.0f} %"
    return one["process"], cpu, size(one["resident_bytes"]), span((now_ms - one["started_ts"]) / 1000)


def _expiry_tone(ends_ms: int, now_ms: int) -> Tone:
    if ends_ms <= now_ms:
        return "bad"
    return "warn" if ends_ms - now_ms < EXPIRY_NEAR_MS else ""
