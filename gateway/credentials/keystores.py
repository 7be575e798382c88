"""Java's keystores: JKS through pyjks, PKCS#12 (RFC 7292) through `cryptography`.

What a file is, its first bytes tell, not its name: a current keytool writes PKCS#12 into files named .jks. Aliases are
compared without regard to case, as keytool does. Passwords in messages are named, never shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates, load_pkcs12

from gateway.credentials.der import SEQUENCE, beginning, is_whole
from gateway.credentials.files import CredentialFile, unwarned
from gateway.credentials.identity import ALLOWED_KEYS, LoadedIdentity, identity_of, read_pkcs8
from gateway.credentials.jks_files import JksFile, read_jks
from gateway.credentials.pem import PEM_MARK
from gateway.dtls.trust_certificates import UNREADABLE
from gateway.errors import ConfigurationError

_JKS, _JCEKS = bytes.fromhex("feedfeed"), bytes.fromhex("cececece")

_PFX_VERSION = bytes.fromhex("020103")
"""How a PKCS#12 file begins (RFC 7292 §4), where a certificate has a SEQUENCE and a bare key a lower version."""

_UNNAMED_ALIAS = "1"
"""What Java calls the first key in a PKCS#12 file that has no name: openssl writes none unless told to."""


class Kind(StrEnum):
    """What a keystore is inside, by the names that COAP_DTLS_KEY_STORE_TYPE takes."""

    JKS = "JKS"
    PKCS12 = "PKCS12"


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """Which key is wanted, and the passwords; the names are those of their variables."""

    alias: str
    store_password: str = field(repr=False)
    key_password: str = field(repr=False)
    alias_name: str = "COAP_DTLS_KEY_ALIAS"
    store_password_name: str = "COAP_DTLS_KEY_STORE_PASSWORD"
    key_password_name: str = "COAP_DTLS_KEY_PASSWORD"


@dataclass(frozen=True, slots=True)
class TrustedCertificates:
    """The certificates that a trust store says are trusted."""

    certificates: tuple[x509.Certificate, ...]
    findings: tuple[str, ...] = ()


def kind_of(data: bytes) -> Kind | None:
    """What kind of keystore these bytes begin; None: none that is read here."""
    if data.startswith(_JKS):
        return Kind.JKS
    return Kind.PKCS12 if beginning(data) == _PFX_VERSION else None


def refuse_jceks(file: CredentialFile, where: str) -> None:
    """Raise ConfigurationError for a keystore of the kind JCEKS."""
    if file.data.startswith(_JCEKS):
        raise ConfigurationError(f"{where}: is a JCEKS keystore, which is not read here", hint=_conversion(file.path))


def load_key(file: CredentialFile, where: str, access: KeyAccess) -> LoadedIdentity:
    """The key of an alias with its certificate chain, from a keystore of either kind.

    Raises ConfigurationError: no keystore, damaged, a password is wrong, no such alias, no key under it, and whatever
    `identity_of` raises.
    """
    refuse_jceks(file, where)
    kind = kind_of(file.data)
    if kind is None:
        raise ConfigurationError(f"{where}: is no keystore{_looks_like(file.data)}", hint=_other_cure(file.data))
    return (_jks_key if kind is Kind.JKS else _pkcs12_key)(file, where, access)


def read_trusted(file: CredentialFile, where: str, password: str, password_name: str) -> TrustedCertificates:
    """The trusted certificates of a JKS or PKCS#12 file. Those of its keys are not: having one is not trusting it.

    Raises ConfigurationError: damaged, wrong password, no trusted certificate.
    """
    if kind_of(file.data) is Kind.JKS:
        store = read_jks(file, where, password, password_name, _conversion(file.path))
        certificates = [_certificate(der, f"{where}, alias {alias!r}") for alias, der in store.trusted.items()]
        owners = [f"{alias!r}" for alias in store.keys]
        finding = f"{where}: certificates of keys are not trusted: {', '.join(owners)}"
    else:
        pkcs12 = _open_pkcs12(file, where, password, password_name)
        certificates = [entry.certificate for entry in pkcs12.additional_certs]
        owners = [f"{_key_alias(pkcs12)!r}"] if pkcs12.key is not None else []
        # Which of them are its chain can't be told.
        finding = f"{where}: the certificate of the key {''.join(owners)} is not trusted, all others in it are"
    if not certificates:
        held = f", only keys: {', '.join(owners)}" if owners else ""
        cure = f"keytool -importcert -alias ca -file ca.pem -keystore {file.path}"
        raise ConfigurationError(f"{where}: holds no trusted certificate{held}", hint=cure)
    return TrustedCertificates(tuple(certificates), (finding,) if owners else ())


# -- JKS -----------------------------------------------------------------------------------------


def _jks_key(file: CredentialFile, where: str, access: KeyAccess) -> LoadedIdentity:
    store = read_jks(file, where, access.store_password, access.store_password_name, _conversion(file.path))
    alias = _find(access.alias, list(store.keys), list(store.trusted), where, access.alias_name)
    entry_where = f"{where}, alias {alias}"
    key, notes = _decrypt_jks(store, alias, entry_where, access)
    certificates = [_certificate(der, entry_where) for der in store.keys[alias].chain]
    if not certificates:
        raise ConfigurationError(f"{entry_where}: the key has no certificate", hint="gateway certs server")
    loaded = identity_of(key, certificates, file, key_where=entry_where, certificate_where=entry_where)
    return replace(loaded, notes=(*notes, *loaded.notes))


def _decrypt_jks(store: JksFile, alias: str, where: str, access: KeyAccess) -> tuple[object, list[str]]:
    # keytool gives a key the store's password where it is not told another.
    for password in (access.key_password, access.store_password):
        der = store.keys[alias].decrypt(password, where)
        if der is not None:
            key = read_pkcs8(der, where)
            if password == access.key_password:
                return key, []
            name = access.key_password_name
            return key, [f"{name} is not needed, and ignored: the key's password is the keystore's"]
    raise ConfigurationError(
        f"{where}: the key can't be decrypted: {access.key_password_name} is wrong",
        hint=f"set {access.key_password_name}",
    )


def _certificate(der: bytes, where: str) -> x509.Certificate:
    try:
        with unwarned():
            return x509.load_der_x509_certificate(der)
    except (*UNREADABLE, x509.InvalidVersion):
        raise ConfigurationError(f"{where}: the certificate is damaged", hint="import it again") from None


# -- PKCS#12 -------------------------------------------------------------------------------------


def _pkcs12_key(file: CredentialFile, where: str, access: KeyAccess) -> LoadedIdentity:
    store = _open_pkcs12(file, where, access.store_password, access.store_password_name)
    keys = [_key_alias(store)] if store.key is not None else []
    names = [_text(entry.friendly_name) for entry in store.additional_certs if entry.friendly_name]
    one_only = (
        f"; of several keys in a PKCS#12 file one is read: keytool -importkeystore -srcalias {access.alias} … "
        "puts another in a file of its own"
    )
    alias = _find(access.alias, keys, names, where, access.alias_name, one_only)
    entry_where = f"{where}, alias {alias}"
    certificates = [entry.certificate for entry in (store.cert, *store.additional_certs) if entry is not None]
    if not certificates:
        raise ConfigurationError(f"{entry_where}: the key has no certificate", hint="gateway certs server")
    loaded = identity_of(store.key, certificates, file, key_where=entry_where, certificate_where=entry_where)
    if access.key_password == access.store_password:
        return loaded
    # Both passwords have defaults, which differ.
    note = f"{access.key_password_name} is not needed, and ignored: in PKCS#12 a key's password is the keystore's"
    return replace(loaded, notes=(note, *loaded.notes))


def _open_pkcs12(file: CredentialFile, where: str, password: str, password_name: str) -> PKCS12KeyAndCertificates:
    if not is_whole(file.data):
        raise ConfigurationError(f"{where}: is damaged: cut short, or something follows it", hint="copy it again")
    try:
        with unwarned():
            return load_pkcs12(file.data, password.encode("utf-8", "surrogateescape"))
    except UnsupportedAlgorithm:
        raise ConfigurationError(
            f"{where}: holds a key of a kind or curve that is not known", hint=f"take one of: {ALLOWED_KEYS}"
        ) from None
    except (*UNREADABLE, x509.InvalidVersion):
        raise ConfigurationError(
            f"{where}: can't be opened: {password_name} is wrong, or the file is damaged", hint=f"set {password_name}"
        ) from None


def _key_alias(store: PKCS12KeyAndCertificates) -> str:
    name = store.cert.friendly_name if store.cert is not None else None
    return _text(name) if name else _UNNAMED_ALIAS


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


# -- what both have ------------------------------------------------------------------------------


def _find(
    alias: str, keys: Sequence[str], certificates: Sequence[str], where: str, alias_name: str, cure: str = ""
) -> str:
    """The alias as the store writes it. Raises ConfigurationError where no key is found under it.

    `cure` adds to the hint where there is a certificate of that alias.
    """
    for found in keys:
        if found.lower() == alias.lower():
            return found
    there = ", ".join(sorted({f"{one!r}" for one in keys})) or "none"
    hint = f"set {alias_name} to the alias of a key; there are: {there}"
    if alias.lower() in [name.lower() for name in certificates]:
        raise ConfigurationError(
            f"{where}: no key is found under the alias {alias!r}, but a certificate", hint=hint + cure
        )
    others = ", ".join(sorted({f"{one!r}" for one in certificates}))
    raise ConfigurationError(
        f"{where}: there is no alias {alias!r}", hint=hint + (f"; certificates without key: {others}" if others else "")
    )


def _conversion(path: Path) -> str:
    return f"convert it: keytool -importkeystore -srckeystore {path} -destkeystore {path}.p12 -deststoretype PKCS12"


def _looks_like(data: bytes) -> str:
    if PEM_MARK in data:
        return ", but PEM"
    return ", but a certificate in DER" if beginning(data)[:1] == bytes((SEQUENCE,)) else ""


def _other_cure(data: bytes) -> str:
    if PEM_MARK in data:
        return "set COAP_DTLS_CREDENTIALS_TYPE=PEM and COAP_DTLS_PEM_CERT"
    return "JKS and PKCS#12 are read; `gateway certs server` makes both"
