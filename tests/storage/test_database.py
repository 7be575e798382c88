"""Opening a database: permissions, WAL, migrations, and what is said of a file that can't be used."""

import os
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from gateway.errors import ConfigurationError, NotFoundError, UnavailableError
from gateway.storage.database import open_database, sqlite_errors, transaction
from tests.storage.processes import CONTEXT, WAIT_S, process

NOTES = ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)
COLOURED_NOTES = (*NOTES, "ALTER TABLE notes ADD COLUMN colour TEXT; UPDATE notes SET colour = 'white; as ever'")


def rows(connection: sqlite3.Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


@contextmanager
def opened(path: Path, migrations: tuple[str, ...] = NOTES) -> Iterator[sqlite3.Connection]:
    with closing(open_database(path, migrations=migrations)) as connection:
        yield connection


# -- files -------------------------------------------------------------------------------------------


def test_folder_and_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data" / "notes.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('a')")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"notes.db": 0o600, "notes.db-wal": 0o600, "notes.db-shm": 0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o750)
    folder.chmod(0o750)
    with opened(folder / "notes.db"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_path_with_characters_special_in_uris_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "50% #1?mode=memory" / "notes.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('a')")
    assert path.stat().st_size > 0


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(ConfigurationError, match=r"data/notes\.db can't be created") as caught:
        open_database(tmp_path / "data" / "notes.db", migrations=NOTES)
    assert "GATEWAY_DATA_DIR" in caught.value.hint


def test_a_folder_in_the_place_of_the_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "notes.db").mkdir()
    with pytest.raises(ConfigurationError, match=r"notes\.db can't be created: something else is in its place"):
        open_database(tmp_path / "notes.db", migrations=NOTES)


def open_as_ordinary_user(path: Path, answer: Connection) -> None:
    if os.geteuid() == 0:  # permission bits do not hold root back
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        open_database(path, migrations=NOTES).close()
    except ConfigurationError as error:
        answer.send((error.message, error.hint))
    else:
        answer.send(("opened", ""))


@pytest.mark.parametrize("forbidden", ["folder", "file"])
def test_a_folder_or_file_that_may_not_be_written_is_a_clear_error(forbidden: str) -> None:
    # Not tmp_path: its parents keep out any other user, so that it would be the wrong error.
    with TemporaryDirectory() as name:
        path = Path(name) / "notes.db"
        open_database(path, migrations=NOTES).close()
        path.chmod(0o666 if forbidden == "folder" else 0o444)
        path.parent.chmod(0o555 if forbidden == "folder" else 0o777)
        receiver, sender = CONTEXT.Pipe(duplex=False)
        with process(open_as_ordinary_user, path, sender):
            assert receiver.poll(WAIT_S)
            message, hint = receiver.recv()
        path.parent.chmod(0o700)
    assert message == f"{path} can't be written: permission denied"
    assert "GATEWAY_DATA_DIR" in hint


# -- what is no usable database ------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_named_with_its_cure_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("Dear diary, " * 1_000)
    with pytest.raises(ConfigurationError, match=r"notes\.db is damaged or not a database") as caught:
        open_database(path, migrations=NOTES)
    assert "restore notes.db from a backup" in caught.value.hint
    assert path.read_text() == "Dear diary, " * 1_000


@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_page_is_a_clear_error_when_it_is_met(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as connection, transaction(connection):
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 3_000,)] * 100)
    damaged = bytearray(path.read_bytes())
    damaged[4096 : 4096 * 20] = os.urandom(4096 * 19)
    path.write_bytes(damaged)
    with (
        pytest.raises(ConfigurationError, match=r"notes\.db is damaged") as caught,
        closing(open_database(path, migrations=NOTES, read_only=read_only)) as connection,
        sqlite_errors(path),
    ):
        rows(connection, "SELECT text FROM notes")
    assert caught.value.exit_code == 78


def test_a_schema_newer_than_this_version_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path, COLOURED_NOTES):
        pass
    for read_only in (False, True):
        with pytest.raises(ConfigurationError, match="schema 2, this version of the gateway knows up to 1") as error:
            open_database(path, migrations=NOTES, read_only=read_only)
        assert "newer" in error.value.hint
    with opened(path, COLOURED_NOTES) as connection:
        assert rows(connection, "SELECT colour FROM notes") == []


def test_mistakes_in_sql_are_not_dressed_up_as_trouble_with_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with (
        opened(path) as connection,
        pytest.raises(sqlite3.OperationalError, match="no such table"),
        sqlite_errors(path),
    ):
        connection.execute("SELECT * FROM pictures")


# -- migrations ----------------------------------------------------------------------------------------


def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('a')")
    for _ in range(2):
        with opened(path, COLOURED_NOTES) as connection:
            assert rows(connection, "SELECT text, colour FROM notes") == [("a", "white; as ever")]
            assert rows(connection, "PRAGMA user_version") == [(2,)]


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    failing = (*NOTES, "CREATE TABLE pictures (id INTEGER); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        open_database(path, migrations=failing)
    with opened(path) as connection:
        assert rows(connection, "SELECT name FROM sqlite_schema") == [("notes",)]


def test_a_new_file_is_never_seen_between_two_migrations(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with pytest.raises(sqlite3.OperationalError):
        open_database(path, migrations=(*NOTES, "CREATE TABLE other (id INTEGER); CREATE NONSENSE;"))
    with pytest.raises(NotFoundError, match="still empty"):
        open_database(path, migrations=NOTES, read_only=True)


def test_a_migration_may_hold_triggers_and_comments(tmp_path: Path) -> None:
    script = """
    CREATE TABLE log (text TEXT);  -- what happened; and when
    CREATE TRIGGER noted AFTER INSERT ON notes BEGIN
        INSERT INTO log VALUES (new.text); INSERT INTO log VALUES ('; END');
    END;
    """
    with opened(tmp_path / "notes.db", (*NOTES, script)) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('a')")
        assert rows(connection, "SELECT text FROM log") == [("a",), ("; END",)]


RACES = 25
COUNTED = ("CREATE TABLE steps (step INTEGER)", *(f"INSERT INTO steps VALUES ({step})" for step in range(1, 10)))


def migrate_at_once(folder: Path, start: Barrier) -> None:
    for race in range(RACES):
        start.wait(WAIT_S)
        open_database(folder / f"{race}.db", migrations=COUNTED).close()


def test_processes_that_migrate_at_the_same_time_apply_each_step_once(tmp_path: Path) -> None:
    start = CONTEXT.Barrier(4)
    with ExitStack() as running:
        racers = [running.enter_context(process(migrate_at_once, tmp_path, start)) for _ in range(4)]
        for racer in racers:
            racer.join(WAIT_S)
        assert [racer.exitcode for racer in racers] == [0, 0, 0, 0]
    for race in range(RACES):
        with opened(tmp_path / f"{race}.db", COUNTED) as connection:
            assert rows(connection, "SELECT step FROM steps ORDER BY step") == [(step,) for step in range(1, 10)]


def open_then_stop_in_the_middle_of_a_write(path: Path, ready: Connection) -> None:
    connection = open_database(path, migrations=NOTES)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO notes (text) VALUES ('never committed')")
    ready.send("writing")
    signal.pause()


def test_a_killed_writer_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    receiver, sender = CONTEXT.Pipe(duplex=False)
    with process(open_then_stop_in_the_middle_of_a_write, path, sender) as child:
        assert receiver.poll(WAIT_S)
        child.kill()
        child.join(WAIT_S)
        with opened(path) as connection:
            connection.execute("INSERT INTO notes (text) VALUES ('a')")
            assert rows(connection, "SELECT text FROM notes") == [("a",)]


# -- reading -------------------------------------------------------------------------------------------


def test_reading_what_does_not_exist_or_is_empty_is_a_not_found(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with pytest.raises(NotFoundError, match="does not exist"):
        open_database(path, migrations=NOTES, read_only=True)
    path.touch()
    with pytest.raises(NotFoundError, match="is still empty"):
        open_database(path, migrations=NOTES, read_only=True)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.db"]


def test_reading_an_older_schema_says_who_migrates_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path):
        pass
    with pytest.raises(ConfigurationError, match="has schema 1, this version of the gateway reads 2") as caught:
        open_database(path, migrations=COLOURED_NOTES, read_only=True)
    assert "gateway serve" in caught.value.hint


def test_a_reader_can_not_write(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path):
        pass
    with (
        closing(open_database(path, migrations=NOTES, read_only=True)) as reader,
        pytest.raises(ConfigurationError, match="can't be opened or written"),
        sqlite_errors(path),
    ):
        reader.execute("INSERT INTO notes (text) VALUES ('a')")


def test_an_idle_reader_lets_the_writer_commit_and_reset_its_log(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as writer:
        writer.execute("INSERT INTO notes (text) VALUES ('a')")
        with closing(open_database(path, migrations=NOTES, read_only=True)) as reader:
            assert rows(reader, "SELECT text FROM notes") == [("a",)]
            rows(reader, "PRAGMA data_version")
            with transaction(reader, write=False):
                assert rows(reader, "SELECT text FROM notes") == [("a",)]
            writer.execute("INSERT INTO notes (text) VALUES ('b')")
            ((busy, _, _),) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            assert busy == 0
            assert (tmp_path / "notes.db-wal").stat().st_size == 0
            assert rows(reader, "SELECT text FROM notes") == [("a",), ("b",)]


def test_a_reader_in_a_transaction_sees_one_moment_and_lets_the_writer_commit(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as writer, closing(open_database(path, migrations=NOTES, read_only=True)) as reader:
        with transaction(reader, write=False):
            assert rows(reader, "SELECT text FROM notes") == []
            writer.execute("INSERT INTO notes (text) VALUES ('a')")
            assert rows(reader, "SELECT text FROM notes") == []
        assert rows(reader, "SELECT text FROM notes") == [("a",)]


# -- writing -------------------------------------------------------------------------------------------


def test_a_transaction_is_rolled_back_by_whatever_is_raised_in_it(tmp_path: Path) -> None:
    with opened(tmp_path / "notes.db") as connection:
        with pytest.raises(KeyboardInterrupt), transaction(connection):
            connection.execute("INSERT INTO notes (text) VALUES ('a')")
            raise KeyboardInterrupt
        assert rows(connection, "SELECT text FROM notes") == []
        assert not connection.in_transaction


def test_a_write_waits_for_another_one_only_as_long_as_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as holder, closing(open_database(path, migrations=NOTES, busy_timeout_ms=50)) as other:
        holder.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        with pytest.raises(UnavailableError, match="database is locked"), sqlite_errors(path), transaction(other):
            pass
        assert time.monotonic() - began_s < 5
        holder.execute("ROLLBACK")
        with transaction(other):
            other.execute("INSERT INTO notes (text) VALUES ('a')")


def test_a_full_disk_is_unavailable_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with opened(path) as connection:
        connection.execute("PRAGMA max_page_count = 4")
        with (
            pytest.raises(UnavailableError, match="no room left") as caught,
            sqlite_errors(path),
            transaction(connection),
        ):
            connection.execute("INSERT INTO notes (text) VALUES ('a')")
            connection.execute("INSERT INTO notes (text) VALUES (?)", ("x" * 100_000,))
        assert str(tmp_path) in caught.value.hint
        assert rows(connection, "SELECT text FROM notes") == []
        connection.execute("PRAGMA max_page_count = 1000")
        connection.execute("INSERT INTO notes (text) VALUES ('a')")


@pytest.mark.parametrize(("synchronous", "number"), [("NORMAL", 1), ("FULL", 2)])
def test_durability_is_as_asked_for(tmp_path: Path, synchronous: Literal["NORMAL", "FULL"], number: int) -> None:
    path = tmp_path / "notes.db"
    with closing(open_database(path, migrations=NOTES, synchronous=synchronous)) as connection:
        assert rows(connection, "PRAGMA synchronous") == [(number,)]
        assert rows(connection, "PRAGMA journal_mode") == [("wal",)]
