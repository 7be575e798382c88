"""The sink `jsonl`: records in a file, and on standard output."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.sinks.jsonl import OutputSink, make
from gateway.sinks.registry import make_sinks
from gateway.sinks.sink import Record, Session, Sink, SinkError, Trouble
from tests.sinks.records import CountingHost, Taken, ids, ids_in, record, records, settings_of


def sink_for(path: str | Path, **values: object) -> Sink:
    sink = make(settings_of(gateway_jsonl_sink_path=str(path), **values), CountingHost())
    assert sink is not None
    return sink


def deliver(sink: Sink, what: Sequence[Record]) -> Taken:
    """In a session of its own."""
    taken = Taken()

    async def scenario() -> None:
        async with sink.connect() as session:
            await session.deliver(what, taken)

    asyncio.run(scenario())
    return taken


def in_session(sink: Sink, act: Callable[[Session], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), sink.connect() as session:
            await act(session)

    asyncio.run(scenario())


# -- a file --------------------------------------------------------------------------------------


def test_without_a_path_there_is_no_such_sink() -> None:
    assert make(settings_of(), CountingHost()) is None


def test_the_registry_makes_it_where_a_path_is_set(tmp_path: Path) -> None:
    settings = settings_of(gateway_jsonl_sink_path=str(tmp_path / "out"))
    (sink,) = make_sinks(settings, lambda name: CountingHost())
    assert (sink.name, sink.destination, sink.overlap) == ("jsonl", str(tmp_path / "out"), 1)


def test_records_become_lines_in_their_order(tmp_path: Path) -> None:
    what = records(10)
    assert deliver(sink_for(tmp_path / "out"), what).count == 10
    assert ids_in((tmp_path / "out").read_bytes()) == ids(what)


def test_a_session_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    sink = sink_for(tmp_path / "out")
    deliver(sink, records(2))
    deliver(sink, [record(2)])
    assert ids_in((tmp_path / "out").read_bytes()) == ids(records(3))


def test_files_are_rotated_as_the_settings_say(tmp_path: Path) -> None:
    sink = sink_for(tmp_path / "out", gateway_jsonl_sink_max_bytes=1024, gateway_jsonl_sink_files=2)
    assert deliver(sink, records(40)).count == 40
    files = [tmp_path / name for name in ("out.2", "out.1", "out")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 1024 for file in files)
    found = [one for file in files for one in ids_in(file.read_bytes())]
    assert found == ids(records(40))[-len(found) :]


def test_a_file_that_can_not_be_had_is_trouble_at_connect(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Is a directory"):
        deliver(sink_for(tmp_path), [])


def test_a_session_never_says_that_it_is_lost(tmp_path: Path) -> None:
    async def wait(session: Session) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.closed(), 0.01)

    in_session(sink_for(tmp_path / "out"), wait)
    in_session(OutputSink(1), wait)


# -- standard output -----------------------------------------------------------------------------


class Pipe:
    """A pipe, and what comes out of it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *error: object) -> None:
        for descriptor in (self.reading, self.writing):
            with suppress(OSError):
                os.close(descriptor)

    def read_to_its_end(self) -> bytes:
        found = b""
        while part := os.read(self.reading, 1 << 16):
            found += part
        return found


def test_a_minus_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    sink = sink_for("-")
    assert sink.destination == "standard output"
    assert deliver(sink, records(3)).count == 3
    assert ids_in(capfd.readouterr().out.encode()) == ids(records(3))


def test_a_closed_standard_output_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(ConfigurationError, match="GATEWAY_JSONL_SINK_PATH=-"):
        sink_for("-")


def test_a_slow_reader_is_waited_for(tmp_path: Path) -> None:
    what = records(5000)  # many times what a pipe holds
    with Pipe() as pipe:
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(pipe.read_to_its_end()))
        reader.start()
        assert deliver(OutputSink(pipe.writing), what).count == 5000
        os.close(pipe.writing)
        reader.join(10)
    assert ids_in(found[0]) == ids(what)


def test_standard_output_may_be_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file:
        assert deliver(OutputSink(file.fileno()), records(100)).count == 100
    assert ids_in((tmp_path / "out").read_bytes()) == ids(records(100))


def test_a_reader_that_went_away_is_trouble() -> None:
    with Pipe() as pipe:
        os.close(pipe.reading)
        with pytest.raises(SinkError, match="nobody reads") as raised:
            deliver(OutputSink(pipe.writing), records(3))
    assert raised.value.trouble is Trouble.UNREACHABLE


def test_a_full_device_is_trouble() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(SinkError, match="No space left"):
        deliver(OutputSink(full.fileno()), records(3))


def test_a_line_that_was_left_half_written_is_ended_before_the_next() -> None:
    """Nobody reads; what is under way is given up, as at a stop, and begins anew."""
    with Pipe() as pipe:
        sink = OutputSink(pipe.writing)
        what, taken = records(2000), Taken()

        async def give_up(session: Session) -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.deliver(what, taken), 0.1)

        in_session(sink, give_up)
        in_session(sink, give_up)  # not a byte more has room
        assert taken.steps == []
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(pipe.read_to_its_end()))
        reader.start()
        assert deliver(sink, what).count == 2000
        os.close(pipe.writing)
        reader.join(10)
    lines = ids_in(found[0])
    begun = len(lines) - 2000
    assert 0 < begun < 2000
    assert lines == ids(what[:begun]) + ids(what)
