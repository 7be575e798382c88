"""Writing certificates, keys and keystores: whole or not at all, and a key never readable by others for a moment."""

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from gateway.dtls.keyexchange import PrivateKey
from gateway.durable import lock, sync_folder
from gateway.errors import ConfigurationError, UnavailableError

PUBLIC_MODE = 0o644
"""Certificates and revocation lists: anybody may read them."""

SECRET_MODE = 0o600
"""Keys and keystores."""

FOLDER_MODE = 0o700
"""Folders that are made here. One that is there keeps its mode."""

LOCK_PATIENCE_S = 5.0
"""How long another command may be at a folder before that is said. A certificate takes a second at most."""


@contextmanager
def locked_folder(folder: Path, *, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
    """A folder to write to, made where it is missing, and no other command writing to it meanwhile.

    Raises ConfigurationError where it can't be made or written, UnavailableError where another command is at it for
    longer than `patience_s`.
    """
    try:
        for missing in [one for one in (folder, *folder.parents) if not one.exists()][::-1]:
            missing.mkdir(mode=FOLDER_MODE)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        if not lock(descriptor, patience_s=patience_s):
            raise UnavailableError(
                f"another command writes to the folder {folder} now", hint="try again when it is done"
            )
        yield
    finally:
        os.close(descriptor)


def write_public(path: Path, content: bytes) -> None:
    """Write or replace what anybody may read; raises ConfigurationError where the file can't be written."""
    _write(path, content, PUBLIC_MODE)


def write_secret(path: Path, content: bytes) -> None:
    """Write or replace what only its owner may read; raises ConfigurationError where the file can't be written."""
    _write(path, content, SECRET_MODE)


def append_public(path: Path, line: bytes) -> None:
    """Add a line, with its line break, to a file that anybody may read, made where it is missing.

    It is on the disk then, or not in the file: raises ConfigurationError. A last line without its end, which a crash
    has left, gets one first.
    """
    if not os.path.exists(path):
        write_public(path, line)
        return
    try:
        # A FIFO must not hold us until somebody reads it.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _append(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unwritable(path, error) from None


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates one after another, as servers and clients read a chain."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: PrivateKey, password: bytes | None) -> bytes:
    """A private key as PKCS#8 in PEM, encrypted where there is a password."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def pkcs12_store(alias: str, key: PrivateKey, chain: Sequence[x509.Certificate], password: str) -> bytes:
    """A PKCS#12 keystore of one entry. It has one password, which is that of its key as well."""
    encryption = BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(alias.encode(), key, chain[0], chain[1:] or None, encryption)


def jks_store(
    alias: str, key: PrivateKey, chain: Sequence[x509.Certificate], *, store_password: str, key_password: str
) -> bytes:
    """A JKS keystore of one entry. Raises ImportError where pyjks is not installed."""
    import jks

    certificates = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    entry = jks.PrivateKeyEntry.new(alias, certificates, pkcs8)
    entry.encrypt(key_password)
    content: bytes = jks.KeyStore.new("jks", [entry]).saves(store_password)
    return content


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
            with open(descriptor, "wb") as file:
                file.write(content)
                # The umask may have taken more away; a file is what it is to be before it gets its name.
                os.fchmod(descriptor, mode)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def _append(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{str(path)!r} can't be written: {error.strerror}",
        hint="let this user write there; to a command, --folder F names another folder",
    )
