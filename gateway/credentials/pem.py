"""Certificates, revocation lists and private keys in PEM (RFC 7468, and what openssl wrote before it) or DER.

Text around the blocks is ignored, and so are blocks of other kinds, such as EC PARAMETERS.
"""

import binascii
import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.credentials.der import SEQUENCE, beginning, is_whole
from gateway.credentials.files import CredentialFile, read_file, unwarned
from gateway.credentials.identity import LoadedIdentity, identity_of, refuse_key
from gateway.dtls.trust_certificates import UNREADABLE
from gateway.errors import ConfigurationError

PEM_MARK = b"-----BEGIN "
"""What every PEM file has somewhere."""

CRL_MARK = b"-----BEGIN X509 CRL-----"

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CERTIFICATE = ("CERTIFICATE", "X509 CERTIFICATE")
_CRL = ("X509 CRL",)
_KEY = "PRIVATE KEY"
"""How the labels of all private keys end: PKCS#8, encrypted PKCS#8, SEC1 (EC), PKCS#1 (RSA)."""

_Loaded = TypeVar("_Loaded", x509.Certificate, x509.CertificateRevocationList)


@dataclass(frozen=True, slots=True)
class PemNames:
    """How messages call the files and the password: variables or options."""

    certificate: str = "--cert"
    key: str = "--key"
    password: str = "--key-password"
    cure_if_missing: str = "`gateway certs client` makes a certificate with its key"


@dataclass(frozen=True, slots=True)
class _Block:
    label: str
    body: bytes = field(repr=False)
    """The lines between the marks: headers, if any, and base64."""

    @property
    def text(self) -> bytes:
        """The block as a file of its own."""
        label = self.label.encode()
        return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, self.body, label)

    @property
    def encrypted(self) -> bool:
        """Whether it is a key that takes a password: PKCS#8, or the older way with headers (RFC 1421 §4.6.1.1)."""
        return self.label == "ENCRYPTED PRIVATE KEY" or self.body.startswith(b"Proc-Type: 4,ENCRYPTED")

    def der(self) -> bytes:
        """What the base64 says. Raises ValueError where it is none."""
        return b64decode(self.body.translate(None, b"\n \t"), validate=True)


def read_certificates(data: bytes, where: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, in its order, or the one that is in DER; at least one.

    Raises ConfigurationError where there is none, or one is damaged. `where` begins the messages.
    """
    return _read(data, where, "certificate", _CERTIFICATE, x509.load_der_x509_certificate)


def read_crls(data: bytes, where: str) -> list[x509.CertificateRevocationList]:
    """The certificate revocation lists of a PEM file, or the one that is in DER; raises as `read_certificates`."""
    return _read(data, where, "certificate revocation list", _CRL, x509.load_der_x509_crl)


def load_identity(
    certificate_file: Path, key_file: Path | None, password: bytes | None, *, names: PemNames | None = None
) -> LoadedIdentity:
    """A certificate chain with its key, in one file or two.

    Without `key_file`, or where there is none by that name or no key in it, the key is taken from the certificate's
    file. A password that is not needed is ignored. Raises ConfigurationError.
    """
    names = names or PemNames()
    certificate_where = f"{names.certificate}={certificate_file}"
    held = read_file(certificate_file, certificate_where, cure_if_missing=names.cure_if_missing)
    certificates = read_certificates(held.data, certificate_where)
    holder, key_where, notes = _key_holder(held, certificate_where, key_file, names)
    block = next(_keys(holder.data, key_where))
    if password and not block.encrypted:
        notes.append(f"{names.password} is not needed, and ignored: the key in {holder.path} is not encrypted")
    key = _read_key(block, password or None, key_where, names.password)
    loaded = identity_of(key, certificates, holder, key_where=key_where, certificate_where=certificate_where)
    return replace(loaded, notes=(*notes, *loaded.notes))


def _key_holder(
    held: CredentialFile, certificate_where: str, key_file: Path | None, names: PemNames
) -> tuple[CredentialFile, str, list[str]]:
    """The file that holds the key, what to call it, and what is to be noted about that."""
    in_certificate_file = any(_keys(held.data, certificate_where))
    if key_file is None:
        if not in_certificate_file:
            hint = f"name the key's file with {names.key}"
            raise ConfigurationError(f"{certificate_where}: holds no private key", hint=hint)
        return held, certificate_where, []
    key_where = f"{names.key}={key_file}"
    if in_certificate_file and not os.path.exists(key_file):
        return held, certificate_where, [f"{key_where}: there is no such file; the key is taken from {held.path}"]
    holder = read_file(key_file, key_where, cure_if_missing=names.cure_if_missing)
    if any(_keys(holder.data, key_where)):
        return holder, key_where, []
    if in_certificate_file:
        return held, certificate_where, [f"{key_where}: holds no private key; it is taken from {held.path}"]
    raise ConfigurationError(
        f"{key_where}: holds no private key{_instead(holder.data, key_where)}, and {certificate_where} none either",
        hint="name the file with -----BEGIN … PRIVATE KEY-----",
    )


def _read_key(block: _Block, password: bytes | None, where: str, password_name: str) -> object:
    if block.label == "OPENSSH PRIVATE KEY":
        cure = "convert it with: ssh-keygen -p -m PKCS8 -f FILE"
        raise ConfigurationError(f"{where}: the private key is in OpenSSH's own format", hint=cure)
    if block.encrypted and password is None:
        raise ConfigurationError(f"{where}: the private key is encrypted", hint=f"set {password_name}")
    damaged = ConfigurationError(f"{where}: the private key is damaged", hint="restore the file from a copy")
    if block.label == "ENCRYPTED PRIVATE KEY" and not _whole(block):
        raise damaged
    try:
        return load_pem_private_key(block.text, password if block.encrypted else None)
    except UnsupportedAlgorithm:
        refuse_key("of a kind, or encrypted in a way, that is not known", where)
    except (ValueError, TypeError):
        if not block.encrypted:
            raise damaged from None
        raise ConfigurationError(
            f"{where}: the private key can't be decrypted: {password_name} is wrong", hint=f"set {password_name}"
        ) from None


def _whole(block: _Block) -> bool:
    try:
        return is_whole(block.der())
    except ValueError:
        return False


def _read(
    data: bytes, where: str, what: str, labels: tuple[str, ...], load: Callable[[bytes], _Loaded]
) -> list[_Loaded]:
    if PEM_MARK not in data:
        if beginning(data)[:1] != bytes((SEQUENCE,)):
            raise ConfigurationError(f"{where}: holds no {what}", hint="PEM and DER are taken")
        return [_load(data, where, what, load)]
    found: list[_Loaded] = []
    for block in _blocks(data, where):
        if block.label in labels:
            title = f"{what} {len(found) + 1}"
            try:
                der = block.der()
            except binascii.Error:
                raise ConfigurationError(f"{where}: {title} is damaged: no base64", hint="export it again") from None
            found.append(_load(der, where, title, load))
    if not found:
        raise ConfigurationError(f"{where}: holds no {what}{_instead(data, where)}", hint="name a file that does")
    return found


def _load(der: bytes, where: str, what: str, load: Callable[[bytes], _Loaded]) -> _Loaded:
    try:
        with unwarned():
            return load(der)
    except (*UNREADABLE, x509.InvalidVersion):
        cut = "" if is_whole(der) else ": cut short, or something follows it"
        raise ConfigurationError(f"{where}: {what} is damaged{cut}", hint="export or copy it again") from None


def _keys(data: bytes, where: str) -> Iterator[_Block]:
    return (block for block in _blocks(data, where) if block.label.endswith(_KEY))


def _instead(data: bytes, where: str) -> str:
    """What a file holds in place of what was looked for."""
    labels = list(dict.fromkeys(block.label for block in _blocks(data, where)))[:5]
    return f", only {', '.join(labels)}" if labels else ""


def _blocks(data: bytes, where: str) -> Iterator[_Block]:
    """The PEM blocks of a file. Raises ConfigurationError at one that does not end."""
    label, begun = "", 0
    body: list[bytes] = []
    for number, line in _lines(data.removeprefix(_BYTE_ORDER_MARK)):
        begin = _BEGIN.fullmatch(line)
        if begin is not None and not label:
            label, begun, body = begin[1].decode(), number, []
        elif begin is not None:
            break
        elif label and line == f"-----END {label}-----".encode():
            yield _Block(label, b"\n".join(body))
            label = ""
        elif label:
            body.append(line)
    if label:
        raise ConfigurationError(
            f"{where}: is damaged: the {label} that begins in line {begun} does not end", hint="export or copy it again"
        )


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.splitlines(), start=1):
        # Two files put together, the first of them without a newline at its end.
        for part in line.replace(b"----------BEGIN ", b"-----\n-----BEGIN ").split(b"\n"):
            yield number, part.strip()
