"""All spools as one stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Delivery
from gateway.sinks import stream as stream_module
from gateway.sinks.stream import Portion, SpoolStream
from gateway.storage.devices import DeviceStore
from gateway.storage.sink_store import Position
from gateway.storage.spool_reader import BatchReader

from .spools import Spools, failed, stored

ALL = 1 << 30


@contextmanager
def reading(data_dir: Path, positions: dict[str, Position] | None = None) -> Iterator[SpoolStream]:
    stream = SpoolStream(data_dir, "sink", positions or {})
    try:
        yield stream
    finally:
        stream.close()


def names(portion: Portion | None) -> list[str]:
    return [] if portion is None else [record.report.name for record in portion.records]


def everything(stream: SpoolStream, max_bytes: int = ALL) -> list[str]:
    found: list[str] = []
    while (portion := stream.read(max_bytes)) is not None:
        found += names(portion)
    return found


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    return Spools(tmp_path)


def test_where_there_is_no_spool_yet_nothing_waits(tmp_path: Path) -> None:
    with reading(tmp_path) as stream:
        assert stream.read(ALL) is None
        Spools(tmp_path).commit(0, [stored("a", 1)])
        assert names(stream.read(ALL)) == ["a"]
        assert stream.read(ALL) is None


def test_several_spools_are_read_in_the_order_of_receipt(spools: Spools, tmp_path: Path) -> None:
    spools.commit(0, [stored("a1", 10), stored("a2", 30)])
    spools.commit(1, [stored("b1", 20), stored("b2", 40)])
    spools.commit(0, [stored("a3", 50)])
    with reading(tmp_path) as stream:
        assert everything(stream) == ["a1", "b1", "a2", "b2", "a3"]


def test_nothing_overtakes_what_waits_unread_in_another_spool(
    spools: Spools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "READ_BATCHES", 1)
    for ms in (10, 30, 50):
        spools.commit(0, [stored(f"a{ms}", ms)])
    spools.commit(1, [stored(f"b{ms}", ms) for ms in (20, 40, 60)])
    with reading(tmp_path) as stream:
        assert names(stream.read(ALL)) == ["a10"]
        assert names(stream.read(ALL)) == ["b20", "a30"]
        assert everything(stream) == ["b40", "a50", "b60"]


def test_what_is_committed_while_the_spools_are_looked_at_does_not_overtake(
    spools: Spools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools.make(0)
    spools.make(1)
    looked_at: list[str] = []
    head = BatchReader.head

    def slow_head(reader: BatchReader) -> int:
        found = head(reader)
        looked_at.append(reader.identity)
        if len(looked_at) == 1:  # between the first spool's head and the second one's
            spools.commit(0, [stored("first", 10)])
            spools.commit(1, [stored("second", 20)])
        return found

    monkeypatch.setattr(BatchReader, "head", slow_head)
    with reading(tmp_path) as stream:
        assert names(stream.read(ALL)) == ["first", "second"]


def test_what_came_later_than_the_heads_waits_for_the_next_look(
    spools: Spools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools.commit(0, [stored("a", 5)])
    spools.commit(1, [stored("b", 6)])
    read = BatchReader.read
    happened: list[str] = []

    def slow_read(reader: BatchReader, **bounds: int) -> list[Delivery]:
        found = read(reader, **bounds)
        if not happened:  # behind the first spool's reading, and before the second one's
            happened.append(reader.identity)
            spools.commit(0, [stored("first", 10)])
            spools.commit(1, [stored("second", 20)])
        return found

    monkeypatch.setattr(BatchReader, "read", slow_read)
    with reading(tmp_path) as stream:
        assert "second" not in names(stream.read(ALL))
        stream.rewind({})
        assert everything(stream) == ["a", "b", "first", "second"]


def test_a_clock_that_is_set_back_disturbs_no_spools_order(spools: Spools, tmp_path: Path) -> None:
    spools.commit(0, [stored("a1", 1000), stored("a2", 10)])
    spools.commit(1, [stored("b1", 500)])
    with reading(tmp_path) as stream:
        assert everything(stream) == ["b1", "a1", "a2"]


def test_a_portion_knows_the_positions_after_each_record(spools: Spools, tmp_path: Path) -> None:
    batch = spools.commit(0, [stored("a1", 1), stored("a2", 2)])
    spools.commit(0, [stored("a3", 3)])
    with reading(tmp_path) as stream:
        portion = stream.read(ALL)
        assert portion is not None
        (spool,) = {record.spool for record in portion.records}
        assert portion.positions(0) == {}
        assert portion.positions(1) == {spool: Position(batch, 1)}
        assert portion.positions(2) == {spool: Position(batch + 1, 0)}
        assert portion.positions(3)[spool] == Position(batch + 2, 0)


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_it_goes_on_where_it_was_rewound_to(spools: Spools, tmp_path: Path, taken: int) -> None:
    spools.commit(0, [stored("a1", 1), stored("a2", 2)])
    spools.commit(0, [stored("a3", 3)])
    with reading(tmp_path) as stream:
        portion = stream.read(ALL)
        assert portion is not None
        positions = dict(portion.positions(taken))
        stream.rewind(positions)
        assert everything(stream) == ["a1", "a2", "a3"][taken:]
    with reading(tmp_path, positions) as stream:
        assert everything(stream) == ["a1", "a2", "a3"][taken:]


def test_a_batch_that_was_trimmed_takes_nothing_from_the_next_one(spools: Spools, tmp_path: Path) -> None:
    first = spools.commit(0, [stored("a1", 1), stored("a2", 2)])
    spools.commit(0, [stored("a3", 3), stored("a4", 4)])
    with reading(tmp_path) as stream:
        portion = stream.read(ALL)
        assert portion is not None
        positions = dict(portion.positions(1))
    spools.delete(0, first)
    with reading(tmp_path, positions) as stream:
        assert everything(stream) == ["a3", "a4"]


def test_uplinks_that_a_converter_failed_on_are_passed_by_and_counted_as_done(spools: Spools, tmp_path: Path) -> None:
    spools.commit(0, [failed(1)])
    last = spools.commit(0, [failed(2)])
    with reading(tmp_path) as stream:
        portion = stream.read(ALL)
        assert portion is not None
        assert portion.records == []
        assert [*portion.after.values()] == [Position(last + 1, 0)]
        assert stream.read(ALL) is None


def test_the_first_records_of_a_portion_are_a_portion(spools: Spools, tmp_path: Path) -> None:
    batch = spools.commit(0, [stored("a1", 1), stored("a2", 2)])
    with reading(tmp_path) as stream:
        portion = stream.read(ALL)
        assert portion is not None
        first = portion.first(1)
        assert names(first) == ["a1"]
        assert [*first.positions(1).values()] == [Position(batch, 1)]


def test_what_was_replayed_comes_to_the_sinks_it_is_meant_for(tmp_path: Path) -> None:
    report = stored("a", 1)
    with DeviceStore(tmp_path) as store:
        store.refuse(report, sink="sink", reason="too large")
        store.refuse(report, sink="other", reason="too large")
        with reading(tmp_path) as stream:
            assert stream.read(ALL) is None
            assert store.release({1: [stored("mine", 1)], 2: [stored("not mine", 1)]}) == [1, 2]
            assert everything(stream) == ["mine"]


# -- whatever happens in whatever order ----------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(0, 2), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(1, 400), st.just(0)),
        st.tuples(st.just("rewind"), st.integers(0, 100), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_each_record_comes_once_and_never_before_one_that_was_committed_before_it_was_received(
    steps: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spools = Spools(tmp_path_factory.mktemp("data"))
    clock_ms = 0
    committed: list[str] = []
    given_out: list[str] = []
    positions: dict[str, Position] = {}
    with pytest.MonkeyPatch.context() as patch, reading(spools.data_dir) as stream:
        patch.setattr(stream_module, "LEAST_READ_BYTES", 1)
        for what, number, count in steps:
            if what == "commit":
                clock_ms += 1
                batch = [stored(f"{clock_ms}.{one}", clock_ms) for one in range(count)]
                spools.commit(number, batch)
                committed += [report.name for report in batch]
            elif what == "read":
                portion = stream.read(number)
                if portion is not None:
                    given_out += names(portion)
                    positions.update(portion.positions(len(portion.records)))
            else:
                portion = stream.read(ALL)
                if portion is not None:
                    taken = min(number, len(portion.records))
                    given_out += names(portion)[:taken]
                    positions.update(portion.positions(taken))
                stream.rewind(dict(positions))
        given_out += everything(stream)
    assert given_out == committed  # each batch was committed before the next one was received
