"""Whether files changed since they were looked at last: what the reload of certificates goes by."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""For each file its name, inode, size in bytes and time of change in nanoseconds; one that is not there has none."""


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """The state of these files, and of all that is in a folder among them, not below it.

    Another state is another stamp, also where a file appeared or went, or a symbolic link leads elsewhere. Never
    raises: what can't be looked at counts as not there.
    """
    return tuple(entry for path in paths for entry in _entries(str(path)))


def _entries(path: str) -> Iterable[tuple[str, int, int, int]]:
    yield from _entry(path)
    try:
        names = sorted(os.listdir(path))
    except (OSError, ValueError):  # no folder, for one; a ValueError: no name that a file can have
        return
    for name in names:
        yield from _entry(os.path.join(path, name))


def _entry(path: str) -> Iterable[tuple[str, int, int, int]]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return
    yield path, status.st_ino, status.st_size, status.st_mtime_ns
