"""The catalogue: which integrations, converters and credentials there are. `catalogue.db` in the data directory.

Short-lived processes (the command line) write it while long-lived ones read it; a reader asks `data_version`
whether anything changed and takes a new `snapshot`. Every method is one transaction.
"""

import json
import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.errors import ConfigurationError, NotFoundError, UsageError
from gateway.model import Converter, DebugMode, Integration, SecurityMode
from gateway.storage import converter_rows
from gateway.storage.catalogue_file import FILE_NAME, CatalogueFile
from gateway.storage.credential_store import CredentialStore
from gateway.storage.database import sqlite_errors
from gateway.storage.user_store import UserStore

__all__ = ["FILE_NAME", "Catalogue"]

NAMED_MAX: Final = 20
"""Most names in one message."""

_INTEGRATION_COLUMNS: Final = (
    "name, converter, routing_key, enabled, security_mode, path_prefix, metadata, identity_binding, require_principal, "
    "debug_mode, debug_until_ms"
)
_INTEGRATION_VALUES: Final = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"


class Catalogue:
    """One connection to the catalogue, for one thread; creates the file where there is none.

    Raises ConfigurationError for a data directory that can't be written, a file that is damaged or not a
    database, and a schema newer than this version of the gateway. Every method raises UnavailableError where
    the disk is full or another process does not end its write within the busy time-out.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = CatalogueFile(data_dir)
        self._connection = self._file.connection
        self.credentials = CredentialStore(self._file)
        """Pre-shared keys, and the certificates and keys that are trusted."""
        self.users = UserStore(self._file)
        """Users of the REST API and the console, their log-ins and tokens."""

    def snapshot(self) -> tuple[list[Integration], list[Converter]]:
        """All integrations and converters, by name, as they stood at one moment."""
        with self._file.reading():
            return self._integrations(), self._converters()

    def integrations(self) -> list[Integration]:
        """All integrations, by name."""
        with self._file.reading():
            return self._integrations()

    def integration(self, name: str) -> Integration:
        """The integration of that name; raises NotFoundError."""
        with self._file.reading():
            return self._integration(name)

    def add_integration(self, integration: Integration) -> None:
        """Keep a new integration.

        Raises UsageError for a name, path or routing key that is taken, NotFoundError for a converter that
        does not exist.
        """
        with self._file.writing():
            self._refuse_conflict(integration, but=None)
            self._connection.execute(
                f"INSERT INTO integrations ({_INTEGRATION_COLUMNS}) VALUES ({_INTEGRATION_VALUES})",
                _to_row(integration),
            )

    def update_integration(self, name: str, integration: Integration) -> None:
        """Put `integration` in the place of the one called `name`, which may so be renamed.

        Raises NotFoundError for `name` and for the converter, UsageError for a name, path or routing key that
        another one has.
        """
        with self._file.writing():
            self._integration(name)
            self._refuse_conflict(integration, but=name)
            self._connection.execute(
                f"UPDATE integrations SET ({_INTEGRATION_COLUMNS}) = ({_INTEGRATION_VALUES}) WHERE name = ?",
                (*_to_row(integration), name),
            )

    def remove_integration(self, name: str) -> None:
        """Forget an integration; raises NotFoundError."""
        with self._file.writing():
            self._integration(name)
            self._connection.execute("DELETE FROM integrations WHERE name = ?", (name,))

    def converters(self) -> list[Converter]:
        """All converters, by name."""
        with self._file.reading():
            return self._converters()

    def converter(self, name: str) -> Converter:
        """The converter of that name; raises NotFoundError."""
        with self._file.reading():
            return self._converter(name)

    def add_converter(self, converter: Converter) -> None:
        """Keep a new converter; raises UsageError for a name that is taken."""
        with self._file.writing():
            self._add_converter(converter)

    def update_converter(self, name: str, converter: Converter) -> None:
        """Put `converter` in the place of the one called `name`; renamed, its integrations follow.

        Raises NotFoundError for `name`, UsageError for a new name that is taken.
        """
        with self._file.writing():
            self._update_converter(name, converter)

    def import_converters(self, converters: Iterable[Converter], *, replacing: Container[str]) -> None:
        """Keep all of these or none; those whose names are in `replacing`, in the place of the ones that have them.

        Raises NotFoundError where one of those is gone, UsageError for another name that is taken.
        """
        with self._file.writing():
            for converter in converters:
                if converter.name in replacing:
                    self._update_converter(converter.name, converter)
                else:
                    self._add_converter(converter)

    def remove_converter(self, name: str) -> None:
        """Forget a converter; raises NotFoundError, and UsageError while integrations use it."""
        with self._file.writing():
            self._converter(name)
            users = self._file.names("SELECT name FROM integrations WHERE converter = ? ORDER BY name", name)
            if users:
                raise UsageError(
                    f"converter {name} is used by integration{'s' if len(users) > 1 else ''} {_listed(users)}",
                    hint="give them another converter (gateway integration update NAME --converter OTHER), "
                    "or delete them first",
                )
            self._connection.execute("DELETE FROM converters WHERE name = ?", (name,))

    @property
    def is_changed(self) -> bool:
        """Whether this connection has changed what workers go by."""
        return self._file.is_changed

    def data_version(self) -> int:
        """A number that is another one once another connection has committed a change to the catalogue."""
        with sqlite_errors(self._file.path):
            ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
        return int(version)

    def close(self) -> None:
        """Close the file. Nothing may be called afterwards."""
        with sqlite_errors(self._file.path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside a transaction ----------------------------------------------------------------------

    def _add_converter(self, converter: Converter) -> None:
        self._refuse_converter_name(converter.name)
        self._connection.execute(
            f"INSERT INTO converters ({converter_rows.COLUMNS}) VALUES ({converter_rows.VALUES})",
            converter_rows.to_row(converter),
        )

    def _update_converter(self, name: str, converter: Converter) -> None:
        self._converter(name)
        if converter.name != name:
            self._refuse_converter_name(converter.name)
        self._connection.execute(
            f"UPDATE converters SET ({converter_rows.COLUMNS}) = ({converter_rows.VALUES}) WHERE name = ?",
            (*converter_rows.to_row(converter), name),
        )

    def _integrations(self) -> list[Integration]:
        rows = self._connection.execute(f"SELECT {_INTEGRATION_COLUMNS} FROM integrations ORDER BY name")
        return [_from_row(row) for row in rows.fetchall()]

    def _integration(self, name: str) -> Integration:
        rows = self._connection.execute(
            f"SELECT {_INTEGRATION_COLUMNS} FROM integrations WHERE name = ?", (name,)
        ).fetchall()
        if not rows:
            there = self._file.names("SELECT name FROM integrations ORDER BY name")
            raise _not_found("integration", name, there)
        return _from_row(rows[0])

    def _converters(self) -> list[Converter]:
        rows = self._connection.execute(f"SELECT {converter_rows.COLUMNS} FROM converters ORDER BY name").fetchall()
        return [_converter(row) for row in rows]

    def _converter(self, name: str) -> Converter:
        rows = self._connection.execute(
            f"SELECT {converter_rows.COLUMNS} FROM converters WHERE name = ?", (name,)
        ).fetchall()
        if not rows:
            there = self._file.names("SELECT name FROM converters ORDER BY name")
            raise _not_found("converter", name, there)
        return _converter(rows[0])

    def _refuse_converter_name(self, name: str) -> None:
        if self._file.names("SELECT name FROM converters WHERE name = ?", name):
            raise UsageError(
                f"a converter named {name} exists already",
                hint=f"choose another name, or delete it first (gateway converter delete {name})",
                field="name",
            )

    def _refuse_conflict(self, integration: Integration, *, but: str | None) -> None:
        """What the schema would refuse too, in words; `but` is the integration that is being replaced."""
        self._converter(integration.converter)
        if integration.name != but and self._file.names(
            "SELECT name FROM integrations WHERE name = ?", integration.name
        ):
            raise UsageError(
                f"an integration named {integration.name} exists already",
                hint=f"choose another name, or change that one (gateway integration update {integration.name} …)",
                field="name",
            )
        # A routing key is unique by itself, so the path of prefix and routing key is unique too.
        others = self._file.names(
            "SELECT name FROM integrations WHERE routing_key = ? AND name IS NOT ?",
            integration.routing_key,
            but,
        )
        if others:
            raise UsageError(
                f"routing key {integration.routing_key} belongs to integration {others[0]}",
                hint="choose another routing key, or leave it out to have one generated",
                field="routing_key",
            )


def _to_row(integration: Integration) -> tuple[str | int, ...]:
    return (
        integration.name,
        integration.converter,
        integration.routing_key,
        integration.enabled,
        integration.security_mode.value,
        integration.path_prefix,
        json.dumps(dict(integration.metadata), ensure_ascii=False),
        integration.identity_binding,
        integration.require_principal,
        integration.debug_mode.value,
        integration.debug_until_ms,
    )


def _from_row(row: sqlite3.Row) -> Integration:
    name, converter, routing_key, enabled, security_mode, path_prefix, metadata, binding, require_principal = row[:9]
    debug_mode, debug_until_ms = row[9:]
    with _known_values(f"integration {name}"):
        return Integration(
            name=name,
            converter=converter,
            routing_key=routing_key,
            enabled=bool(enabled),
            security_mode=SecurityMode(security_mode),
            path_prefix=path_prefix,
            metadata=json.loads(metadata),
            identity_binding=binding,
            require_principal=bool(require_principal),
            debug_mode=DebugMode(debug_mode),
            debug_until_ms=debug_until_ms,
        )


def _converter(row: sqlite3.Row) -> Converter:
    with _known_values(f"converter {row[0]}"):
        return converter_rows.from_row(row)


@contextmanager
def _known_values(what: str) -> Iterator[None]:
    """Turn a value that this version does not know into an error that names whose it is."""
    try:
        yield
    except ValueError as error:
        raise ConfigurationError(
            f"{what} in the catalogue: {error}", hint="install the version of the gateway that wrote it"
        ) from error


def _listed(names: list[str]) -> str:
    rest = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {rest} more" if rest > 0 else "")


def _not_found(noun: str, name: str, there: list[str]) -> NotFoundError:
    hint = f"there are: {_listed(there)}" if there else f"there is none yet (gateway {noun} create NAME …)"
    return NotFoundError(f"there is no {noun} named {name}", hint=hint)
