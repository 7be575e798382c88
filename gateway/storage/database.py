"""How every SQLite file of the gateway is opened: permissions, WAL, schema version, errors with a cure.

Connections are in autocommit mode (`isolation_level=None`); several statements that belong together stand in
`with transaction(...)`. Read whole results (`fetchall`): a statement that is left half-read keeps its read
transaction open, and the write-ahead log could not be reset behind it.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UnavailableError

BUSY_TIMEOUT_MS: Final = 5_000
"""How long a statement waits for another process's write before it fails, in milliseconds."""

WAL_SIZE_LIMIT_BYTES: Final = 64 << 20
"""A write-ahead log that grew beyond this is cut back at the next checkpoint, in bytes."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_ALLOWED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
_UNAVAILABLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}
_FOLDER_HINT = "set GATEWAY_DATA_DIR to a folder that this user can write, or change its owner"


def open_database(
    path: Path,
    *,
    migrations: Sequence[str],
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
    read_only: bool = False,
    check_same_thread: bool = True,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    page_bytes: int = 4096,
) -> sqlite3.Connection:
    """Open a database in WAL mode; for writing, create folder (0700) and file (0600) and migrate its schema.

    `migrations` are SQL scripts in the order in which they were written; `PRAGMA user_version` counts those
    that the file has had. Those that it lacks run in one transaction, so that nobody sees it half-way, and any number
    of processes may do it at the same time. `synchronous="FULL"` makes a commit survive a power failure, `"NORMAL"`
    only the death of the process. `busy_timeout_ms` bounds how long a statement waits for another process.
    `page_bytes` counts for a new file only.

    Raises ConfigurationError where the folder or the file can't be written, the file is damaged or not a
    database, or its schema is of another version; UnavailableError where the disk is full or another process
    holds the file longer than the busy time-out; with `read_only`, NotFoundError where the file does not
    exist or is still empty.
    """
    if read_only:
        if not path.is_file():
            raise NotFoundError(f"{path} does not exist", hint="it is made by the first `gateway serve`")
    else:
        _prepare_file(path)
    with sqlite_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=check_same_thread,
        )
        try:
            if read_only:
                _check_readable(connection, path, len(migrations))
            else:
                connection.execute(f"PRAGMA page_size = {page_bytes}")
                _configure(connection, synchronous, busy_timeout_ms)
                _migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, *, write: bool = True) -> Iterator[None]:
    """Run the block as one transaction: committed at its end, rolled back where anything is raised.

    With `write=False` the block's reads see one snapshot. Errors of SQLite come out as they are: put it
    inside `sqlite_errors`.
    """
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back after some errors, such as a full disk
            connection.execute("ROLLBACK")
        raise


def continue_table_after(connection: sqlite3.Connection, table: str, position: int) -> None:
    """Have a table with AUTOINCREMENT number its next rows behind `position`, if it would not anyway."""
    rows = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchall()
    if not rows:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, position))
    elif rows[0][0] < position:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (position, table))


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises in the block into the gateway's errors; mistakes in the SQL pass unchanged."""
    try:
        yield
    except sqlite3.Error as error:
        translated = _translate(error, path)
        if translated is None:
            raise
        raise translated from error


def _translate(error: sqlite3.Error, path: Path) -> GatewayError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the extended code's low byte is its kind
    if code in _DAMAGED:
        return ConfigurationError(
            f"{path} is damaged or not a database: {error}",
            hint=f"stop the gateway, then restore {path.name} from a backup, or move it away together with "
            f"{path.name}-wal and {path.name}-shm to start with an empty one",
        )
    if code in _NOT_ALLOWED:
        return ConfigurationError(f"{path} can't be opened or written: {error}", hint=_FOLDER_HINT)
    if code == sqlite3.SQLITE_FULL:
        return UnavailableError(
            f"no room left to write {path}: {error}", hint=f"make room on the disk of {path.parent}"
        )
    if code in _UNAVAILABLE:
        return UnavailableError(f"{path} can't be used now: {error}", hint=f"look at the disk of {path.parent}")
    return None


def _prepare_file(path: Path) -> None:
    """Make folder and file with their permissions; SQLite gives the file's mode to its -wal and -shm."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only ever a file that did not exist: closing a second descriptor of an open database would drop the
        # locks that this process holds on it (POSIX advisory locks).
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"{path} can't be created: {error.strerror}", hint=_FOLDER_HINT) from error
    if not path.is_file():
        raise ConfigurationError(f"{path} can't be created: something else is in its place", hint=_FOLDER_HINT)
    # SQLite would open a file that it can't write read-only without a word, and fail at the first write.
    if not os.access(path.parent, os.W_OK | os.X_OK) or not os.access(path, os.R_OK | os.W_OK):
        raise ConfigurationError(f"{path} can't be written: permission denied", hint=_FOLDER_HINT)


def _configure(connection: sqlite3.Connection, synchronous: str, busy_timeout_ms: int) -> None:
    _user_version(connection)  # a file that is no database fails here, before anything is written to it
    deadline = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            break
        except sqlite3.OperationalError as error:
            # Two processes that make this switch at the same moment would wait for each other's lock, so
            # SQLite fails one of them without consulting the busy time-out.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT_BYTES}").fetchall()


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    newest = len(migrations)
    if _user_version(connection) < newest:
        with transaction(connection):
            version = _user_version(connection)  # another process may have been faster
            for migration in migrations[version:]:
                for statement in _statements(migration):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(version, newest)}")
    _refuse_newer(path, _user_version(connection), newest)


def _check_readable(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    version = _user_version(connection)
    _refuse_newer(path, version, newest)
    if version == 0:
        raise NotFoundError(f"{path} is still empty", hint="it is filled by the first `gateway serve`")
    if version < newest:
        raise ConfigurationError(
            f"{path} has schema {version}, this version of the gateway reads {newest}",
            hint="start this version's `gateway serve` once: it brings the file up to date",
        )


def _refuse_newer(path: Path, version: int, newest: int) -> None:
    if version > newest:
        raise ConfigurationError(
            f"{path} has schema {version}, this version of the gateway knows up to {newest}",
            hint="install the version of the gateway that wrote it, or a newer one",
        )


def _user_version(connection: sqlite3.Connection) -> int:
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """A script's statements. `executescript` would commit the migration's transaction before it starts."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
