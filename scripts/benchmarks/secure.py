"""The suite of the running secure gateway."""

from benchmarks import secure_uplinks, uplinks_report
from benchmarks.options import Options
from benchmarks.report import Report, Verdict


def measure(options: Options) -> Report:
    """Run the suite."""
    run = secure_uplinks.run(options)
    return Report(rows=uplinks_report.rows(run.results), results=[r.as_json() for r in run.results], errors=run.errors)
