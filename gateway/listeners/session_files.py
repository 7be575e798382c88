"""DTLS sessions that outlive a restart: each worker's, in a file of the data directory, encrypted.

A state must be imported once at most, for a second import would use nonces again (`gateway.dtls.state`). So a file is
removed, durably, before its content is used; and it is written when the worker sends no more.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.credentials.keyfile import KeyFile
from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.connection_ids import shard_of
from gateway.dtls.state import open_state, seal_state
from gateway.durable import sync_folder

_NAME = re.compile(r"sessions-(\d{1,3})-of-(\d{1,3})\.state")
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Position:
    """Which of how many workers."""

    worker: int
    workers: int


class SessionFiles:
    """The files of a data directory that hold sessions."""

    def __init__(self, data_dir: Path, key_file: KeyFile, *, listener: str) -> None:
        """`listener` says of the listener what a session depends on; sessions of another one can't be opened."""
        self._data_dir = data_dir
        self._key_file = key_file
        self._listener = listener

    def save(self, position: Position, state: bytes, saved_ms: int) -> None:
        """Keep a state that was sealed with `key(saved_ms)`. Raises OSError."""
        path = self._path(position)
        partial = path.with_suffix(".partial")
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(saved_ms.to_bytes(_TIME_BYTES, "big") + state)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(self._data_dir)

    def take(self, position: Position) -> tuple[int, bytes] | None:
        """When a worker's sessions were saved, and their state; it is not there any more. Raises OSError."""
        path = self._path(position)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        path.unlink()
        sync_folder(self._data_dir)
        return int.from_bytes(content[:_TIME_BYTES], "big"), content[_TIME_BYTES:]

    def key(self, saved_ms: int) -> bytes:
        """The key of a state that is saved at this time, which it so authenticates."""
        return self._key_file.derive(f"sessions of {self._listener} saved at {saved_ms}")

    def regroup(self, workers: int) -> int:
        """Share out anew what another number of workers has left; gives how many sessions. Raises OSError.

        A session with a connection ID goes to the worker that this names now. Where one without will be heard from is
        for the kernel to say: it goes to the worker of its old number, and may have to begin anew.
        """
        saved_ms = time.time_ns() // 1_000_000
        groups: dict[int, list[Association]] = {}
        for position in self._positions():
            if position.workers == workers:
                continue
            taken = self.take(position)
            if taken is None:
                continue
            old_ms, state = taken
            # Their silence goes on while nobody listens.
            age_s = max(0, saved_ms - old_ms) / 1000
            with contextlib.suppress(DecodeError):
                for association in open_state(state, self.key(old_ms), -age_s):
                    shard = shard_of(association.cid, workers) if association.cid else position.worker % workers
                    groups.setdefault(shard, []).append(association)
        for worker, associations in groups.items():
            self._add(Position(worker, workers), associations, saved_ms)
        return sum(map(len, groups.values()))

    def _add(self, position: Position, associations: Iterable[Association], saved_ms: int) -> None:
        if not self._path(position).exists():
            self.save(position, seal_state(associations, self.key(saved_ms), 0.0), saved_ms)

    def _positions(self) -> list[Position]:
        names = sorted(path.name for path in self._data_dir.glob("sessions-*-of-*.state"))
        matches = [match for name in names if (match := _NAME.fullmatch(name))]
        return [Position(int(match[1]), int(match[2])) for match in matches]

    def _path(self, position: Position) -> Path:
        return self._data_dir / f"sessions-{position.worker}-of-{position.workers}.state"
