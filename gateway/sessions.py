"""The DTLS sessions of all workers, for operators: listing them, and ending one.

Asked for by two commands:

- `sessions` takes `{"search", "limit", "after"}` and answers `{"items": […], "next": id, "total": of all, whatever is
  searched for}`, worker by worker, the oldest first; `next` is null at the end;
- `end_session` takes `{"id"}` and answers the session as it was. Its peer is told, and no ticket resumes it; with its
  credentials it may begin another one.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.command_socket import Commands
from gateway.credentials.writing import write_secret
from gateway.dtls.tickets import TICKET_LIFETIME_S
from gateway.errors import ConfigurationError, NotFoundError, UsageError
from gateway.model import JsonValue
from gateway.questions import Questions

LIMIT_MAX: Final = 1000
"""Most sessions in an answer."""

SEARCH_CHARACTERS: Final = 256
"""Longest search."""

ID_CHARACTERS: Final = 64
"""More than any session's id has."""

PAUSE_S: Final = 0.002
"""How long a worker has for its devices, between two portions: more than a portion takes."""

ENDED_FILE: Final = "ended-sessions.json"
"""Holds, in the data directory, the sessions that must not be resumed: by tag, until when (s since 1970)."""

ENDED_MAX: Final = 10_000
"""Most of them; the one that ended first goes first."""

_TAGS_PER_MESSAGE: Final = 500

_log = logging.getLogger(__name__)


class Sessions:
    """Belongs to the supervisor's loop."""

    def __init__(
        self,
        data_dir: Path,
        *,
        workers: int,
        questions: Questions,
        tell: Callable[[int, Mapping[str, object]], bool],
        count: Callable[[], int],
    ) -> None:
        """`tell(worker, message)` sends a message to a worker, and says whether that runs; `count` gives the number of
        sessions.
        """
        self._workers = workers
        self._questions = questions
        self._tell = tell
        self._count = count
        self._ended = _EndedSessions(data_dir / ENDED_FILE)

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {"sessions": self._sessions, "end_session": self._end_session}

    def worker_serves(self, worker: int) -> None:
        """A worker is ready: it must know what its predecessor knew."""
        for start in range(0, len(self._ended.all), _TAGS_PER_MESSAGE):
            self._tell(worker, {"not_resumed": self._ended.all[start : start + _TAGS_PER_MESSAGE]})

    async def _sessions(self, of: JsonValue) -> JsonValue:
        search, limit, after = str(of["search"]), int(of["limit"]), str(of["after"] or "")
        if not 1 <= limit <= LIMIT_MAX:
            raise UsageError(f"limit is {limit}", hint=f"1 to {LIMIT_MAX} sessions can be listed at a time")
        if len(search) > SEARCH_CHARACTERS:
            raise UsageError("the search is too long", hint=f"at most {SEARCH_CHARACTERS} characters are looked for")
        items: list[JsonValue] = []
        for worker in range(self._worker_of(after) if after else 0, self._workers):
            behind = after
            while True:
                asked = {"search": search, "limit": limit - len(items), "after": behind}
                portion = await self._questions.ask(worker, {"sessions": asked})
                if portion is None:
                    break
                items += portion["items"]
                behind = portion["next"]
                if len(items) >= limit or behind is None:
                    break
                await asyncio.sleep(PAUSE_S)
            if len(items) >= limit:
                break
        is_last = len(items) < limit
        return {"items": items, "next": None if is_last else items[-1]["id"], "total": self._count()}

    async def _end_session(self, of: JsonValue) -> JsonValue:
        id = str(of["id"])
        ended = await self._questions.ask(self._worker_of(id), {"end_session": id})
        if ended is None:
            raise NotFoundError(f"there is no session {id}", hint="gateway session list shows those that there are")
        if ended["tag"]:
            pair = (ended["tag"], time.time() + TICKET_LIFETIME_S)
            for worker in range(self._workers):
                self._tell(worker, {"not_resumed": [pair]})
            await self._ended.add(pair)
        return ended["session"]

    def _worker_of(self, id: str) -> int:
        """The worker in a session's id. Raises NotFoundError where there is no such worker."""
        worker = id.partition("-")[0] if len(id) <= ID_CHARACTERS else ""
        if not (worker.isascii() and worker.isdecimal() and len(worker) < 5 and int(worker) < self._workers):
            raise NotFoundError(
                f"there is no session {id[:64]!r}", hint="gateway session list shows those that there are"
            )
        return int(worker)


class _EndedSessions:
    """The sessions that must not be resumed, in memory and in a file, so that they outlive the gateway."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = asyncio.Lock()
        self.all: list[tuple[str, float]] = []
        """Tags, and until when (s since 1970)."""
        try:
            kept = json.loads(path.read_bytes())
            self.all = [(str(tag), float(until_s)) for tag, until_s in kept if until_s > time.time()]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError) as error:
            _log.error("%s can't be read: sessions that were ended may be resumed again: %s", path, error)

    async def add(self, pair: tuple[str, float]) -> None:
        """Note one more."""
        now_s = time.time()
        self.all = [*(one for one in self.all if one[1] > now_s), pair][-ENDED_MAX:]
        async with self._writing:
            try:
                await asyncio.to_thread(write_secret, self._path, json.dumps(self.all).encode())
            except ConfigurationError as error:
                _log.error("a session that was ended may be resumed after a restart: %s", error.message)
