"""DTLS sessions as operators see them: a portion at a time, so that the packet loop goes on in between.

A session's id is its worker's number, a random word of the worker's process, and a number: after a restart of the
worker an id names no session rather than another one.
"""

import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from gateway.dtls.association import Association
from gateway.model import JsonValue

PORTION_S: Final = 0.001
"""How long the search for a portion may take."""

PORTION_SESSIONS: Final = 200
"""Most sessions in a portion, so that the message that it is has a bound."""

NAME_CHARACTERS: Final = 512
"""Of a longer name, there is only its beginning."""

_CHECK_EVERY: Final = 16
"""After so many sessions the clock is looked at."""


class SessionList:
    """The sessions of one worker."""

    def __init__(
        self,
        associations: Mapping[bytes, Association],
        *,
        worker: int,
        name_of: Callable[[bytes], str],
        idle_timeout_s: float,
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`associations`: by handle, in the order of the handles; `name_of` makes an address readable."""
        self._associations = associations
        self._worker = worker
        self._name_of = name_of
        self._idle_timeout_s = idle_timeout_s
        self._clock_s = clock_s
        self._run = secrets.token_hex(2)

    def portion(self, *, search: str, limit: int, after: str) -> JsonValue:
        """At most `limit` sessions behind the id `after`, all where that is none of this process: `{"items": […],
        "next": id}`.

        The portion may be short, or empty, because it was time to stop: there is more as long as `next` is not null.
        `search` is looked for in the principal's name, the address, the connection ID and the fingerprint.
        """
        until_s = self._clock_s() + PORTION_S
        handles = list(self._associations)
        start = bisect_right(handles, self._handle_of(after) or b"")
        limit = min(limit, PORTION_SESSIONS)
        wanted, items = search.lower(), []
        now_s, wall_s = time.monotonic(), time.time()
        for number, handle in enumerate(islice(handles, start, None), 1):
            association = self._associations[handle]
            if not wanted or self._matches(association, wanted):
                items.append(self._as_json(association, wall_s - now_s))
            if len(items) == limit or (number % _CHECK_EVERY == 0 and self._clock_s() >= until_s):
                is_last = start + number == len(handles)
                return {"items": items, "next": None if is_last else self._id(handle)}
        return {"items": items, "next": None}

    def find(self, id: str) -> Association | None:
        """The session by that id, if there is one."""
        handle = self._handle_of(id)
        return None if handle is None else self._associations.get(handle)

    def as_json(self, association: Association) -> JsonValue:
        """The shape that scripts rely on."""
        return self._as_json(association, time.time() - time.monotonic())

    def _as_json(self, association: Association, since_1970_s: float) -> JsonValue:
        """`since_1970_s`: the wall clock less the monotonic one."""
        principal = association.principal
        last_heard_s = association.last_seen_s + since_1970_s
        return {
            "id": self._id(association.handle),
            "worker": self._worker,
            "address": self._name_of(association.address),
            "principal": principal.name[:NAME_CHARACTERS] if principal else None,
            "principal_type": principal.kind if principal else None,
            "certificate_fingerprint": principal.fingerprint if principal else None,
            "cipher_suite": association.suite.name,
            "connection_id": association.cid.hex() or None,
            "resumed": association.resumed,
            "established_ts": int((association.established_s + since_1970_s) * 1000),
            "last_heard_ts": int(last_heard_s * 1000),
            "expires_ts": int((last_heard_s + self._idle_timeout_s) * 1000),
        }

    def _matches(self, association: Association, wanted: str) -> bool:
        principal = association.principal
        return (
            (principal is not None and wanted in principal.name.lower())
            or wanted in association.cid.hex()
            or wanted in self._name_of(association.address)
            or (principal is not None and wanted in (principal.fingerprint or ""))
        )

    def _id(self, handle: bytes) -> str:
        return f"{self._worker}-{self._run}-{int.from_bytes(handle, 'big')}"

    def _handle_of(self, id: str) -> bytes | None:
        """The handle in an id; None where that is none of this process."""
        run, _, number = id.partition("-")[2].partition("-")
        if run != self._run or not (number.isascii() and number.isdecimal()) or len(number) > 19:
            return None
        return int(number).to_bytes(8, "big")
