"""Whatever is applied in whatever order, with restarts and full disks between: the store is what a plain model is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UnavailableError
from gateway.model import Delivery, JsonValue, StoredReport
from gateway.storage import devices as devices_module
from gateway.storage import history as history_module
from gateway.storage.device_view import DeviceView
from gateway.storage.devices import DeviceStore

SPOOLS = ("spool-0", "spool-1")

Values = dict[str, tuple[int, bytes]]
"""Key → (ts, value as JSON, in which `true`, 1 and 1.0 differ)."""


@dataclass
class ModelDevice:
    type: str
    customer: str | None = None
    group: str | None = None
    principal: str | None = None
    first_ms: int = 1 << 62
    last_ms: int = -(1 << 62)
    attributes: Values = field(default_factory=dict)
    telemetry: Values = field(default_factory=dict)
    history: dict[tuple[str, int], bytes] = field(default_factory=dict)


class Model:
    """The rules of `DeviceStore.apply`, one report at a time."""

    def __init__(self) -> None:
        self.devices: dict[tuple[str, str], ModelDevice] = {}
        self.positions = dict.fromkeys(SPOOLS, 0)

    def apply(self, spool: str, deliveries: Sequence[Delivery]) -> None:
        for batch_id, reports, _ in deliveries:
            if batch_id > self.positions[spool]:
                self.positions[spool] = batch_id
                for report in reports:
                    self._apply(report)

    def _apply(self, report: StoredReport) -> None:
        device = self.devices.setdefault((report.kind, report.name), ModelDevice(report.type))
        device.customer = device.customer if report.customer is None else report.customer
        device.group = device.group if report.group is None else report.group
        device.first_ms = min(device.first_ms, report.received_ms)
        if report.received_ms >= device.last_ms:
            device.last_ms = report.received_ms
            device.principal = report.principal
        for key, value in report.attributes.items():
            keep_newest(device.attributes, key, report.received_ms, value)
        for ts, values in report.telemetry:
            for key, value in values.items():
                keep_newest(device.telemetry, key, ts, value)
                device.history[key, ts] = orjson.dumps(value)


def keep_newest(values: Values, key: str, ts: int, value: JsonValue) -> None:
    if key not in values or ts >= values[key][0]:
        values[key] = (ts, orjson.dumps(value))


# -- what can happen -----------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)
keyed = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)
few = st.integers(-2, 4)
reports = st.builds(
    StoredReport,
    integration=st.just("i"),
    received_ms=few,
    principal=st.sampled_from([None, "p", "q"]),
    kind=st.sampled_from(["device", "asset"]),
    name=st.sampled_from(["X", "x", "Y"]),
    type=st.sampled_from(["s", "t"]),
    customer=st.sampled_from([None, "", "C", "D"]),
    group=st.sampled_from([None, "G"]),
    attributes=keyed,
    telemetry=st.lists(st.tuples(few, keyed), max_size=3),
)


@dataclass(frozen=True)
class Apply:
    """Batches of a spool: as many as there are in `batches`, after `again` that were applied before."""

    spool: str
    again: int
    batches: list[list[StoredReport]]
    room_pages: int | None
    """How far the file may grow before the disk counts as full."""


@dataclass(frozen=True)
class Restart:
    pass


steps = st.lists(
    st.builds(
        Apply,
        spool=st.sampled_from(SPOOLS),
        again=st.integers(0, 2),
        batches=st.lists(st.lists(reports, max_size=5), max_size=3),
        room_pages=st.none() | st.integers(0, 2),
    )
    | st.builds(Restart),
    max_size=8,
)


@contextmanager
def small_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(history_module, "RUN_ROWS", 6)
        monkeypatch.setattr(devices_module, "CACHE_ENTRIES", 4)
        yield


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_store_is_what_the_model_is(steps: list[Apply | Restart]) -> None:
    with small_limits(), TemporaryDirectory() as folder:
        model, store = Model(), DeviceStore(Path(folder))
        applied: dict[str, list[Delivery]] = {spool: [] for spool in SPOOLS}
        for step in steps:
            if isinstance(step, Restart):
                store.close()
                store = DeviceStore(Path(folder))
                continue
            known = applied[step.spool]
            new = [Delivery(len(known) + n, batch) for n, batch in enumerate(step.batches, 1)]
            deliveries = [*known[len(known) - min(step.again, len(known)) :], *new]
            try:
                with room(store, step.room_pages):
                    store.apply(step.spool, deliveries)
            except UnavailableError:
                pass
            else:
                model.apply(step.spool, deliveries)
                known += new
            compare(Path(folder), store, model)
        store.close()


@contextmanager
def room(store: DeviceStore, pages: int | None) -> Iterator[None]:
    ((count,),) = store._connection.execute("PRAGMA page_count").fetchall()
    limit = 1 << 30 if pages is None else count + pages
    store._connection.execute(f"PRAGMA max_page_count = {limit}").fetchall()
    yield


def compare(folder: Path, store: DeviceStore, model: Model) -> None:
    assert {spool: store.position(spool) for spool in SPOOLS} == model.positions
    with DeviceView(folder) as view:
        assert {(summary.kind, summary.name) for summary in view.devices()} == set(model.devices)
        for (kind, name), expected in model.devices.items():
            details = view.device(name, kind="asset" if kind == "asset" else "device")
            found = ModelDevice(
                details.type,
                details.customer,
                details.group,
                details.principal,
                details.first_seen_ts,
                details.last_seen_ts,
                {key: (sample.ts, orjson.dumps(sample.value)) for key, sample in details.attributes.items()},
                {key: (sample.ts, orjson.dumps(sample.value)) for key, sample in details.telemetry.items()},
                {
                    (key, sample.ts): orjson.dumps(sample.value)
                    for key in details.telemetry
                    for sample in view.history(name, key, kind=details.kind)
                },
            )
            assert found == expected
