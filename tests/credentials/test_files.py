"""Reading a file of credentials: bounds, modes, and what is no file."""

import os
from pathlib import Path

import pytest

from gateway.credentials.files import MAX_FILE_BYTES, read_file
from tests.credentials.stores import refusal_of, unprivileged, write


def test_content_and_mode_come_back_and_the_content_is_not_in_the_repr(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"secret bytes", 0o640)
    file = read_file(path, "F")
    assert (file.path, file.data, file.mode) == (path, b"secret bytes", 0o640)
    assert "secret bytes" not in repr(file)


@pytest.mark.parametrize(("mode", "by_others"), [(0o600, False), (0o700, False), (0o640, True), (0o601, True)])
def test_whether_others_can_reach_it(tmp_path: Path, mode: int, by_others: bool) -> None:
    assert read_file(write(tmp_path / "f", b"", mode), "F").readable_by_others is by_others


@pytest.mark.parametrize(
    ("size", "fits"), [(MAX_FILE_BYTES - 1, True), (MAX_FILE_BYTES, True), (MAX_FILE_BYTES + 1, False)]
)
def test_a_file_is_read_up_to_the_limit(tmp_path: Path, size: int, fits: bool) -> None:
    path = write(tmp_path / "f", bytes(size))
    if fits:
        assert len(read_file(path, "F").data) == size
    else:
        refusal = refusal_of(lambda: read_file(path, "F"))
        assert (refusal.message, refusal.hint) == ("F: is too large", f"at most {MAX_FILE_BYTES} bytes are read")


def test_what_can_not_be_read_is_refused_with_its_reason(open_folder: Path) -> None:
    missing = refusal_of(lambda: read_file(open_folder / "f", "F", cure_if_missing="make it"))
    assert (missing.message, missing.hint) == ("F: there is no such file", "make it")
    assert refusal_of(lambda: read_file(open_folder, "F")).message == "F: is a folder"
    closed = write(open_folder / "f", b"", 0)
    with unprivileged():
        assert refusal_of(lambda: read_file(closed, "F")).message == "F: may not be read by this user"
    (open_folder / "loop").symlink_to(open_folder / "loop")
    assert "can't be read: Too many levels" in refusal_of(lambda: read_file(open_folder / "loop", "F")).message
    assert "can't be read: Not a directory" in refusal_of(lambda: read_file(closed / "f", "F")).message
    assert "can't be read" in refusal_of(lambda: read_file(Path("a\0b"), "F")).message


def test_a_pipe_that_nobody_writes_to_and_a_device_without_end_do_not_hold_the_gateway(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert refusal_of(lambda path=path: read_file(path, "F")).message == "F: is no regular file"  # type: ignore[misc]
