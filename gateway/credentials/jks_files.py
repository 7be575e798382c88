"""JKS files through pyjks, which is not there everywhere: a dependency of it has to be compiled.

pyjks 20 reads the file, but its own way to decrypt a key fails on what a current JDK writes, an algorithm without
parameters. So the key's wrapping is parsed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from gateway.credentials.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element
from gateway.credentials.files import CredentialFile
from gateway.errors import ConfigurationError

_KEY_PROTECTOR = bytes.fromhex("2b060104012a02110101")
"""1.3.6.1.4.1.42.2.17.1.1, Sun's own algorithm: the one that there is in JKS files."""

_MIN_CIPHERTEXT_BYTES = 40
"""The salt before the key and the digest behind it, SHA-1 both."""


@dataclass(frozen=True, slots=True)
class JksKey:
    """A private key entry."""

    chain: tuple[bytes, ...]
    """DER."""
    wrapped: bytes = field(repr=False)

    def decrypt(self, password: str, where: str) -> bytes | None:
        """The key in PKCS#8; None: the password is wrong. Raises ConfigurationError where the entry is damaged."""
        from jks.sun_crypto import jks_pkey_decrypt
        from jks.util import BadHashCheckException

        try:
            ciphertext = _ciphertext(self.wrapped)
        except ValueError:
            raise ConfigurationError(
                f"{where}: the key is damaged, or encrypted in a way that is not known", hint="make the keystore again"
            ) from None
        try:
            return cast(bytes, jks_pkey_decrypt(ciphertext, password))
        except (BadHashCheckException, UnicodeEncodeError):
            return None


@dataclass(frozen=True, slots=True)
class JksFile:
    """The entries of a JKS file by alias."""

    keys: Mapping[str, JksKey]
    trusted: Mapping[str, bytes]
    """Certificates in DER."""


class _Entry(Protocol):
    """What is used of pyjks's entries: those of keys have a chain, the others one certificate."""

    cert_chain: list[tuple[str, bytes]]
    cert: bytes
    _encrypted: bytes


def read_jks(file: CredentialFile, where: str, password: str, password_name: str, conversion: str) -> JksFile:
    """Read a JKS file and check its integrity. `conversion`: the cure where pyjks is not installed.

    Raises ConfigurationError: pyjks is missing, the file is damaged, the password is wrong.
    """
    try:
        import jks
    except ImportError:
        raise ConfigurationError(
            f"{where}: is a JKS keystore, and reading those takes pyjks, which is not installed",
            hint=f"pip install 'pyjks>=20,<21' (it takes a C compiler), or {conversion}",
        ) from None
    try:
        store = jks.KeyStore.loads(file.data, password, try_decrypt_keys=False)
    except (jks.util.KeystoreSignatureException, UnicodeEncodeError):
        raise ConfigurationError(
            f"{where}: can't be opened: {password_name} is wrong, or the file is damaged", hint=f"set {password_name}"
        ) from None
    except jks.util.KeystoreException:
        raise ConfigurationError(f"{where}: is damaged", hint="copy it again, or make another") from None
    keys, trusted = {}, {}
    entries: Mapping[str, _Entry] = store.entries
    for alias, entry in entries.items():
        if isinstance(entry, jks.PrivateKeyEntry):
            keys[alias] = JksKey(tuple(der for _, der in entry.cert_chain), entry._encrypted)
        else:
            trusted[alias] = entry.cert
    return JksFile(keys, trusted)


def _ciphertext(wrapped: bytes) -> bytes:
    """The encrypted key in an EncryptedPrivateKeyInfo (RFC 5958 §3). Raises ValueError for anything else."""
    info = element(wrapped)
    algorithm = element(info.content)
    identifier = element(algorithm.content)
    encrypted = element(info.content, algorithm.end)
    tags = (info.tag, algorithm.tag, identifier.tag, encrypted.tag)
    if tags != (SEQUENCE, SEQUENCE, OBJECT_IDENTIFIER, OCTET_STRING):
        raise ValueError("no EncryptedPrivateKeyInfo")
    if identifier.content != _KEY_PROTECTOR or len(encrypted.content) < _MIN_CIPHERTEXT_BYTES:
        raise ValueError("not as JKS files have it")
    return encrypted.content
