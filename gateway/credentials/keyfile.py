"""The key file: the one secret that protects all others at rest (pre-shared keys, tickets, saved sessions).

It is text, 64 hex digits, so that it can be copied into a password manager. Every use derives a key of its own from it.
"""

import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.credentials.files import read_file
from gateway.durable import sync_folder
from gateway.errors import ConfigurationError

KEY_BYTES: Final = 32
"""Length of the key, and of each that is derived from it, in bytes."""

_CONTENT: Final = re.compile(rb"[0-9A-Fa-f]{64}\s{0,2}")
_LABEL: Final = b"gateway key file: "
_PLACE_HINT: Final = "set GATEWAY_KEY_FILE to a file that this user can read, or change its owner"


class KeyFile:
    """The key of one file, read once. Nothing shows it: what is needed is derived."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        """The file, for messages."""
        self._key = key

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file; make it first where it is missing, with a random key and mode 0600.

        Any number of processes may do so at the same time: one makes it, and all get the same key. Raises
        ConfigurationError where it can't be made or read, holds no key, or others may read it.
        """
        key = _read(path)
        if key is None:
            _make(path)
            key = _read(path)
        if key is None:
            raise ConfigurationError(f"key file {path} vanished while it was made", hint=_PLACE_HINT)
        return cls(path, key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file as `open` does, but raise ConfigurationError where it is missing too."""
        key = _read(path)
        if key is None:
            raise ConfigurationError(
                f"key file {path} does not exist",
                hint="restore it from a backup, or set GATEWAY_KEY_FILE; where it is lost, remove all pre-shared keys "
                "(gateway psk remove IDENTITY…) and add them anew",
            )
        return cls(path, key)

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose alone, by HKDF-Expand with SHA-256 (RFC 5869 §2.3)."""
        return HKDFExpand(hashes.SHA256(), KEY_BYTES, _LABEL + purpose.encode()).derive(self._key)

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"


def _read(path: Path) -> bytes | None:
    """The key in a file; None where there is no file."""
    if not os.path.lexists(path):
        return None
    file = read_file(path, f"key file {path}", cure_if_missing="it is a link that leads nowhere: mend or remove it")
    if file.readable_by_others:
        raise ConfigurationError(
            f"key file {path} can be read or written by other users (mode {file.mode:04o})", hint=f"chmod 600 {path}"
        )
    if not _CONTENT.fullmatch(file.data):
        raise ConfigurationError(
            f"key file {path} is damaged: it must hold {2 * KEY_BYTES} hex digits and nothing else",
            hint="restore it from a backup; without one, move it away, and add all pre-shared keys anew",
        )
    return bytes.fromhex(file.data.decode())


def _make(path: Path) -> None:
    """Put a new key into a file of that name, unless another process was faster."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written aside and then linked: under its name the file is whole from its first moment, and a link takes no
        # name that exists. mkstemp opens with O_EXCL and mode 0600.
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, path)
        finally:
            os.unlink(aside)
        sync_folder(path.parent)
    except FileExistsError:
        if not os.path.lexists(path):  # it was a folder on the way
            raise ConfigurationError(
                f"key file {path} can't be made: {path.parent} is no folder", hint=_PLACE_HINT
            ) from None
    except OSError as error:
        raise ConfigurationError(f"key file {path} can't be made: {error.strerror}", hint=_PLACE_HINT) from None
