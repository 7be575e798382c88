"""The suite of the running secure gateway: what an uplink, a handshake, an idle session and a flood cost it."""

from collections.abc import Mapping

from benchmarks import secure_flood, secure_handshakes, secure_idle, secure_uplinks, uplinks_report
from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.secure_flood import Flood
from benchmarks.secure_handshakes import Handshakes
from benchmarks.secure_idle import Idle
from benchmarks.uplinks import Run

BUSY_BELOW = 0.9
"""Below this share of its CPU, the worker waited for the load generator."""


def measure(options: Options) -> Report:
    """Run the suite."""
    report = Report()
    _report_uplinks(secure_uplinks.run(options), report, realtime=options.placement.realtime)
    handshakes, errors = secure_handshakes.measure(options)
    report.errors |= errors
    _report_handshakes(handshakes, report)
    idle, errors = secure_idle.measure(options)
    report.errors |= errors
    _report_idle(idle, report)
    floods, errors = secure_flood.measure(options)
    report.errors |= errors
    _report_floods(floods, report)
    return report


def _report_uplinks(run: Run, report: Report, *, realtime: bool) -> None:
    report.errors |= run.errors
    if not run.results:
        return
    report.tables.append(uplinks_report.rows(run.results))
    report.results += [result.as_json() for result in run.results]
    report.notes += uplinks_report.disturbance(run.results, realtime=realtime)
    report.verdicts += uplinks_report.verdicts_on_cpu(run.results)
    by_name = {result.name: result for result in run.results}
    waited = [name for name, result in by_name.items() if result.busy < BUSY_BELOW]
    if waited:
        report.notes.append(
            f"The worker waited for the load generator in {', '.join(waited)}: its CPU time per request holds, "
            "its requests/s are the generator's."
        )
    plain, secured = by_name.get(secure_uplinks.PLAIN), by_name.get(secure_uplinks.COMPARED)
    if plain and secured:
        report.notes.append(
            f"An uplink over a PSK session takes {secured.cpu_us / max(plain.cpu_us, 0.01):.2f} times the worker's "
            f"CPU time of one over plain CoAP, {secured.cpu_us - plain.cpu_us:.2f} µs more."
        )


def _report_handshakes(measured: Mapping[str, Handshakes], report: Report) -> None:
    rows: Rows = [
        ("scenario", "CPU µs/handshake", "handshakes/s of a CPU", "handshakes/s here", "CPU busy", "client's CPU µs")
    ]
    for kind in secure_handshakes.KINDS:
        if one := measured.get(kind.name):
            rows.append(
                (
                    kind.title,
                    f"{one.cpu_us:.0f}",
                    f"{1e6 / max(one.cpu_us, 1.0):,.0f}",
                    f"{one.per_s:,.0f}",
                    f"{one.busy:.0%}",
                    f"{one.client_cpu_us:.0f}",
                )
            )
            report.results.append({"name": kind.name, "title": kind.title} | one.as_json())
    if measured:
        report.tables.append(rows)


def _report_idle(measured: Mapping[str, Idle], report: Report) -> None:
    rows: Rows = [("scenario", "sessions", "bytes/session")]
    for kind in secure_idle.KINDS:
        if one := measured.get(kind.name):
            rows.append((kind.title, f"{one.sessions:,}", f"{one.resident_bytes:,.0f}"))
            report.results.append({"name": kind.name, "title": kind.title} | one.as_json())
            report.verdicts.append(Verdict(kind.title, one.resident_bytes, secure_idle.BUDGET_BYTES, True, "bytes"))
    if measured:
        report.tables.append(rows)


def _report_floods(measured: Mapping[str, Flood], report: Report) -> None:
    rows: Rows = [
        (
            f"scenario, {secure_flood.UPLINKS_PER_S} uplinks/s",
            "quiet p50 / p99, µs",
            "flooded p50 / p99, µs",
            "failures",
        )
    ]
    for kind in secure_flood.KINDS:
        if one := measured.get(kind.name):
            quiet, flooded = one.quiet, one.flooded
            rows.append(
                (
                    kind.title,
                    f"{quiet.p50_us:.0f} / {quiet.p99_us:.0f}",
                    f"{flooded.p50_us:.0f} / {flooded.p99_us:.0f}",
                    f"{quiet.failures} / {flooded.failures}",
                )
            )
            report.results.append({"name": kind.name, "title": kind.title} | one.as_json())
            if kind.budget is not None:
                report.verdicts.append(
                    Verdict(f"p99 under {kind.title}, to the quiet one", one.ratio, kind.budget, True, "times")
                )
    if measured:
        report.tables.append(rows)
