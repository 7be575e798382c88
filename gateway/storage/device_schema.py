"""The schema of `devices.db`, and why it is laid out so.

- `device_seen` and `latest` hold only what changes with every report, apart from names and types, so that
  few pages change in a commit.
- The history is written in sorted runs. A new sample goes to the end of `history_recent`; when enough have come
  together (`history.RUN_ROWS`), they are sorted into the next run of `history`. One tree clustered by device would
  instead change a page for each sample (4 KB for 20 bytes), and as many again when the samples age out. A reader
  asks each run that overlaps its time range; of a point that is in several, the one of the newest run counts.
- The quarantine is here, and not in a file of its own, because an uplink that a converter failed on comes out of the
  same batch of a spool as others' reports, and one position tells how far both got. Its size is kept by triggers.
- The outbox is what was taken out of the quarantine, for the sinks (`gateway.storage.outbox`).
- Values are JSON text, so that `true`, `1`, `1.0` and `"1"` come back as what they were.
"""

from typing import Final

FILE_NAME: Final = "devices.db"
"""The device store's file in the data directory."""

MIGRATIONS: Final = (
    """
    CREATE TABLE positions (
        spool TEXT NOT NULL PRIMARY KEY,
        batch INTEGER NOT NULL  -- the last one applied
    ) WITHOUT ROWID;

    CREATE TABLE devices (
        id          INTEGER PRIMARY KEY,
        kind        TEXT NOT NULL,
        name        TEXT NOT NULL,
        folded_name TEXT NOT NULL,  -- for searching whatever the case
        type        TEXT NOT NULL,
        customer    TEXT,
        device_group TEXT,
        UNIQUE (name, kind)
    );

    CREATE TABLE device_seen (
        device    INTEGER PRIMARY KEY REFERENCES devices (id),
        first_ms  INTEGER NOT NULL,
        last_ms   INTEGER NOT NULL,
        principal TEXT
    );

    CREATE TABLE attributes (
        device INTEGER NOT NULL REFERENCES devices (id),
        key    TEXT NOT NULL,
        ts     INTEGER NOT NULL,
        value  TEXT NOT NULL,
        PRIMARY KEY (device, key)
    ) WITHOUT ROWID;

    CREATE TABLE series (  -- a telemetry key of a device
        id     INTEGER PRIMARY KEY,
        device INTEGER NOT NULL REFERENCES devices (id),
        key    TEXT NOT NULL,
        UNIQUE (device, key)
    );

    CREATE TABLE latest (
        series INTEGER PRIMARY KEY,
        ts     INTEGER NOT NULL,
        value  TEXT NOT NULL
    );

    CREATE TABLE history_recent (
        seq    INTEGER PRIMARY KEY,
        series INTEGER NOT NULL,
        ts     INTEGER NOT NULL,
        value  TEXT NOT NULL
    );

    CREATE TABLE history (
        run    INTEGER NOT NULL,
        series INTEGER NOT NULL,
        ts     INTEGER NOT NULL,
        value  TEXT NOT NULL,
        PRIMARY KEY (run, series, ts)
    ) WITHOUT ROWID;

    CREATE TABLE history_runs (
        run       INTEGER PRIMARY KEY,
        size      INTEGER NOT NULL,  -- in rows
        oldest_ms INTEGER NOT NULL,
        newest_ms INTEGER NOT NULL
    );
    """,
    """
    CREATE TABLE quarantine (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: people name uplinks by it
        integration TEXT NOT NULL,
        received_ms INTEGER NOT NULL,
        bytes       INTEGER NOT NULL,
        error       TEXT NOT NULL,
        principal   TEXT,           -- JSON: kind, name, alternative names
        metadata    TEXT NOT NULL,  -- a JSON object of texts
        payload     BLOB NOT NULL
    );

    CREATE INDEX quarantine_by_integration ON quarantine (integration, id);

    CREATE TABLE quarantine_size (uplinks INTEGER NOT NULL, bytes INTEGER NOT NULL);

    INSERT INTO quarantine_size VALUES (0, 0);

    CREATE TRIGGER quarantine_grows AFTER INSERT ON quarantine BEGIN
        UPDATE quarantine_size SET uplinks = uplinks + 1, bytes = bytes + new.bytes;
    END;

    CREATE TRIGGER quarantine_shrinks AFTER DELETE ON quarantine BEGIN
        UPDATE quarantine_size SET uplinks = uplinks - 1, bytes = bytes - old.bytes;
    END;
    """,
    """
    ALTER TABLE quarantine ADD COLUMN sink TEXT;  -- that refused a report; NULL: a converter failed on an uplink

    CREATE TABLE outbox (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        bytes   INTEGER NOT NULL,
        uplinks INTEGER NOT NULL,
        sink    TEXT,           -- NULL: for every sink
        body    BLOB NOT NULL   -- as in a spool
    );

    CREATE TABLE outbox_identity (id TEXT NOT NULL);

    INSERT INTO outbox_identity VALUES (lower(hex(randomblob(16))));
    """,
)
