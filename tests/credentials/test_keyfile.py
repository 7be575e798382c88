"""The key file: made once, read by whoever may, and never shown."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.errors import ConfigurationError
from tests.storage.processes import CONTEXT, WAIT_S, process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.key"


def refusal(path: Path) -> ConfigurationError:
    """The error of whoever reads the file, whether it would be made or not."""
    with pytest.raises(ConfigurationError) as loading:
        KeyFile.load(path)
    with pytest.raises(ConfigurationError) as opening:
        KeyFile.open(path)
    assert loading.value.message == opening.value.message
    assert str(path) in opening.value.message
    assert opening.value.hint
    return opening.value


def test_it_is_made_with_a_random_key_for_its_owner_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        KeyFile.open(path)
        KeyFile.open(path.with_name("another.key"))
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert path.read_text() != path.with_name("another.key").read_text()
    assert sorted(file.name for file in path.parent.iterdir()) == ["another.key", "gateway.key"]


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    KeyFile.open(tmp_path / "var" / "secret" / "gateway.key")
    assert (tmp_path / "var" / "secret").stat().st_mode & 0o077 == 0


def test_who_opens_or_loads_it_later_has_the_same_key(path: Path) -> None:
    made = KeyFile.open(path)
    assert KeyFile.open(path).derive("tickets") == made.derive("tickets")
    assert KeyFile.load(path).derive("tickets") == made.derive("tickets")


def test_each_purpose_has_a_key_of_its_own_and_none_is_the_files(path: Path) -> None:
    keyfile = KeyFile.open(path)
    keys = [keyfile.derive("tickets"), keyfile.derive("pre-shared keys"), bytes.fromhex(path.read_text())]
    assert [len(key) for key in keys] == [32, 32, 32]
    assert len(set(keys)) == 3


def test_derived_keys_stay_what_they_are(path: Path) -> None:
    """Another way to derive them would make unreadable what is encrypted already."""
    path.write_text("00" * 32)
    path.chmod(0o600)
    expected = "819669975f781bff18faa5654e2c0451790acb5ceb3a1a133a6232d2fde38317"
    assert KeyFile.load(path).derive("pre-shared keys").hex() == expected


def test_its_repr_shows_nothing_of_the_key(path: Path) -> None:
    keyfile = KeyFile.open(path)
    assert repr(keyfile) == f"KeyFile({str(path)!r})"
    assert path.read_text().strip() not in f"{keyfile} {vars(keyfile)['path']}"


def test_load_does_not_make_it(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist") as raised:
        KeyFile.load(path)
    assert "backup" in raised.value.hint
    assert not path.exists()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_it_may_be_copied_through_an_editor_and_be_read_only(path: Path, end: str) -> None:
    path.write_bytes(b"aB" * 32 + end.encode())
    path.chmod(0o400)
    KeyFile.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"ab" * 31,
        b"ab" * 33,
        b"ab" * 31 + b"a",
        b"xy" * 32,
        bytes(range(200, 232)),
        b" " + b"ab" * 32,
        b"0" * 999,
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    error = refusal(path)
    assert "64 hex digits" in error.message
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
def test_a_file_that_others_may_use_is_refused_with_the_command_that_cures_it(path: Path, mode: int) -> None:
    KeyFile.open(path)
    path.chmod(mode)
    error = refusal(path)
    assert f"{mode:04o}" in error.message
    assert error.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    KeyFile.load(path)


def test_what_is_no_regular_file_is_refused_at_once(path: Path) -> None:
    os.mkfifo(path)
    assert "no regular file" in refusal(path).message
    path.unlink()
    path.mkdir()
    refusal(path)


def test_a_link_to_nothing_is_not_followed_to_make_one(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    refusal(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_can_not_be_had_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="can't be made"):
        KeyFile.open(tmp_path / "file" / "gateway.key")
    with pytest.raises(ConfigurationError, match="can't be made"):
        KeyFile.open(Path("/proc/none/gateway.key"))


def open_and_tell(path: Path, answer: Connection) -> None:
    answer.send("ready")
    answer.recv()
    try:
        answer.send(KeyFile.open(path).derive("test"))
    except ConfigurationError as error:
        answer.send(error.message)


def test_processes_that_open_it_at_the_same_moment_have_one_key(path: Path) -> None:
    ends = [CONTEXT.Pipe() for _ in range(3)]
    with (
        process(open_and_tell, path, ends[0][1]),
        process(open_and_tell, path, ends[1][1]),
        process(open_and_tell, path, ends[2][1]),
    ):
        for end, _ in ends:
            assert end.poll(WAIT_S)
            assert end.recv() == "ready"
        for end, _ in ends:
            end.send("go")
        keys = {end.recv() for end, _ in ends if end.poll(WAIT_S)}
    assert keys == {KeyFile.load(path).derive("test")}
    for pair in ends:
        for end in pair:
            end.close()
    assert [file.name for file in path.parent.iterdir()] == ["gateway.key"]
