"""Backups: what is in them, what they keep together, and what restoring does to what is there."""

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.errors import ConfigurationError, NotFoundError, UnavailableError, UsageError
from gateway.model import Delivery, Role
from gateway.storage import backup
from gateway.storage.backup import GAP, KEY_NAME, MANIFEST, make_backup, read_manifest, restore_backup
from gateway.storage.catalogue import Catalogue
from gateway.storage.device_view import DeviceView
from gateway.storage.devices import DeviceStore
from gateway.storage.spool import empty_unused_spool, spool_path
from gateway.storage.spool_reader import SpoolReader
from gateway.storage.user_store import NewLogIn, StoredToken

from .spools import writer


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a catalogue, a device store, a spool with three batches, and a key file."""
    folder = tmp_path / "data"
    Catalogue(folder).close()
    DeviceStore(folder).close()
    KeyFile.open(folder / KEY_NAME)
    spool(folder, "a", "b", "c")
    return folder


def spool(data_dir: Path, *names: str) -> None:
    """Put uplinks into a spool, a batch each."""

    async def fill() -> None:
        async with writer(spool_path(data_dir, 0)) as made:
            for name in names:
                made.append(name)
                await made.until_written()

    asyncio.run(fill())


def apply(data_dir: Path, *, most: int = 1000) -> None:
    """Take the next batches into the device store, as the delivery does."""
    reader = SpoolReader(spool_path(data_dir, 0))
    with DeviceStore(data_dir) as store:
        deliveries = reader.read(after=store.position(reader.identity), max_batches=most, max_bytes=1 << 20)
        if deliveries:
            store.apply(reader.identity, deliveries)
    reader.close()


def waiting(data_dir: Path) -> list[Delivery]:
    """The batches of the spool that the device store does not have."""
    reader = SpoolReader(spool_path(data_dir, 0))
    with DeviceStore(data_dir) as store:
        deliveries = reader.read(after=store.position(reader.identity), max_batches=1000, max_bytes=1 << 20)
    reader.close()
    return deliveries


def devices(data_dir: Path) -> set[str]:
    with contextlib.closing(DeviceView(data_dir)) as view:
        return {device.name for device in view.devices()}


def restored(folder: Path, data_dir: Path) -> Path:
    """A new data directory, with all of a backup."""
    data_dir.mkdir()
    restore_backup(folder, data_dir, data_dir / KEY_NAME)
    return data_dir


def test_a_backup_has_all_databases_spools_first_and_the_key(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "sessions-0-of-1.state").write_bytes(b"x")
    (data_dir / "sinks.db").write_bytes((data_dir / "devices.db").read_bytes())
    files = make_backup(data_dir, data_dir / KEY_NAME, tmp_path / "backup")
    assert [file.name for file in files] == ["spool-0.db", "catalogue.db", "devices.db", "sinks.db", KEY_NAME]
    assert {path.name for path in (tmp_path / "backup").iterdir()} == {*(file.name for file in files), MANIFEST}
    assert read_manifest(tmp_path / "backup") == files
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "backup").iterdir()} == {0o600}
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700


def test_the_key_can_be_left_out(data_dir: Path, tmp_path: Path) -> None:
    files = make_backup(data_dir, None, tmp_path / "backup")
    assert KEY_NAME not in [file.name for file in files]


def test_what_is_restored_is_what_was_there(data_dir: Path, tmp_path: Path) -> None:
    apply(data_dir, most=2)
    make_backup(data_dir, data_dir / KEY_NAME, tmp_path / "backup")
    other = restored(tmp_path / "backup", tmp_path / "other")
    assert devices(other) == {"a", "b"}
    assert [report.name for delivery in waiting(other) for report in delivery.reports] == ["c"]
    assert (other / KEY_NAME).read_bytes() == (data_dir / KEY_NAME).read_bytes()
    assert sorted(path.name for path in other.iterdir() if path.name.startswith(".")) == []


def test_what_is_delivered_and_trimmed_between_two_copies_is_not_lost(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backup._copy_database

    def copy_and_go_on(source: Path, target: Path) -> None:
        """Meanwhile the gateway delivers all that there is, and the worker trims."""
        copy(source, target)
        apply(data_dir)
        empty_unused_spool(spool_path(data_dir, 0), 3)

    monkeypatch.setattr(backup, "_copy_database", copy_and_go_on)
    make_backup(data_dir, data_dir / KEY_NAME, tmp_path / "backup")
    other = restored(tmp_path / "backup", tmp_path / "other")
    assert devices(other) == {"a", "b", "c"}
    assert waiting(other) == []  # and nothing is applied twice


def test_a_restored_spool_never_uses_a_number_that_a_sink_may_have_seen(data_dir: Path, tmp_path: Path) -> None:
    make_backup(data_dir, data_dir / KEY_NAME, tmp_path / "backup")
    other = restored(tmp_path / "backup", tmp_path / "other")
    spool(other, "d")
    assert [delivery.batch_id for delivery in waiting(other)] == [1, 2, 3, GAP + 4]


def test_a_spool_that_never_had_a_batch_is_restored_too(tmp_path: Path) -> None:
    spool(tmp_path / "data")
    DeviceStore(tmp_path / "data").close()
    make_backup(tmp_path / "data", None, tmp_path / "backup")
    other = restored(tmp_path / "backup", tmp_path / "other")
    spool(other, "a")
    assert [delivery.batch_id for delivery in waiting(other)] == [GAP + 1]


def test_one_that_is_written_all_the_time_is_copied_as_of_one_moment(data_dir: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "catalogue.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE half (done INTEGER)")
        make_backup(data_dir, None, tmp_path / "backup")
        connection.execute("COMMIT")
    with contextlib.closing(sqlite3.connect(tmp_path / "backup" / "catalogue.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'").fetchall() == []


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_backup_never_touches_what_is_there(data_dir: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "backup"
    if there == "file":
        folder.write_text("x")
    else:
        folder.mkdir()
        (folder / "x").write_text("x")
    with pytest.raises(UsageError, match="is there already"):
        make_backup(data_dir, None, folder)


def test_an_empty_folder_may_be_there(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    make_backup(data_dir, None, tmp_path / "backup")
    assert read_manifest(tmp_path / "backup")


def test_where_there_is_nothing_to_back_up_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing to back up"):
        make_backup(tmp_path / "data", None, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_fails_leaves_nothing(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "events.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError, match="not a database"):
        make_backup(data_dir, None, tmp_path / "backups" / "monday")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_folder_that_can_not_be_written_is_said(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="can't be copied"):
        make_backup(data_dir, None, tmp_path / "file" / "backup")


# -- putting back ------------------------------------------------------------------------------------


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path) -> Path:
    """A backup."""
    make_backup(data_dir, data_dir / KEY_NAME, tmp_path / "backup")
    return tmp_path / "backup"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_there_is_not_replaced_unasked(folder: Path, data_dir: Path) -> None:
    before = contents(data_dir)
    with pytest.raises(UsageError, match=r"has data already: catalogue\.db, devices\.db, spool-0\.db"):
        restore_backup(folder, data_dir, data_dir / KEY_NAME)
    assert contents(data_dir) == before


def test_what_is_replaced_is_kept_with_its_logs(folder: Path, data_dir: Path) -> None:
    shutil.copy(data_dir / "spool-0.db", data_dir / "spool-7.db")  # of which the backup knows nothing
    (data_dir / "devices.db-wal").write_bytes(b"of the old one")
    before = contents(data_dir)
    _, aside = restore_backup(folder, data_dir, data_dir / KEY_NAME, replace=True)
    assert aside is not None
    assert {**contents(aside), KEY_NAME: before[KEY_NAME]} == before
    assert not (data_dir / "devices.db-wal").exists()
    assert not (data_dir / "spool-7.db").exists()
    assert devices(data_dir) == set()


def test_nobody_is_logged_in_by_a_backup_and_tokens_stay(data_dir: Path, tmp_path: Path) -> None:
    with Catalogue(data_dir) as catalogue:
        catalogue.users.add("ada", Role.ADMIN, "hash")
        assert catalogue.users.add_log_in(NewLogIn("ada", "hash", b"log-in", 1, 1 << 50))
        catalogue.users.add_token(StoredToken("t", "for tests", "ada", Role.ADMIN, 1, None), b"token")
    make_backup(data_dir, None, tmp_path / "backup")
    with Catalogue(restored(tmp_path / "backup", tmp_path / "new")) as catalogue:
        assert catalogue.users.bearer(b"log-in", now_ms=2) is None
        assert catalogue.users.bearer(b"token", now_ms=2) is not None


def test_one_file_alone_is_restored(folder: Path, data_dir: Path) -> None:
    before = contents(data_dir)
    (data_dir / "catalogue.db").write_bytes(b"damaged")
    files, aside = restore_backup(folder, data_dir, data_dir / KEY_NAME, only=["catalogue.db"], replace=True)
    assert [file.name for file in files] == ["catalogue.db"]
    assert aside is not None
    assert contents(aside)["catalogue.db"] == b"damaged"
    others = {name: content for name, content in before.items() if not name.startswith("catalogue.db")}
    assert contents(data_dir).items() >= others.items()
    Catalogue(data_dir).close()


def test_a_name_that_the_backup_does_not_have_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no events\.db") as raised:
        restore_backup(folder, tmp_path, tmp_path / KEY_NAME, only=["events.db"])
    assert "catalogue.db" in raised.value.hint


@pytest.mark.parametrize("name", ["spool-0.db", "devices.db", KEY_NAME])
@pytest.mark.parametrize("damage", ["missing", "shorter", "another byte"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    folder: Path, data_dir: Path, name: str, damage: str
) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "shorter" else bytes((content[-1] ^ 1,))))
    before = contents(data_dir)
    with pytest.raises(ConfigurationError, match=name):
        restore_backup(folder, data_dir, data_dir / KEY_NAME, replace=True)
    assert contents(data_dir) == before


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "files": []}',
        b'{"version": 1, "files": [{"name": "../catalogue.db", "bytes": 1, "sha256": ""}]}',
        b'{"version": 1, "files": [{"name": "/etc/passwd", "bytes": 1, "sha256": ""}]}',
        b'{"version": 1, "files": [{"name": "sessions-0-of-1.state", "bytes": 1, "sha256": ""}]}',
        b'{"version": 1, "files": [{"name": 7, "bytes": 1, "sha256": ""}]}',
        b'{"version": 1, "files": [{"name": "devices.db"}]}',
        b'{"version": 1, "files": 7}',
    ],
)
def test_what_is_no_manifest_is_refused(folder: Path, manifest: bytes) -> None:
    (folder / MANIFEST).write_bytes(manifest)
    with pytest.raises(ConfigurationError, match=MANIFEST):
        read_manifest(folder)


def test_a_folder_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is no backup"):
        read_manifest(tmp_path)


def test_another_key_in_the_data_directory_is_kept_aside(folder: Path, data_dir: Path) -> None:
    fitting = (data_dir / KEY_NAME).read_bytes()
    (data_dir / KEY_NAME).unlink()
    KeyFile.open(data_dir / KEY_NAME)
    other = (data_dir / KEY_NAME).read_bytes()
    _, aside = restore_backup(folder, data_dir, data_dir / KEY_NAME, replace=True)
    assert aside is not None
    assert (aside / KEY_NAME).read_bytes() == other
    assert (data_dir / KEY_NAME).read_bytes() == fitting
    assert (data_dir / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_another_key_elsewhere_is_not_touched(folder: Path, data_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.key"
    KeyFile.open(elsewhere)
    with pytest.raises(ConfigurationError, match="has another key than the backup"):
        restore_backup(folder, data_dir, elsewhere, replace=True)


def test_a_key_that_is_missing_elsewhere_is_put_there(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    elsewhere = tmp_path / "elsewhere.key"
    restore_backup(folder, tmp_path / "other", elsewhere)
    assert elsewhere.read_bytes() == (folder / KEY_NAME).read_bytes()
    assert not (tmp_path / "other" / KEY_NAME).exists()


def test_a_data_directory_that_can_not_be_written_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="can't be copied"):
        restore_backup(folder, tmp_path / "missing", tmp_path / "missing" / KEY_NAME)
    assert not (tmp_path / "missing").exists()
