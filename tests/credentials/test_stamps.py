"""A stamp changes with its files, and with nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.credentials.stamps import stamp_of


def replaced(path: Path) -> None:
    """As `mv` and every careful writer do: the same bytes at the same time, in another file."""
    status = path.stat()
    aside = path.with_name(".aside")
    aside.write_bytes(path.read_bytes())
    os.utime(aside, ns=(status.st_atime_ns, status.st_mtime_ns))
    aside.replace(path)


def rewritten(path: Path) -> None:
    before_ns = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(before_ns + 1, before_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "grown": lambda path: path.write_bytes(b"longer"),
    "written again": rewritten,
    "replaced": replaced,
    "gone": Path.unlink,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "ca.pem"
    path.parent.mkdir()
    path.write_bytes(b"short")
    return path


def test_files_that_are_as_they_were_have_the_same_stamp(file: Path) -> None:
    before = stamp_of([file, file.parent])
    file.read_bytes()
    assert stamp_of([file, file.parent]) == before
    assert hash(before) == hash(stamp_of([file, file.parent]))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changed_has_another_stamp_named_itself_or_in_a_folder(
    file: Path, change: Callable[[Path], object]
) -> None:
    alone, in_folder = stamp_of([file]), stamp_of([file.parent])
    change(file)
    assert stamp_of([file]) != alone
    assert stamp_of([file.parent]) != in_folder


def test_a_file_that_appears_changes_the_stamp(file: Path) -> None:
    other = file.with_name("other.pem")
    alone, in_folder = stamp_of([other]), stamp_of([file.parent])
    other.write_bytes(b"")
    assert stamp_of([other]) != alone
    assert stamp_of([file.parent]) != in_folder


def test_a_symbolic_link_that_leads_elsewhere_changes_the_stamp(file: Path) -> None:
    other = file.with_name("other.pem")
    other.write_bytes(file.read_bytes())
    link = file.parent.parent / "link"
    link.symlink_to(file)
    before = stamp_of([link])
    link.unlink()
    link.symlink_to(other)
    assert stamp_of([link]) != before


def test_what_can_not_be_looked_at_counts_as_not_there(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("dangling", "loop", "nowhere", "a\0b", "x" * 5000):
        assert stamp_of([tmp_path / name]) == ()
    assert stamp_of([]) == ()
