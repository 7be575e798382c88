"""The uplinks' results as a table, and as verdicts on their budgets."""

from collections.abc import Sequence

from benchmarks import uplinks
from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.uplinks import PACED_RATE, Result

LEAST_RATIO_TO_AIOCOAP = 18.0
"""Acknowledge only, the gateway's throughput to aiocoap's, in the same run."""

DISTURBED_FROM = 0.1
"""From which share of a CPU on other programs are said to disturb."""


def measure(options: Options) -> Report:
    """Run the suite."""
    run = uplinks.run(options)
    if not run.results:
        return Report(errors=run.errors)
    return Report(
        tables=[rows(run.results)],
        notes=disturbance(run.results, realtime=options.placement.realtime),
        verdicts=_verdicts(run.results),
        results=[result.as_json() for result in run.results],
        errors=run.errors,
    )


def _verdicts(results: Sequence[Result]) -> list[Verdict]:
    found = verdicts_on_cpu(results)
    by_name = {result.name: result for result in results}
    for mode in ("con", "non"):
        ours, theirs = by_name.get(f"ack-{mode}"), by_name.get(f"aiocoap-{mode}")
        if ours and theirs:
            ratio = ours.requests_per_s / max(theirs.requests_per_s, 1.0)
            found.append(
                Verdict(f"throughput to aiocoap's, {mode.upper()}", ratio, LEAST_RATIO_TO_AIOCOAP, False, "times")
            )
    return found


def verdicts_on_cpu(results: Sequence[Result]) -> list[Verdict]:
    """On the budgets that scenarios have."""
    return [
        Verdict(f"{result.title}, CPU per request", result.cpu_us, result.budget_us, True, "µs")
        for result in results
        if result.budget_us is not None
    ]


def rows(results: Sequence[Result]) -> Rows:
    """The results as a table."""
    found: Rows = [
        (
            "scenario",
            "requests/s",
            "CPU µs/request",
            "supervisor µs/request",
            "CPU busy",
            "p50 / p99 at full load, ms",
            f"p50 / p99 at {PACED_RATE}/s, µs",
            "memory, MB",
            "failures",
        )
    ]
    for result in results:
        full, paced = result.saturated, result.paced
        found.append(
            (
                result.title,
                f"{result.requests_per_s:,.0f}",
                f"{result.cpu_us:.2f}",
                "" if result.supervisor_cpu_us is None else f"{result.supervisor_cpu_us:.2f}",
                f"{result.busy:.0%}",
                f"{full.p50_us / 1000:.2f} / {full.p99_us / 1000:.2f}",
                f"{paced.p50_us:.0f} / {paced.p99_us:.0f}",
                f"{full.resident_bytes[0] / 1e6:.0f}",
                ", ".join(f"{count} of {kind}" for kind, count in sorted(result.failures.items())) or "none",
            )
        )
    return found


def disturbance(results: Sequence[Result], *, realtime: bool) -> list[str]:
    """A line that says so where other programs took CPU time; none where none did to speak of."""
    most = max(results, key=lambda result: result.others_busy)
    if most.others_busy < DISTURBED_FROM:
        return []
    effect = (
        "they had to wait for the measured ones, but shared their caches"
        if realtime
        else "throughput and latency are worse than this machine's, CPU times somewhat"
    )
    return [f"Other programs took up to {most.others_busy:.0%} of a CPU ({most.name}): {effect}."]
