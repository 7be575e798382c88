"""A store as those see it who only read it: beside its one writing process, and before there is a file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import NotFoundError
from gateway.storage.database import open_database, sqlite_errors, transaction


class StoreView:
    """Reads one SQLite file, also while another process writes it; for one thread. Each reading sees one moment.

    Every method of its heirs raises ConfigurationError where the file is damaged or of another version of the gateway,
    UnavailableError where the disk fails.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file, where it is open."""
        if self._connection is not None:
            with sqlite_errors(self._path):
                self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A read transaction, or None where there is no file yet."""
        if self._connection is None:
            try:
                self._connection = open_database(self._path, migrations=self._migrations, read_only=True)
            except NotFoundError:
                yield None
                return
        with sqlite_errors(self._path), transaction(self._connection, write=False):
            yield self._connection
