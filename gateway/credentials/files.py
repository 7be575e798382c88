"""Files with credentials: read whole, within bounds, each way to fail with a message of its own."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from gateway.errors import ConfigurationError

MAX_FILE_BYTES = 1 << 20
"""Largest file with certificates or keys. All public CAs together take a quarter of it."""


@dataclass(frozen=True, slots=True)
class CredentialFile:
    """A file as it was when it was read."""

    path: Path
    data: bytes = field(repr=False)
    mode: int
    """Its permissions, such as 0o600."""

    @property
    def readable_by_others(self) -> bool:
        """Whether more users than its owner can do something with it."""
        return bool(self.mode & 0o077)


def read_file(
    path: Path, where: str, *, limit_bytes: int = MAX_FILE_BYTES, cure_if_missing: str = ""
) -> CredentialFile:
    """Read a file; `where` names it in messages, such as `COAP_DTLS_PEM_CERT=coapserver.pem`.

    Raises ConfigurationError where it is missing, a folder, not readable, not a regular file or too large.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"{where}: is no regular file", hint="name a file")
            data = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        refuse(error, where, cure_if_missing)
    if len(data) > limit_bytes:
        raise ConfigurationError(f"{where}: is too large", hint=f"at most {limit_bytes} bytes are read")
    return CredentialFile(path, data, stat.S_IMODE(status.st_mode))


def read_file_if_there(path: Path, where: str, *, limit_bytes: int = MAX_FILE_BYTES) -> CredentialFile | None:
    """`read_file` of what need not be there: None where it is not."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass  # reading says what is wrong
    return read_file(path, where, limit_bytes=limit_bytes)


def refuse(error: OSError | ValueError, where: str, cure_if_missing: str = "") -> NoReturn:
    """Raise the ConfigurationError that says why a file or folder could not be had."""
    if isinstance(error, FileNotFoundError):
        raise ConfigurationError(f"{where}: there is no such file", hint=cure_if_missing) from None
    if isinstance(error, IsADirectoryError):
        raise ConfigurationError(f"{where}: is a folder", hint="name a file in it") from None
    if isinstance(error, PermissionError):
        cure = "let the gateway's user read it, and only that user: chown, and chmod 600 where there is a key in it"
        raise ConfigurationError(f"{where}: may not be read by this user", hint=cure) from None
    # A ValueError: a name with a zero byte in it.
    reason = (error.strerror or "") if isinstance(error, OSError) else "no name that a file can have"
    raise ConfigurationError(f"{where}: can't be read: {reason}", hint="see what the name leads to") from None


def _open(path: str, flags: int) -> int:
    # A FIFO must not hold the gateway until somebody writes to it.
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def unwarned() -> Iterator[None]:
    """`cryptography` warns of serial numbers below one and the like, on stderr: nothing that a file should cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
