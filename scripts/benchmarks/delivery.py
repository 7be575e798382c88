"""What delivery costs: a backlog in a spool goes to Mosquitto by the Gateway MQTT API, as after an outage."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import delivery_peers, forked, processes
from benchmarks.delivery_backlog import BATCH, Progress, fill
from benchmarks.delivery_peers import Published
from benchmarks.delivery_servers import free_tcp_port, gateway, mosquitto, standing_still
from benchmarks.options import Options
from benchmarks.report import Report, Rows, Verdict
from benchmarks.servers import BenchError, Placement

LEAST_PER_S = 50_000
"""Records a second from the spool to Mosquitto, on one CPU of the supervisor."""

MOST_GROWTH_BYTES = 16 << 20
"""What a second backlog may add to the most memory that the first took."""

BOUND_S = 300.0
_LOOK_S = 0.02
_MIB = 1 << 20

ALONE, BOTH, SECOND = "alone", "with-view", "second"
PACKED, SINGLE = "paho-packed", "paho-single"
TITLES = {
    ALONE: "sink alone",
    BOTH: "sink and device view at once",
    SECOND: "the same, a second backlog",
    PACKED: "paho with orjson, a message for each batch",
    SINGLE: "paho, a ready-made message for each record",
}
HEAD = ("scenario", "records/s", "CPU µs/record", "device view, records/s", "RSS before / peak, MiB")


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was delivered."""

    name: str
    records: int
    """Of those that were delivered while it was measured."""
    seconds: float
    cpu_s: float
    before_bytes: int = 0
    """The supervisor's memory (RSS) before."""
    peak_bytes: int = 0
    """The most that it had since it started."""
    viewed: int = 0
    """Records that the device view took meanwhile, which is in the CPU time."""

    @property
    def per_s(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of a record, in µs."""
        return self.cpu_s / self.records * 1e6

    def as_json(self) -> dict[str, Any]:
        """All of it, for the results file."""
        return asdict(self) | {"title": TITLES[self.name], "records_per_s": self.per_s, "cpu_us": self.cpu_us}


def measure(options: Options) -> Report:
    """Run the suite."""
    report = Report()
    done: dict[str, Drained] = {}
    for names, work in (((ALONE,), _alone), ((BOTH, SECOND), _with_view), ((PACKED, SINGLE), _peers)):
        if not any(map(options.wants, names)):
            continue
        print(f"{' and '.join(names)} …", file=sys.stderr, flush=True)
        try:
            done |= {drained.name: drained for drained in work(options)}
        except (BenchError, OSError) as error:
            report.errors[names[0]] = str(error)
    if done:
        report.tables = [
            [("scenario", "records/s", "CPU µs/record", "device view/s", "RSS before / peak, MiB"), *_rows(done)]
        ]
        report.notes = list(_notes(done))
        report.verdicts = list(_verdicts(done))
        report.results = [drained.as_json() for drained in done.values()]
    return report


def _alone(options: Options) -> Iterator[Drained]:
    """The device view has everything already, because the broker stood still."""
    with _delivering(options) as (data_dir, supervisor, broker):
        with standing_still(broker):
            fill(data_dir, 0, _batches(options))
            _until_viewed(data_dir, _records(options))
        yield _drain(ALONE, supervisor, data_dir, 0, _records(options))


def _with_view(options: Options) -> Iterator[Drained]:
    """Both begin at the same time, because the supervisor stood still; with two backlogs one after the other."""
    with _delivering(options) as (data_dir, supervisor, _):
        for name, begin in ((BOTH, 0), (SECOND, _records(options))):
            with standing_still(supervisor):
                fill(data_dir, begin, _batches(options))
            yield _drain(name, supervisor, data_dir, begin, begin + _records(options))
            _until_viewed(data_dir, begin + _records(options))


def _peers(options: Options) -> Iterator[Drained]:
    port, placement = free_tcp_port(), options.placement
    with mosquitto(placement, port):
        measured = Placement(placement.server, placement.server, realtime=placement.realtime)
        for name, work in ((PACKED, _publish_packed), (SINGLE, _publish_single)):
            done = forked.run(measured, BOUND_S, work, port, _records(options))
            yield Drained(name, done.records, done.seconds, done.cpu_s)


def _publish_packed(port: int, records: int) -> Published:
    bodies = delivery_peers.batches(records)
    return delivery_peers.publish(port, records, len(bodies), delivery_peers.packed(bodies))


def _publish_single(port: int, records: int) -> Published:
    payloads = delivery_peers.single(records // 20)  # they take long
    return delivery_peers.publish(port, len(payloads), len(payloads), payloads)


def _drain(name: str, supervisor: int, data_dir: Path, begin: int, end: int) -> Drained:
    """Watch the sink from its first record to its last."""
    before_bytes = processes.resident_bytes(supervisor)
    with closing(Progress(data_dir)) as progress:
        _wait(lambda: progress.delivered > begin, "the sink's first record")
        first, begun_s, begun_cpu_s = progress.delivered, time.perf_counter(), processes.cpu_seconds(supervisor)
        viewed = progress.viewed
        _wait(lambda: progress.delivered >= end, "the sink's last record")
        seconds, cpu_s = time.perf_counter() - begun_s, processes.cpu_seconds(supervisor) - begun_cpu_s
        viewed = progress.viewed - viewed
    if first >= end:
        raise BenchError("there was nothing left when it was looked at first: ask for more records")
    peak_bytes = processes.peak_resident_bytes(supervisor)
    return Drained(name, end - first, seconds, cpu_s, before_bytes, peak_bytes, viewed)


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + BOUND_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise BenchError(f"{what} did not come within {BOUND_S:.0f} s")
        time.sleep(_LOOK_S)


def _until_viewed(data_dir: Path, records: int) -> None:
    with closing(Progress(data_dir)) as progress:
        _wait(lambda: progress.viewed >= records, "the device view")


@contextmanager
def _delivering(options: Options) -> Iterator[tuple[Path, int, int]]:
    """A gateway and a broker that are connected: data directory, supervisor, broker."""
    port = free_tcp_port()
    data_dir = Path(tempfile.mkdtemp(prefix="bench-", dir=options.data_dir))
    try:
        with mosquitto(options.placement, port) as broker, gateway(options.placement, data_dir, port) as supervisor:
            yield data_dir, supervisor, broker
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def _batches(options: Options) -> int:
    return -(-options.backlog // BATCH)


def _records(options: Options) -> int:
    return _batches(options) * BATCH


def _rows(done: dict[str, Drained]) -> Rows:
    return [
        (
            TITLES[one.name],
            f"{one.per_s:,.0f}",
            f"{one.cpu_us:.2f}",
            f"{one.viewed / one.seconds:,.0f}" if one.viewed else "",
            f"{one.before_bytes / _MIB:.0f} / {one.peak_bytes / _MIB:.0f}" if one.peak_bytes else "",
        )
        for one in done.values()
    ]


def _notes(done: dict[str, Drained]) -> Iterator[str]:
    alone = done.get(ALONE)
    for name in (PACKED, SINGLE):
        if alone is not None and name in done:
            ratio = alone.cpu_us / done[name].cpu_us
            yield f"A record takes {ratio:.2f} times the CPU time that it takes {TITLES[name]}."


def _verdicts(done: dict[str, Drained]) -> Iterator[Verdict]:
    if ALONE in done:
        yield Verdict("spool to Mosquitto, sink alone", done[ALONE].per_s, LEAST_PER_S, False, "records/s")
    if BOTH in done and SECOND in done:
        growth = done[SECOND].peak_bytes - done[BOTH].peak_bytes
        yield Verdict("memory for a second backlog", growth / _MIB, MOST_GROWTH_BYTES / _MIB, True, "MiB")
