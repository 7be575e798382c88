"""The gateway's benchmarks: servers to measure, a load generator to measure them with, and the report.

Run by `scripts/bench`; docs/benchmarks.md says what is measured and how.
"""
