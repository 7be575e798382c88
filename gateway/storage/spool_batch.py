"""What a spool commits at a time: uplinks that came within a few milliseconds, and who waits for them."""

import re
import sqlite3
from typing import Final, Generic, TypeVar

from gateway.errors import GatewayError
from gateway.model import Security

_HEAD_BYTES: Final = 2048
_FIRST_RECEIVED: Final = re.compile(rb'\[\["(?:[^"\\]|\\.)*",(-?\d+),')
"""How a batch begins: an integration's name, and when its uplink was received."""

T = TypeVar("T")


class Batch(Generic[T]):
    """Uplinks on their way to the disk. `since_s` is when the first one came, on the monotonic clock."""

    __slots__ = (
        "arrivals",
        "bytes",
        "error",
        "failed",
        "failed_bytes",
        "given_up",
        "sealed",
        "since_s",
        "sources",
        "texts",
        "tickets",
    )

    def __init__(self, since_s: float, arrival: tuple[float, Security]) -> None:
        self.since_s = since_s
        self.arrivals = [(0, *arrival)]
        """From which uplink on they arrived when (s, monotonic), and over what: one for all that one read brought."""
        self.sealed = False
        """Whether it takes no more."""
        self.given_up = False
        """Whether nobody waits for it any more; it is committed all the same."""
        self.tickets: list[T] = []
        """Who waits for the commit, one per uplink."""
        self.sources: list[str] = []
        """Which integration each uplink with reports came by."""
        self.failed: list[str] = []
        """Which integration each uplink came by that its converter failed on."""
        self.texts: list[bytes] = []
        """Each uplink's records, as the inside of a JSON array."""
        self.bytes = 0
        self.failed_bytes = 0
        """Those of them that belong to `failed`."""
        self.error: GatewayError | None = None
        """Why the commit failed, if it did."""

    def arrived(self, security: Security, now_s: float) -> None:
        """Say when what is appended from here on has arrived, and over what."""
        first = len(self.tickets)
        if self.arrivals[-1][0] == first:  # nothing came of what arrived before
            self.arrivals.pop()
        self.arrivals.append((first, now_s, security))


def oldest_received_ms(connection: sqlite3.Connection) -> int | None:
    """When the first uplink in a spool was received, in milliseconds since 1970; None for an empty one."""
    rows = connection.execute("SELECT substr(body, 1, ?) FROM batches ORDER BY id LIMIT 1", (_HEAD_BYTES,)).fetchall()
    found = _FIRST_RECEIVED.match(rows[0][0]) if rows else None
    return int(found[1]) if found else None
