"""The metrics as a table of a Markdown page."""

from typing import Final

from gateway.metrics import METRICS, Metric

BEGIN: Final = "<!-- metrics -->"
END: Final = "<!-- end of metrics -->"


def metrics_table() -> str:
    """All metrics, in the order of their declaration."""
    rows = [
        f"| `{metric.name}` | {metric.kind.value} | {_labels(metric)} | {metric.help} |" for metric in METRICS.values()
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


def with_metrics_table(page: str) -> str:
    """A page with today's table between its two marks. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{metrics_table()}\n{END}{after}"


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels) or "–"
