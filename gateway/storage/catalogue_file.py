"""The catalogue's file: its schema, and the transactions and errors that everything in it shares.

The removals of pre-shared keys and the version of the trusted certificates are kept by triggers: whatever changes
the tables, running workers hear of it and end the sessions.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.storage.database import open_database, sqlite_errors, transaction

FILE_NAME: Final = "catalogue.db"
"""The catalogue's file in the data directory."""

REMOVALS_KEPT: Final = 10_000
"""How many removals of pre-shared keys are remembered, the newest."""

MIGRATIONS: Final = (
    """
    CREATE TABLE converters (
        name     TEXT NOT NULL PRIMARY KEY,
        language TEXT NOT NULL,
        source   TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE integrations (
        name             TEXT NOT NULL PRIMARY KEY,
        converter        TEXT NOT NULL REFERENCES converters (name) ON UPDATE CASCADE,
        routing_key      TEXT NOT NULL UNIQUE,
        enabled          INTEGER NOT NULL,
        security_mode    TEXT NOT NULL,
        path_prefix      TEXT NOT NULL,
        metadata         TEXT NOT NULL,  -- a JSON object of texts
        identity_binding TEXT NOT NULL,
        UNIQUE (path_prefix, routing_key)
    ) WITHOUT ROWID;

    CREATE INDEX integrations_by_converter ON integrations (converter);
    """,
    f"""
    ALTER TABLE integrations ADD COLUMN require_principal INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE psks (
        identity TEXT NOT NULL PRIMARY KEY,
        sealed   BLOB NOT NULL,  -- encrypted: gateway.credentials.psk
        added_ms INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE psk_removals (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        identity TEXT NOT NULL
    );

    CREATE TRIGGER psk_is_removed AFTER DELETE ON psks BEGIN
        INSERT INTO psk_removals (identity) VALUES (old.identity);
    END;

    CREATE TRIGGER psk_is_replaced AFTER UPDATE ON psks BEGIN
        INSERT INTO psk_removals (identity) VALUES (old.identity);
    END;

    CREATE TRIGGER old_removals_are_forgotten AFTER INSERT ON psk_removals BEGIN
        DELETE FROM psk_removals WHERE position <= new.position - {REMOVALS_KEPT};
    END;

    CREATE TABLE trusted (
        fingerprint TEXT NOT NULL PRIMARY KEY,
        kind        TEXT NOT NULL CHECK (kind IN ('ca', 'device', 'key')),
        name        TEXT NOT NULL UNIQUE,
        der         BLOB NOT NULL,
        added_ms    INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE trust_version (version INTEGER NOT NULL);

    INSERT INTO trust_version (version) VALUES (0);

    CREATE TRIGGER trusted_is_added AFTER INSERT ON trusted BEGIN
        UPDATE trust_version SET version = version + 1;
    END;

    CREATE TRIGGER trusted_is_changed AFTER UPDATE ON trusted BEGIN
        UPDATE trust_version SET version = version + 1;
    END;

    CREATE TRIGGER trusted_is_removed AFTER DELETE ON trusted BEGIN
        UPDATE trust_version SET version = version + 1;
    END;
    """,
    """
    ALTER TABLE converters ADD COLUMN update_only_keys TEXT NOT NULL DEFAULT '[]';  -- a JSON array of texts

    ALTER TABLE converters ADD COLUMN cases TEXT NOT NULL DEFAULT '[]';  -- JSON: gateway.storage.converter_rows

    ALTER TABLE integrations ADD COLUMN debug_mode TEXT NOT NULL DEFAULT 'off';

    ALTER TABLE integrations ADD COLUMN debug_until_ms INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE users (
        name          TEXT NOT NULL PRIMARY KEY,
        role          TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
        password_hash TEXT NOT NULL,  -- gateway.credentials.passwords
        created_ms    INTEGER NOT NULL,
        password_ms   INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE log_ins (
        digest     BLOB NOT NULL PRIMARY KEY,  -- SHA-256 of what the client has
        user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE INDEX log_ins_by_user ON log_ins (user, created_ms);

    CREATE TABLE api_tokens (
        id         TEXT NOT NULL PRIMARY KEY,
        digest     BLOB NOT NULL UNIQUE,  -- SHA-256 of the token
        name       TEXT NOT NULL,
        user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        role       TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER
    ) WITHOUT ROWID;

    CREATE INDEX api_tokens_by_user ON api_tokens (user);
    """,
)


class CatalogueFile:
    """One connection to the catalogue, for one thread. Raises as `Catalogue` says."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE_NAME
        # A change is acknowledged to a person, and rare: it survives a power failure.
        self.connection = open_database(self.path, migrations=MIGRATIONS, synchronous="FULL")
        self.is_changed = False
        """Whether this connection has changed what workers go by."""

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """All that the block reads is of one moment."""
        with sqlite_errors(self.path), transaction(self.connection, write=False):
            yield self.connection

    @contextmanager
    def writing(self, *, for_workers: bool = True) -> Iterator[sqlite3.Connection]:
        """All that the block writes is kept, or nothing of it where anything is raised. Workers go by it, or never look
        at it.
        """
        with sqlite_errors(self.path), transaction(self.connection):
            yield self.connection
        self.is_changed |= for_workers

    def names(self, query: str, *parameters: str | None) -> list[str]:
        """The first column of a query's rows; inside a transaction."""
        return [name for (name,) in self.connection.execute(query, parameters).fetchall()]
