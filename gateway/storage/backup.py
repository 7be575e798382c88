"""Backups of a data directory, also while a gateway writes it; and putting them back.

Each database is copied as of one moment (SQLite's online backup, in one step), one after the other, the spools first:

- What was acknowledged before the backup began is in the copy of its spool, or had left the spool; then every sink had
  it, and it is in the copies of the device store and of the sinks' positions, which are made later.
- A batch that is in the copy of its spool and had been applied when the device store was copied lies at or below the
  position there. It is not applied again.

The other way round, what was delivered and trimmed between the two copies would be in neither.

Saved DTLS sessions are never part of it: a session that goes on twice uses its nonces twice.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from gateway.errors import ConfigurationError, NotFoundError, UnavailableError, UsageError
from gateway.storage.catalogue import FILE_NAME as CATALOGUE
from gateway.storage.catalogue import Catalogue
from gateway.storage.database import BUSY_TIMEOUT_MS, open_database, sqlite_errors
from gateway.storage.spool import MIGRATIONS, continue_after

MANIFEST: Final = "backup.json"
"""Says which files a backup has; its last one to be written."""

KEY_NAME: Final = "gateway.key"
"""The key file as it is called in a backup, wherever it lies otherwise."""

GAP: Final = 1 << 40
"""How far behind those of its backup a restored spool numbers its next batches: no sink has got that far."""

_LOGS: Final = ("", "-wal", "-shm", "-journal")
_DATABASE: Final = re.compile(r"[a-z]+(?:-[0-9]+)?\.db")
_SPOOL: Final = re.compile(r"spool-[0-9]+\.db")
_VERSION: Final = 1
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A file of a backup."""

    name: str
    bytes: int
    sha256: str


def make_backup(data_dir: Path, key_file: Path | None, folder: Path) -> list[BackupFile]:
    """Copy the databases of a data directory, and the key file where one is given, into a new folder (0700).

    The folder is there when it is complete, and not before. Raises UsageError where it is there already, NotFoundError
    where there is nothing to copy, ConfigurationError or UnavailableError where it can't be read or written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is there already", hint="name a folder that is not there yet: each backup has its own"
        )
    names = _databases(data_dir)
    if not names:
        raise NotFoundError(
            f"there is nothing to back up in {data_dir}", hint="set GATEWAY_DATA_DIR to the gateway's data directory"
        )
    with _writing(folder):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name in names:
                _copy_database(data_dir / name, partial / name)
            if key_file is not None and key_file.exists():
                names.append(KEY_NAME)
                _copy_file(key_file, partial / KEY_NAME)
            files = [_described(partial / name) for name in names]
            _write_manifest(partial / MANIFEST, files)
            partial.rename(folder)
            _sync(folder.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return files


def read_manifest(folder: Path) -> list[BackupFile]:
    """What a backup has. Raises NotFoundError where there is none, ConfigurationError where it can't be used."""
    try:
        content = orjson.loads((folder / MANIFEST).read_bytes())
        files = [BackupFile(**file) for file in content["files"]]
        usable = content["version"] == _VERSION and all(
            file.name == KEY_NAME or _DATABASE.fullmatch(file.name) for file in files
        )
    except FileNotFoundError:
        raise NotFoundError(
            f"{folder} is no backup: it has no {MANIFEST}", hint="name a folder that `gateway backup` made"
        ) from None
    except (OSError, ValueError, TypeError, KeyError):
        usable = False
    if not usable:
        raise ConfigurationError(
            f"{folder / MANIFEST} can't be read, or is of another version of the gateway",
            hint="use another backup, or the version of the gateway that made it",
        )
    return files


def restore_backup(
    folder: Path, data_dir: Path, key_file: Path, *, only: Sequence[str] = (), replace: bool = False
) -> tuple[list[BackupFile], Path | None]:
    """Put the files of a backup into the data directory, all or `only` some; gives which, and where the others went.

    The data directory's lock must be held. With `replace`, what is there is moved into a folder of its own; without it,
    and for names that the backup does not have, UsageError is raised. Raises NotFoundError where there is no backup,
    ConfigurationError where it is damaged, or where its key is another one than the one in a key file elsewhere.
    """
    files = read_manifest(folder)
    _check_names(files, only, folder)
    chosen = [file for file in files if file.name in only or not only]
    for file in chosen:
        _check_content(folder / file.name, file)
    chosen = [file for file in chosen if file.name != KEY_NAME or not _same_content(folder / KEY_NAME, key_file)]
    present = _in_the_way(data_dir, key_file, chosen, everything=not only)
    if present and not replace:
        raise UsageError(
            f"{data_dir} has data already: {', '.join(sorted({_without_log(path.name) for path in present}))}",
            hint="with --replace it is moved into a folder of its own there; nothing is deleted",
        )
    with _writing(data_dir):
        staged = Path(tempfile.mkdtemp(prefix=".restore.", dir=data_dir))
        try:
            for file in chosen:
                _copy_file(folder / file.name, staged / file.name)
                if _SPOOL.fullmatch(file.name):
                    _leave_a_gap(staged / file.name)
                elif file.name == CATALOGUE:
                    _end_log_ins(staged)
            aside = _move_aside(present, data_dir)
            for file in chosen:
                if file.name == KEY_NAME:  # which may lie on another disk
                    _copy_file(staged / KEY_NAME, key_file)
                else:
                    (staged / file.name).rename(data_dir / file.name)
            _sync(data_dir)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return chosen, aside


# -- making --------------------------------------------------------------------------------------------


def _databases(data_dir: Path) -> list[str]:
    """The names of the databases, in the order in which they must be copied."""
    names = sorted(path.name for path in data_dir.glob("*.db") if _DATABASE.fullmatch(path.name))
    return [name for name in names if _SPOOL.fullmatch(name)] + [name for name in names if not _SPOOL.fullmatch(name)]


def _copy_database(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with sqlite_errors(source):
        reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_MS / 1000)
    with closing(reading), sqlite_errors(target), closing(sqlite3.connect(target)) as writing:
        writing.execute("PRAGMA journal_mode = OFF").fetchall()  # what fails half-way is thrown away
        writing.execute("PRAGMA synchronous = OFF")
        # In one step: in several, it would begin anew whenever the gateway writes in between.
        reading.backup(writing)
    _sync(target)


def _described(path: Path) -> BackupFile:
    return BackupFile(path.name, path.stat().st_size, _sha256(path))


def _write_manifest(path: Path, files: Sequence[BackupFile]) -> None:
    content = {"version": _VERSION, "files": [asdict(file) for file in files]}
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    _sync(path)
    _sync(path.parent)


# -- putting back --------------------------------------------------------------------------------------


def _check_names(files: Sequence[BackupFile], only: Sequence[str], folder: Path) -> None:
    names = [file.name for file in files]
    for name in only:
        if name not in names:
            raise UsageError(f"there is no {name} in {folder}", hint=f"there are: {', '.join(names)}")


def _check_content(path: Path, file: BackupFile) -> None:
    try:
        same = path.stat().st_size == file.bytes and _sha256(path) == file.sha256
    except OSError:
        same = False
    if not same:
        raise ConfigurationError(
            f"{path} is missing, or not what it was when the backup was made",
            hint="use another backup, or --only for those of its files that are whole",
        )


def _in_the_way(data_dir: Path, key_file: Path, chosen: Sequence[BackupFile], *, everything: bool) -> list[Path]:
    """What has to go before they come: a database with its log, and with `everything` all databases."""
    names = {file.name for file in chosen} - {KEY_NAME}
    if everything:
        names.update(_databases(data_dir))
    present = [path for name in names for path in data_dir.glob(f"{name}*") if path.name.removeprefix(name) in _LOGS]
    if key_file.exists() and any(file.name == KEY_NAME for file in chosen):
        if key_file.parent.absolute() != data_dir.absolute():
            raise ConfigurationError(
                f"GATEWAY_KEY_FILE={key_file} has another key than the backup",
                hint=f"move it away, or set GATEWAY_KEY_FILE to the key that fits; or leave {KEY_NAME} out with --only",
            )
        present.append(key_file)
    return present


def _without_log(name: str) -> str:
    """A database's name, of it or of one of the logs beside it."""
    return name.partition("-wal")[0].partition("-shm")[0].partition("-journal")[0]


def _same_content(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes().strip() == other.read_bytes().strip()
    except FileNotFoundError:
        return False


def _leave_a_gap(spool: Path) -> None:
    """Have a spool number its next batches far behind any that a sink can remember."""
    with closing(open_database(spool, migrations=MIGRATIONS)) as connection, sqlite_errors(spool):
        rows = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batches'").fetchall()
    continue_after(spool, (rows[0][0] if rows else 0) + GAP)
    _sync(spool)


def _end_log_ins(folder: Path) -> None:
    """Have nobody logged in: who logged out since the backup, or got another password, must not be so again."""
    with Catalogue(folder) as catalogue:
        catalogue.users.remove_log_ins()


def _move_aside(paths: Sequence[Path], data_dir: Path) -> Path | None:
    if not paths:
        return None
    aside = Path(tempfile.mkdtemp(prefix="before-restore-", dir=data_dir))
    for path in paths:
        path.rename(aside / path.name)
    _sync(aside)
    return aside


# -- files ---------------------------------------------------------------------------------------------


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"{error.filename or folder} can't be copied: {error.strerror}",
            hint=f"see who may read and write there, and whether there is room on the disk of {folder.parent}",
        ) from error


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reading, open(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        shutil.copyfileobj(reading, file, _CHUNK_BYTES)
    _sync(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have a file, or a folder's entries, survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems can't, for folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
