"""Files of lines: rotation, what crashes and full disks leave, and being moved away."""

import fcntl
import logging
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sinks import lines_file
from gateway.sinks.lines_file import LinesFile
from gateway.sinks.sink import SinkError, Trouble
from tests.credentials.stores import unprivileged
from tests.sinks.records import Taken


def line(number: int, length: int = 20) -> bytes:
    """A line of this length with its line break, or as long as it must be."""
    begin = b'{"id":"%d' % number
    return begin + b"-" * (length - len(begin) - 3) + b'"}\n'


def lines(count: int, length: int = 20) -> list[bytes]:
    return [line(number, length) for number in range(count)]


@contextmanager
def opened(path: Path, max_bytes: int = 1 << 20, files: int = 5) -> Iterator[LinesFile]:
    file = LinesFile(path, max_bytes, files)
    try:
        file.open()
        yield file
    finally:
        file.close()


def append(path: Path, what: list[bytes], max_bytes: int = 1 << 20, files: int = 5) -> Taken:
    taken = Taken()
    with opened(path, max_bytes, files) as file:
        file.append(what, taken)
    return taken


def trouble_of(path: Path) -> SinkError:
    with pytest.raises(SinkError) as raised, opened(path) as file:
        file.append([line(1)], Taken())
    assert str(path) in raised.value.message
    assert raised.value.hint
    return raised.value


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a disk with so much room: what fits is written, then there is an error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reports.jsonl"


def kept(path: Path) -> dict[str, bytes]:
    return {one.name.removeprefix(path.name): one.read_bytes() for one in path.parent.iterdir()}


# -- making and appending ------------------------------------------------------------------------


def test_file_and_folders_are_made_for_the_gateways_user_alone(path: Path) -> None:
    deep = path.parent / "a" / "b" / "reports.jsonl"
    append(deep, lines(2))
    assert deep.read_bytes() == b"".join(lines(2))
    assert [stat.S_IMODE(one.stat().st_mode) for one in (deep, deep.parent, deep.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]


def test_a_file_that_is_there_keeps_its_mode_and_its_lines(path: Path) -> None:
    path.write_bytes(line(1))
    path.chmod(0o640)
    append(path, [line(2)])
    assert path.read_bytes() == line(1) + line(2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_written_is_flushed_to_the_disk_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size if stat.S_ISREG(os.fstat(descriptor).st_mode) else 0)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with opened(path) as file:
        file.append(lines(3), lambda count: flushed.append(-count))
    assert flushed[-2:] == [60, -3]


# -- rotation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("max_bytes", "rotated"), [(59, True), (60, False), (61, False)])
def test_a_file_may_be_exactly_as_large_as_it_may_be(path: Path, max_bytes: int, rotated: bool) -> None:
    append(path, lines(2), max_bytes)
    append(path, [line(2)], max_bytes)
    assert (".1" in kept(path)) == rotated


def test_the_newest_of_the_renamed_files_is_number_1_and_the_oldest_goes(path: Path) -> None:
    taken = append(path, lines(5), max_bytes=20, files=3)
    assert kept(path) == {"": line(4), ".1": line(3), ".2": line(2), ".3": line(1)}
    assert taken.steps == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("files", "names"), [(0, {""}), (1, {"", ".1"}), (2, {"", ".1", ".2"})])
def test_as_many_renamed_files_are_kept_as_wanted(path: Path, files: int, names: set[str]) -> None:
    append(path, lines(6), max_bytes=20, files=files)
    assert kept(path).keys() == names
    assert path.read_bytes() == line(5)


def test_where_a_renamed_file_was_taken_away_the_others_move_no_further(path: Path) -> None:
    append(path, lines(5), max_bytes=20, files=4)
    path.with_name(path.name + ".2").unlink()
    append(path, [line(5)], max_bytes=20, files=4)
    assert kept(path) == {"": line(5), ".1": line(4), ".2": line(3), ".3": line(1), ".4": line(0)}


def test_a_line_that_is_longer_than_a_file_may_be_has_one_of_its_own(path: Path) -> None:
    taken = append(path, [line(0), line(1, 200), line(2), line(3, 200)], max_bytes=100)
    assert kept(path) == {"": line(3, 200), ".1": line(2), ".2": line(1, 200), ".3": line(0)}
    assert taken.steps == [1, 2, 3, 4]


def test_a_file_from_when_it_could_be_larger_is_renamed(path: Path) -> None:
    append(path, lines(5))
    append(path, [line(5)], max_bytes=40)
    assert kept(path) == {"": line(5), ".1": b"".join(lines(5))}


@settings(max_examples=60, deadline=None)  # it waits for the disk
@given(
    lengths=st.lists(st.lists(st.integers(16, 150), max_size=12), max_size=12),
    max_bytes=st.integers(16, 160),
    reopen=st.booleans(),
)
def test_whatever_is_written_is_there_in_order_and_no_file_is_too_large(
    lengths: list[list[int]], max_bytes: int, reopen: bool
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        file = LinesFile(path, max_bytes, 1000)
        file.open()
        expected: list[bytes] = []
        for portion in lengths:
            part = [line(len(expected) + at, length) for at, length in enumerate(portion)]
            taken = Taken()
            file.append(part, taken)
            assert taken.count == len(part)
            expected += part
            if reopen:
                file.close()
        file.close()
        numbers = sorted((int(one.suffix[1:]) for one in Path(folder).glob("out.*")), reverse=True)
        assert numbers == list(range(len(numbers), 0, -1))
        files = [path.with_name(f"out.{number}").read_bytes() for number in numbers] + [path.read_bytes()]
        assert b"".join(files) == b"".join(expected)
        assert all(len(one) <= max_bytes or one.count(b"\n") == 1 for one in files)


# -- what crashes and full disks leave -----------------------------------------------------------


@pytest.mark.parametrize(
    "torn", [b"{", b'{"id":"', line(2)[:-1], b"\0" * 100, b'{"i' + b"\0" * 50, line(2)[:9] * 20_000]
)
@pytest.mark.parametrize("before", [b"", line(0) + line(1)])
def test_a_torn_last_line_is_cut_off(path: Path, torn: bytes, before: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(before + torn)
    with caplog.at_level(logging.WARNING), opened(path) as file:
        assert path.read_bytes() == before
        file.append([line(3)], Taken())
    assert path.read_bytes() == before + line(3)
    assert f"a torn last line of {len(torn)} bytes" in caplog.text


@pytest.mark.parametrize("foreign", [b"127.0.0.1 localhost", b"a\nb", b'{"id": "x"}', b"\0\0x"])
def test_a_file_that_somebody_else_wrote_is_left_as_it_is(path: Path, foreign: bytes) -> None:
    path.write_bytes(foreign)
    error = trouble_of(path)
    assert error.trouble is Trouble.MISCONFIGURED
    assert "GATEWAY_JSONL_SINK_PATH" in error.hint
    assert path.read_bytes() == foreign


@pytest.mark.parametrize(("length", "found"), [(99_999, True), (100_000, True), (100_001, False)])
def test_the_beginning_of_a_torn_line_is_looked_for_within_bounds(
    path: Path, length: int, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_file, "LONGEST_TORN_BYTES", 100_000)
    torn = line(1, length + 1)[:-1]
    path.write_bytes(line(0) + torn)
    if found:
        append(path, [])
        assert path.read_bytes() == line(0)
    else:
        assert trouble_of(path).trouble is Trouble.MISCONFIGURED
        assert path.read_bytes() == line(0) + torn


@pytest.mark.parametrize("room", [50, 60, 79])
def test_what_does_not_fit_on_the_disk_leaves_no_trace_and_is_written_when_there_is_room(path: Path, room: int) -> None:
    append(path, lines(2))
    taken = Taken()
    with opened(path) as file:
        with pytest.raises(SinkError) as raised, largest_file(room):
            file.append([line(2), line(3)], taken)
        assert raised.value.trouble is Trouble.UNREACHABLE
        assert "GATEWAY_JSONL_SINK_MAX_BYTES" in raised.value.hint
        assert path.read_bytes() == b"".join(lines(2))
        assert taken.steps == []
        file.append([line(2), line(3)], taken)
    assert path.read_bytes() == b"".join(lines(4))


def test_what_was_flushed_before_a_rotation_counts_though_the_rest_does_not_fit(path: Path) -> None:
    taken = Taken()
    with opened(path, max_bytes=40) as file, largest_file(50):
        with pytest.raises(SinkError):
            file.append([line(0), line(1), line(2, 60)], taken)
        assert taken.steps == [2]
    assert kept(path) == {"": b"", ".1": line(0) + line(1)}


WRITER = """
import sys
from pathlib import Path
from gateway.sinks.lines_file import LinesFile

file = LinesFile(Path(sys.argv[1]), 100_000, 1000)
number = int(sys.argv[2])
while True:
    part = [b'{"id":"%d"}\\n' % one for one in range(number, number + 100)]
    file.append(part, lambda count: print(number + count, flush=True))
    number += 100
"""


def test_a_writer_that_is_killed_again_and_again_loses_nothing_and_repeats_less_than_a_portion(path: Path) -> None:
    done = 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(path), str(done)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            goal = done + 3000
            while done < goal:
                done = int(writer.stdout.readline())
            writer.kill()
            for said in writer.stdout:
                if said.endswith(b"\n"):
                    done = int(said)
    append(path, [], 100_000, 1000)
    numbers = sorted((int(one.suffix[1:]) for one in path.parent.glob("*.jsonl.*")), reverse=True)
    content = b"".join(path.with_name(f"{path.name}.{n}").read_bytes() for n in numbers) + path.read_bytes()
    found = [int(text[7:-2]) for text in content.splitlines()]
    assert sorted(set(found)) == list(range(len(set(found))))
    assert len(set(found)) >= done
    assert len(found) - len(set(found)) <= 3 * 100


# -- other processes -----------------------------------------------------------------------------


def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    moved = path.with_name("moved")
    with opened(path) as file:
        file.append([line(0)], Taken())
        path.rename(moved)
        file.append([line(1)], Taken())
        path.unlink()
        file.append([line(2)], Taken())
    assert (moved.read_bytes(), path.read_bytes()) == (line(0), line(2))


def test_a_file_that_another_moved_into_place_is_the_one_that_is_written(path: Path) -> None:
    with opened(path) as file:
        file.append([line(0)], Taken())
        other = path.with_name("other")
        other.write_bytes(line(7))
        other.rename(path)
        file.append([line(1)], Taken())
    assert path.read_bytes() == line(7) + line(1)


def test_a_file_that_was_emptied_in_place_goes_on_from_its_beginning(path: Path) -> None:
    with opened(path, max_bytes=40) as file:
        file.append(lines(2), Taken())
        os.truncate(path, 0)
        file.append(lines(2), Taken())
    assert kept(path) == {"": b"".join(lines(2))}


def test_a_file_that_another_process_holds_is_waited_for_and_then_trouble(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_file, "LOCK_PATIENCE_S", 0.05)
    path.write_bytes(line(0) + b'{"id":"half')
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert trouble_of(path).trouble is Trouble.BUSY
        assert path.read_bytes() == line(0) + b'{"id":"half'
    append(path, [line(1)])
    assert path.read_bytes() == line(0) + line(1)


def test_two_writers_to_one_file_take_turns(path: Path) -> None:
    with opened(path, max_bytes=60) as one, opened(path, max_bytes=60) as other:
        for number in range(0, 10, 2):
            one.append([line(number)], Taken())
            other.append([line(number + 1)], Taken())
    assert b"".join(kept(path)[name] for name in (".3", ".2", ".1", "")) == b"".join(lines(10))


# -- names that can't be had ---------------------------------------------------------------------


def test_a_folder_a_pipe_and_a_device_are_no_files(path: Path) -> None:
    path.mkdir()
    assert trouble_of(path).trouble is Trouble.MISCONFIGURED
    fifo = path / "fifo"
    os.mkfifo(fifo)
    assert trouble_of(fifo).trouble is Trouble.MISCONFIGURED
    assert trouble_of(Path("/dev/full")).trouble is Trouble.MISCONFIGURED


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "file/below"])
def test_an_impossible_name_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert trouble_of(tmp_path / name).trouble is Trouble.MISCONFIGURED


def test_a_folder_that_may_not_be_written_is_said() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with unprivileged():
            error = trouble_of(Path(folder) / "reports.jsonl")
    assert error.trouble is Trouble.REFUSED
    assert "Permission denied" in error.message
