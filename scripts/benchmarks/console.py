"""What the console, open on all pages, and a scrape of `/metrics` each second do to uplinks, and what they cost."""

import gc
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from benchmarks import console_watchers, forked, processes, servers
from benchmarks.console_uplinks import Round, send_round
from benchmarks.console_watchers import PAGES, Seen, Watchers
from benchmarks.delivery_servers import free_tcp_port
from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.servers import HOST, BenchError, Server
from gateway.model import Language
from gateway.storage.user_store import first_password_file

RATES_PER_S = (500, 2000)

MOST_RATIO = 1.1
"""Of the p99 with the console open and `/metrics` scraped to the p99 without."""

ROUNDS = 8
"""Of each, without and with, mixed so that a disturbance hits both."""

SCRAPES = 50
"""One after the other, for what one costs."""

OFF = "http-off"
_SETTLE_S = 2.0
_BOUND_S = 60.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """A round's figures for one rate."""

    p50_us: float
    p99_us: float
    late_p99_us: float
    """How late uplinks were sent, because the sender had no CPU."""
    answers: int
    failures: int
    worker_cpu: float
    supervisor_cpu: float
    api_cpu: float
    """What each took, 1.0 being all of a CPU."""


@dataclass(slots=True)
class Compared:
    """The rounds of one rate."""

    per_s: int
    quiet: list[Side] = field(default_factory=list)
    open: list[Side] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the medians of the rounds' p99: a stall of the disk that few rounds had is not in it."""
        return median(self.open, "p99_us") / median(self.quiet, "p99_us")

    @property
    def ratios(self) -> list[float]:
        """Of each open round's p99 to that of the quiet one next to it, in order."""
        return sorted(one.p99_us / before.p99_us for before, one in zip(self.quiet, self.open, strict=True))

    @property
    def quiet_ratios(self) -> list[float]:
        """Of each quiet round's p99 to that of the quiet one before it, in order: what chance alone does."""
        return sorted(one.p99_us / before.p99_us for before, one in zip(self.quiet[:-1], self.quiet[1:], strict=True))

    @property
    def name(self) -> str:
        """As `--only` has it."""
        return f"open-{self.per_s}"

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return {"name": self.name, "ratio": self.ratio, "ratios": self.ratios} | asdict(self)


@dataclass(frozen=True, slots=True)
class Cost:
    """What those who look cost."""

    seen: list[Seen]
    """Each time that the console was open."""
    open_s: float
    """How long the console was open in all."""
    scrape_ms: float
    """CPU time of the API's process for a scrape, in ms."""
    scrape_supervisor_ms: float
    api_bytes: int
    """Its memory at the end (RSS)."""

    @property
    def frames_per_s(self) -> float:
        """Messages to the pages: the proof that they do not rest."""
        return sum(seen.frames for seen in self.seen) / self.open_s

    @property
    def scrapes_per_s(self) -> float:
        """Scrapes while the console was open."""
        return sum(seen.scrapes for seen in self.seen) / self.open_s


@dataclass(frozen=True, slots=True)
class Off:
    """What runs of a gateway with GATEWAY_HTTP_ENABLED=false."""

    children: list[str]
    """The supervisor's child processes, by their module."""
    resident_bytes: int
    """Memory of all processes (RSS)."""


def measure(options: Options) -> Report:
    """Run the suite."""
    report = Report()
    compared = [Compared(per_s) for per_s in RATES_PER_S if options.wants(Compared(per_s).name)]
    if compared:
        print(f"{' and '.join(one.name for one in compared)} …", file=sys.stderr, flush=True)
        try:
            compared, cost = _compare(options, compared)
            _report(compared, cost, report)
        except (BenchError, OSError, httpx.HTTPError) as error:
            report.errors[compared[0].name] = str(error)
    if options.wants(OFF):
        print(f"{OFF} …", file=sys.stderr, flush=True)
        try:
            _report_off(_look_without(options), report)
        except (BenchError, OSError) as error:
            report.errors[OFF] = str(error)
    return report


def _compare(options: Options, compared: list[Compared]) -> tuple[list[Compared], Cost]:
    rounds = max(1, min(ROUNDS, int(2 * options.saturated_s)))  # the pages take long to open
    bound_s = rounds * 2 * (len(compared) * (options.saturated_s + 3) + _SETTLE_S) + rounds * _BOUND_S
    with _started(options) as (server, api, url):
        assert server.data_dir is not None
        password = first_password_file(server.data_dir).read_text(encoding="ascii").strip()
        with console_watchers.watching(url, password) as watchers:
            watched = [*server.watched, api]
            work = (server.port, watched, compared, watchers, rounds, options)
            compared, seen, open_s = forked.run(options.placement, bound_s, _measure_rounds, *work)
        supervisor = server.watched[1]
        scrape_ms, scrape_supervisor_ms = _measure_scrapes(url, api, supervisor)
        cost = Cost(seen, open_s, scrape_ms, scrape_supervisor_ms, processes.resident_bytes(api))
    return compared, cost


def _measure_rounds(
    port: int, watched: list[int], compared: list[Compared], watchers: Watchers, rounds: int, options: Options
) -> tuple[list[Compared], list[Seen], float]:
    """In the sender's process."""
    gc.disable()
    seen: list[Seen] = []
    open_s = opened_s = 0.0
    settle_s = min(_SETTLE_S, 2 * options.warm_up_s)
    send_round(port, max(RATES_PER_S), options.warm_up_s)
    # Quiet, open, open, quiet and so on: a machine that becomes quieter meanwhile favours neither.
    order = [is_open for number in range(rounds) for is_open in ((False, True), (True, False))[number % 2]]
    for is_open, was_open in zip(order, (False, *order), strict=False):
        if is_open and not was_open:
            watchers.look()
            opened_s = time.monotonic()
        elif was_open and not is_open:
            open_s += time.monotonic() - opened_s
            seen.append(watchers.rest())
        for one, side in _measure_sides(port, watched, compared, settle_s, options):
            (one.open if is_open else one.quiet).append(side)
    if order[-1]:
        open_s += time.monotonic() - opened_s
        seen.append(watchers.rest())
    return compared, seen, open_s


def _measure_sides(
    port: int, watched: list[int], compared: list[Compared], settle_s: float, options: Options
) -> Iterator[tuple[Compared, Side]]:
    send_round(port, RATES_PER_S[0], settle_s)  # while what opening or closing the pages left to do is done
    for one in compared:
        before = [processes.cpu_seconds(pid) for pid in watched]
        begun_s = time.perf_counter()
        measured = send_round(port, one.per_s, options.saturated_s)
        seconds = time.perf_counter() - begun_s
        cpu = [(processes.cpu_seconds(pid) - was) / seconds for pid, was in zip(watched, before, strict=True)]
        yield one, _side(measured, *cpu)


def _side(measured: Round, worker: float, supervisor: float, api: float) -> Side:
    return Side(
        p50_us=measured.percentile(50),
        p99_us=measured.percentile(99),
        late_p99_us=measured.late_p99_us,
        answers=len(measured.latencies_us),
        failures=measured.failures,
        worker_cpu=worker,
        supervisor_cpu=supervisor,
        api_cpu=api,
    )


def _measure_scrapes(url: str, api: int, supervisor: int) -> tuple[float, float]:
    """CPU time of a scrape in ms: the API's, and the supervisor's."""
    with httpx.Client(base_url=url, timeout=_BOUND_S, trust_env=False) as client:
        before = [processes.cpu_seconds(pid) for pid in (api, supervisor)]
        for _ in range(SCRAPES):
            client.get("/metrics").raise_for_status()
        api_s, supervisor_s = (
            processes.cpu_seconds(pid) - was for pid, was in zip((api, supervisor), before, strict=True)
        )
    return api_s / SCRAPES * 1e3, supervisor_s / SCRAPES * 1e3


# -- the gateways --------------------------------------------------------------------------------


@contextmanager
def _started(options: Options) -> Iterator[tuple[Server, int, str]]:
    """One with the API and the console: it, the API's process, its URL."""
    http_port = free_tcp_port()
    converter = servers.uplink_converter(Language.PYTHON)
    with servers.gateway(options.placement, converter, options.data_dir, http_port=http_port) as server:
        api = next(pid for pid in processes.children(server.watched[1]) if _module(pid) == "gateway.api")
        processes.pin(api, options.placement.generator)
        url = f"http://{HOST}:{http_port}"
        with httpx.Client(timeout=_BOUND_S, trust_env=False) as client:
            client.get(f"{url}/readyz").raise_for_status()  # the port's socket is there before the API is
        yield server, api, url


def _look_without(options: Options) -> Off:
    converter = servers.uplink_converter(Language.PYTHON)
    with servers.gateway(options.placement, converter, options.data_dir) as server:
        children = processes.children(server.watched[1])
        resident_bytes = sum(map(processes.resident_bytes, (server.watched[1], *children)))
        return Off([_module(pid) for pid in children], resident_bytes)


def _module(pid: int) -> str:
    """Which module of the gateway a process is."""
    return next((part for part in processes.command_line(pid) if part.startswith("gateway.")), "")


# -- the report ----------------------------------------------------------------------------------


def median(sides: list[Side], figure: str) -> float:
    """Of the rounds' figures of that name."""
    return statistics.median(float(getattr(side, figure)) for side in sides)


def _report(compared: list[Compared], cost: Cost, report: Report) -> None:
    rows: Rows = [
        (
            "uplinks/s",
            "quiet p50 / p99, µs",
            "open p50 / p99, µs",
            "p99 open to quiet, by rounds",
            "quiet to quiet",
            "sent late, p99 quiet / open, µs",
            "API's CPU quiet / open",
            "supervisor's",
            "worker's",
            "failures",
        )
    ]
    for one in compared:
        rows.append(
            (
                f"{one.per_s:,}",
                *(f"{median(sides, 'p50_us'):.0f} / {median(sides, 'p99_us'):.0f}" for sides in (one.quiet, one.open)),
                _spread(one.ratios),
                _spread(one.quiet_ratios),
                f"{median(one.quiet, 'late_p99_us'):.0f} / {median(one.open, 'late_p99_us'):.0f}",
                *(
                    f"{median(one.quiet, figure):.1%} / {median(one.open, figure):.1%}"
                    for figure in ("api_cpu", "supervisor_cpu", "worker_cpu")
                ),
                " / ".join(str(sum(side.failures for side in sides)) for sides in (one.quiet, one.open)),
            )
        )
        report.results.append(one.as_json())
        what = f"p99 with the console open and scraped at {one.per_s:,} uplinks/s, to that without"
        report.verdicts.append(Verdict(what, one.ratio, MOST_RATIO, True, "times"))
    report.tables.append(rows)
    report.results.append({"name": "cost"} | asdict(cost))
    report.notes.append(
        f"{len(PAGES)} pages were open, got {cost.frames_per_s:.1f} messages a second, and there were "
        f"{cost.scrapes_per_s:.2f} scrapes a second. A scrape takes {cost.scrape_ms:.1f} ms of CPU time in the API's "
        f"process and {cost.scrape_supervisor_ms:.1f} ms in the supervisor; the API's process has "
        f"{cost.api_bytes / _MIB:.0f} MiB."
    )


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""


def _report_off(off: Off, report: Report) -> None:
    if off.children != ["gateway.worker"]:
        raise BenchError(f"with GATEWAY_HTTP_ENABLED=false there run {', '.join(off.children)}")
    report.tables.append(
        [
            ("GATEWAY_HTTP_ENABLED=false", "child processes", "memory of all, MiB"),
            ("", ", ".join(off.children), f"{off.resident_bytes / _MIB:.0f}"),
        ]
    )
    report.results.append({"name": OFF} | asdict(off))
