"""Sessions in files: encrypted, used once, shared out anew among another number of workers."""

from pathlib import Path

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.connection_ids import shard_of
from gateway.dtls.state import open_state, seal_state
from gateway.listeners.session_files import Position, SessionFiles
from tests.dtls.pair import Pair
from tests.dtls.peers import PSK_CCM_8, client_config, server_config

NOW_MS = 1_750_000_000_000


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    return SessionFiles(tmp_path, KeyFile.open(tmp_path / "gateway.key"), listener="IPv4")


def association(shard: int = 0, shards: int = 1, *, cid: int | None = 8) -> Association:
    config = server_config(shard=shard, shards=shards, connection_id_bytes=cid)
    return Pair(client_config(PSK_CCM_8), config).establish().server_association


def save(files: SessionFiles, position: Position, *some: Association, saved_ms: int = NOW_MS) -> None:
    files.save(position, seal_state(some, files.key(saved_ms), 100.0), saved_ms)


def opened(files: SessionFiles, position: Position, now_s: float = 0.0) -> list[Association]:
    taken = files.take(position)
    if taken is None:
        return []
    saved_ms, state = taken
    return open_state(state, files.key(saved_ms), now_s)


def test_a_state_comes_back_once_with_the_time_at_which_it_was_saved(files: SessionFiles, tmp_path: Path) -> None:
    position = Position(0, 1)
    files.save(position, b"a state", NOW_MS)
    (path,) = tmp_path.glob("sessions-*")
    assert path.stat().st_mode & 0o777 == 0o600
    assert files.take(position) == (NOW_MS, b"a state")
    assert files.take(position) is None
    assert not list(tmp_path.glob("sessions-*"))


def test_each_worker_has_a_file_of_its_own(files: SessionFiles) -> None:
    files.save(Position(0, 2), b"zero", NOW_MS)
    files.save(Position(1, 2), b"one", NOW_MS)
    assert files.take(Position(1, 2)) == (NOW_MS, b"one")
    assert files.take(Position(0, 2)) == (NOW_MS, b"zero")


def test_what_is_left_of_a_save_that_was_cut_short_is_in_nobodys_way(files: SessionFiles, tmp_path: Path) -> None:
    (tmp_path / "sessions-0-of-1.partial").write_bytes(b"half")
    assert files.take(Position(0, 1)) is None
    files.save(Position(0, 1), b"whole", NOW_MS)
    assert files.take(Position(0, 1)) == (NOW_MS, b"whole")


def test_the_time_can_not_be_changed(files: SessionFiles, tmp_path: Path) -> None:
    save(files, Position(0, 1), association())
    (path,) = tmp_path.glob("sessions-*")
    content = path.read_bytes()
    path.write_bytes((NOW_MS + 1).to_bytes(8, "big") + content[8:])
    with pytest.raises(DecodeError):
        opened(files, Position(0, 1))


def test_another_key_file_or_another_listener_opens_nothing(files: SessionFiles, tmp_path: Path) -> None:
    for other in (
        SessionFiles(tmp_path, KeyFile.open(tmp_path / "other.key"), listener="IPv4"),
        SessionFiles(tmp_path, KeyFile.open(tmp_path / "gateway.key"), listener="IPv6"),
    ):
        save(files, Position(0, 1), association())
        with pytest.raises(DecodeError):
            opened(other, Position(0, 1))


@pytest.mark.parametrize("content", [b"", b"short", bytes(8), bytes(100)])
def test_a_damaged_file_opens_nothing(files: SessionFiles, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sessions-0-of-1.state").write_bytes(content)
    with pytest.raises(DecodeError):
        opened(files, Position(0, 1))
    (tmp_path / "sessions-0-of-5.state").write_bytes(content)
    assert files.regroup(1) == 0


@pytest.mark.parametrize("after", [1, 2, 3, 7])
def test_with_another_number_of_workers_each_session_goes_where_its_connection_id_says(
    files: SessionFiles, tmp_path: Path, after: int
) -> None:
    some = [association(shard, 4) for shard in range(4) for _ in range(3)]
    for shard in range(4):
        save(files, Position(shard, 4), *some[3 * shard : 3 * shard + 3])
    assert files.regroup(after) == 12
    found = {one.cid: worker for worker in range(after) for one in opened(files, Position(worker, after))}
    assert found == {one.cid: shard_of(one.cid, after) for one in some}
    assert not list(tmp_path.glob("sessions-*"))


def test_those_without_connection_id_go_to_the_worker_of_their_old_number(files: SessionFiles) -> None:
    for worker in range(3):
        save(files, Position(worker, 3), association(cid=None))
    assert files.regroup(2) == 3
    assert [len(opened(files, Position(worker, 2))) for worker in range(2)] == [2, 1]


def test_with_the_same_number_of_workers_nothing_is_touched(files: SessionFiles) -> None:
    files.save(Position(0, 2), b"not even read", NOW_MS)
    assert files.regroup(2) == 0
    assert files.take(Position(0, 2)) == (NOW_MS, b"not even read")


def test_silence_goes_on_while_a_session_is_regrouped(files: SessionFiles) -> None:
    one = association()
    one.last_seen_s = 70.0  # 30 s before it was saved, by its clock
    save(files, Position(0, 1), one)
    files.regroup(2)
    worker = shard_of(one.cid, 2)
    taken = files.take(Position(worker, 2))
    assert taken is not None
    saved_ms, state = taken
    (moved,) = open_state(state, files.key(saved_ms), 0.0)
    assert -moved.last_seen_s == pytest.approx(30 + (saved_ms - NOW_MS) / 1000, abs=2)


def test_files_of_other_names_are_left_alone(files: SessionFiles, tmp_path: Path) -> None:
    for name in ("sessions-x-of-1.state", "sessions-0-of-9999.state", "sessions.state", "sessions-0-of-2.state.bak"):
        (tmp_path / name).write_bytes(b"?")
    assert files.regroup(1) == 0
    assert len(list(tmp_path.glob("sessions*"))) == 4
