"""A file of lines that becomes no larger than it should, survives crashes, and may be moved away at any time.

A line is in it whole or not at all: what a crash or a full disk left of one is cut off. While it is written it is
locked, so that `gateway check` and a second gateway don't take a line that is being written for a torn one.
"""

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.durable import sync_folder
from gateway.sinks.sink import SinkError, Taken, Trouble

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

MARK: Final = b'{"id":"'
"""How each line of `as_json` begins. What begins otherwise is not ours to cut off."""

LOCK_PATIENCE_S: Final = 2.0
"""How long another process may hold the file before that is trouble."""

LONGEST_TORN_BYTES: Final = 256 << 20
"""How far back the last line's beginning is looked for: further than any record's."""

_BLOCK_BYTES: Final = 1 << 16
_PAUSE_S: Final = 0.005

_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_NOT_ALLOWED: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_WRONG_NAME: Final = frozenset((errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO))

_log = logging.getLogger(__name__)


class LinesFile:
    """Appends lines to a file, durably; where it would grow beyond `max_bytes`, renames it to `.1`, `.1` to `.2` …

    `files` renamed ones are kept; with 0, a full file is deleted. Where one is missing the others move up to it and no
    further. One line that is longer than `max_bytes` gets a file of its own. All methods raise SinkError.
    """

    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor = -1

    def open(self) -> None:
        """Open or make it, and cut off what is torn."""
        with self._locked():
            pass

    def close(self) -> None:
        """Close it; it may be opened again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, lines: Sequence[bytes], written: Taken) -> None:
        """Write lines, each with its line break; `written` with how many of them are on the disk."""
        done = 0
        with self._locked() as size:
            while done < len(lines):
                end = self._end(lines, done, size)
                if end == done:
                    self._rotate()
                    size = self._enter()
                    continue
                size = self._write(b"".join(lines[done:end]), size)
                done = end
                written(done)

    def _end(self, lines: Sequence[bytes], start: int, size: int) -> int:
        """How far the lines from `start` on fit into a file that has so many bytes."""
        room, end = self._max_bytes - size, start
        while end < len(lines) and len(lines[end]) <= room:
            room -= len(lines[end])
            end += 1
        return end + 1 if end == start and not size else end

    def _write(self, data: bytes, size: int) -> int:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError:
            with suppress(OSError):  # the next to open it cuts off what is torn
                os.ftruncate(self._descriptor, size)
            raise
        return size + len(data)

    def _rotate(self) -> None:
        if self._files == 0:
            self._path.unlink()
        else:
            free = next((n for n in range(1, self._files) if not self._kept(n).exists()), self._files)
            for number in range(free, 1, -1):
                os.replace(self._kept(number - 1), self._kept(number))
            os.replace(self._path, self._kept(1))
        self.close()

    def _kept(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file that has the name now, for us alone; gives its size. What the system says becomes a SinkError."""
        try:
            try:
                yield self._enter()
            finally:
                if self._descriptor >= 0:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except (OSError, ValueError) as error:
            self.close()
            raise self._trouble(error) from error

    def _enter(self) -> int:
        deadline_s = time.monotonic() + LOCK_PATIENCE_S
        while True:
            if self._descriptor < 0:
                self._descriptor = self._open()
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    hint = "see who has it open: fuser -v FILE"
                    raise SinkError(Trouble.BUSY, f"{self._path}: another process holds it", hint=hint) from None
                time.sleep(_PAUSE_S)
                continue
            if self._has_the_name():
                return self._mend()
            self.close()  # logrotate, say, moved it away

    def _open(self) -> int:
        folder = self._path.parent
        for missing in [one for one in (folder, *folder.parents) if not one.exists()][::-1]:
            missing.mkdir(mode=FOLDER_MODE, exist_ok=True)
        # A FIFO must not hold us until somebody reads it.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(self._path, flags, FILE_MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                hint = "name a file, or - for standard output"
                raise SinkError(Trouble.MISCONFIGURED, f"{self._path}: is no regular file", hint=hint)
            sync_folder(folder)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _has_the_name(self) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))

    def _mend(self) -> int:
        """Cut off a last line that has no end; the size then."""
        size = os.fstat(self._descriptor).st_size
        whole = self._whole_bytes(size)
        if whole == size:
            return size
        head = os.pread(self._descriptor, len(MARK), whole).rstrip(b"\0")  # zeros: what a power cut leaves
        if not MARK.startswith(head):
            raise SinkError(
                Trouble.MISCONFIGURED,
                f"{self._path}: ends with something that the gateway did not write",
                hint="name a file of its own in GATEWAY_JSONL_SINK_PATH",
            )
        os.ftruncate(self._descriptor, whole)
        os.fsync(self._descriptor)
        _log.warning(
            "%s: a torn last line of %d bytes is cut off; its report is written again", self._path, size - whole
        )
        return whole

    def _whole_bytes(self, size: int) -> int:
        """Up to and with the last line break."""
        if not size or os.pread(self._descriptor, 1, size - 1) == b"\n":
            return size
        at, limit = size, max(0, size - LONGEST_TORN_BYTES)
        while at > limit:
            begin = max(limit, at - _BLOCK_BYTES)
            found = os.pread(self._descriptor, at - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            at = begin
        return at

    def _trouble(self, error: OSError | ValueError) -> SinkError:
        reason = (error.strerror or "") if isinstance(error, OSError) else "no name that a file can have"
        number = error.errno if isinstance(error, OSError) else errno.ENAMETOOLONG
        message = f"{self._path}: can't be written: {reason}"
        if number in _NO_ROOM:
            hint = "make room there, or lower GATEWAY_JSONL_SINK_MAX_BYTES or GATEWAY_JSONL_SINK_FILES"
            return SinkError(Trouble.UNREACHABLE, message, hint=hint)
        if number in _NOT_ALLOWED:
            hint = "let the gateway's user write the file and its folder"
            return SinkError(Trouble.REFUSED, message, hint=hint)
        if number in _WRONG_NAME:
            hint = "set GATEWAY_JSONL_SINK_PATH to the name of a file"
            return SinkError(Trouble.MISCONFIGURED, message, hint=hint)
        return SinkError(Trouble.UNREACHABLE, message, hint="see whether its disk is there and sound")
