"""Pre-shared keys: what identities and keys may be, their encryption at rest, and files of them."""

import os
import secrets
import string
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.credentials.keyfile import KeyFile
from gateway.errors import ConfigurationError, UsageError

IDENTITY_BYTES_MAX: Final = 128
"""Longest identity, in bytes of UTF-8: what RFC 4279 §5.3 asks implementations to take."""

KEY_BYTES_MIN: Final = 8
"""Shortest key, in bytes; below, a listener who recorded a handshake finds it by trying."""

KEY_BYTES_STRONG: Final = 16
"""Shortest key that needs no warning, in bytes: 128 bits (RFC 9257 §6)."""

KEY_BYTES_MAX: Final = 64
"""Longest key, in bytes: what RFC 4279 §5.3 asks implementations to take, and libcoap's clients at most."""

GENERATED_CHARACTERS: Final = 22
"""Length of a generated key: with 62 characters to choose from, 131 bits."""

_ALPHABET: Final = string.ascii_letters + string.digits
_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
_PURPOSE: Final = "pre-shared keys"


class PskSealer:
    """Encrypts pre-shared keys for the catalogue, each bound to its identity: AES-256-GCM with random nonces."""

    def __init__(self, keyfile: KeyFile) -> None:
        self._path = keyfile.path
        self._cipher = AESGCM(keyfile.derive(_PURPOSE))

    def seal(self, identity: str, key: bytes) -> bytes:
        """The key of an identity, encrypted: a format byte, the nonce, the ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, key, identity.encode())

    def open(self, identity: str, sealed: bytes) -> bytes:
        """The key of an identity that `seal` encrypted.

        Raises ConfigurationError where it was encrypted with another key file or for another identity, or is damaged.
        """
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _FORMAT or not ciphertext:
                raise InvalidTag
            return self._cipher.decrypt(nonce, ciphertext, identity.encode())
        except InvalidTag:
            raise ConfigurationError(
                f"the pre-shared key of {identity} was encrypted with another key file than {self._path}",
                hint="restore that key file, or set GATEWAY_KEY_FILE to it; "
                "where it is lost, give the identity a new key (gateway psk add IDENTITY --replace)",
            ) from None

    def holds(self, identity: str, sealed: bytes, key: bytes) -> bool:
        """Whether `sealed` is this very key of an identity; it is not where it can't be opened."""
        try:
            return self.open(identity, sealed) == key
        except ConfigurationError:
            return False

    def __repr__(self) -> str:
        return f"PskSealer({str(self._path)!r})"


def generate_key() -> bytes:
    """A random key of letters and digits.

    Not of any bytes: the clients that people try things with take a key as text (libcoap's `-k`). Not of hex digits
    either: those would be taken for the key in hex.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED_CHARACTERS)).encode()


def check_identity(identity: str) -> None:
    """Refuse an identity that could not be told from another in a log, or typed; raises UsageError.

    A backslash is refused because it introduces the bytes that are no text, wherever an identity is shown.
    """
    usable = identity and identity == identity.strip() and identity.isprintable() and "\\" not in identity
    if not usable or len(identity.encode()) > IDENTITY_BYTES_MAX:
        raise UsageError(
            f"PSK identity {identity!r:.400} is not usable",
            hint=f"an identity is 1 to {IDENTITY_BYTES_MAX} bytes of printable UTF-8, without backslashes, "
            "with no space at either end",
            field="identity",
        )


def check_key(key: bytes) -> None:
    """Refuse a key that is too short to protect anything, or longer than devices can have; raises UsageError."""
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise UsageError(
            f"a pre-shared key of {len(key)} bytes is too {'short' if len(key) < KEY_BYTES_MIN else 'long'}",
            hint=f"{KEY_BYTES_STRONG} to {KEY_BYTES_MAX} bytes are right; from {KEY_BYTES_MIN} on they are taken",
            field="key",
        )


def is_weak(key: bytes) -> bool:
    """Whether a key is taken, but shorter than it should be."""
    return len(key) < KEY_BYTES_STRONG


def key_of_file(content: bytes) -> bytes:
    """The key in a file that holds nothing else: as it is, but for the end of a text's only line."""
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    # A key of any bytes may end in what would be a line's end in a text.
    return line if line.isascii() and line.decode().isprintable() else content


def parse_psk_lines(text: str) -> list[tuple[str, bytes]]:
    """Identities with their keys, from lines of `identity:hexkey`; the last colon separates.

    Empty lines are skipped, and those that begin with `#`. Raises UsageError with the line's number, and never with the
    key, for a line of another form, an identity or key that is not usable, and an identity that comes twice.
    """
    found: dict[str, tuple[int, bytes]] = {}
    for number, line in _lines(text):
        identity, colon, digits = (part.strip() for part in line.rpartition(":"))
        if not colon:
            raise UsageError(f"line {number} has no colon", hint="write each as IDENTITY:KEY, with the key in hex")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            raise UsageError(
                f"line {number}: what stands behind the last colon is no key in hex",
                hint="write each as IDENTITY:KEY, the key with two hex digits a byte",
            ) from None
        try:
            check_identity(identity)
            check_key(key)
        except UsageError as error:
            raise UsageError(f"line {number}: {error.message}", hint=error.hint) from None
        if identity in found:
            raise UsageError(
                f"line {number}: identity {identity} stands in line {found[identity][0]} already",
                hint="an identity has one key: remove one of the lines",
            )
        found[identity] = number, key
    return [(identity, key) for identity, (_, key) in found.items()]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(): it would also split at characters that an identity must be refused for.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line
