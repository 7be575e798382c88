"""What a process says of itself."""

import mmap
import time

from gateway.metrics import (
    PROCESS_CPU_SECONDS_TOTAL,
    PROCESS_RESIDENT_BYTES,
    PROCESS_START_TIMESTAMP_SECONDS,
    Metrics,
)
from gateway.process_figures import measure_process, resident_bytes


def test_a_process_tells_its_time_its_memory_and_its_age() -> None:
    metrics = Metrics()
    measure_process(metrics, "api")
    before = metrics.snapshot()
    assert before[(PROCESS_START_TIMESTAMP_SECONDS, "api")] <= time.time()
    until_s = time.process_time() + 0.06
    while time.process_time() < until_s:
        pass
    measure_process(metrics, "api")
    used_s = metrics.snapshot()[(PROCESS_CPU_SECONDS_TOTAL, "api")] - before[(PROCESS_CPU_SECONDS_TOTAL, "api")]
    assert 0.03 < used_s < 10  # it is told in ticks of 10 ms, in two parts


def test_memory_that_is_taken_shows() -> None:
    metrics = Metrics()
    before = resident_bytes()
    with mmap.mmap(-1, 32 << 20) as taken:  # what was freed before is not taken again
        taken.write(b"x" * len(taken))
        measure_process(metrics, "api")
        assert metrics.snapshot()[(PROCESS_RESIDENT_BYTES, "api")] - before > len(taken) // 2
