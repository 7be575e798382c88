"""The suite of the running secure gateway."""

from benchmarks import secure_handshakes, secure_idle, secure_uplinks, uplinks_report
from benchmarks.options import Options
from benchmarks.report import Report, Verdict


def measure(options: Options) -> Report:
    """Run the suite."""
    run = secure_uplinks.run(options)
    rep= Report(rows=uplinks_report.rows(run.results), results=[r.as_json() for r in run.results], errors=run.errors)
    h, e = secure_handshakes.measure(options)
    for k, v in h.items(): print(k, v, v.per_s, v.cpu_us, v.client_cpu_us, v.busy)
    rep.errors |= e
    h, e = secure_idle.measure(options)
    for k, v in h.items(): print(k, v)
    rep.errors |= e
    return rep
