"""The server's keystores beside its PEM files: the same certificate and key, as Java programs read them."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509

from gateway.credentials.files import read_file
from gateway.credentials.folder import Change, Issued
from gateway.credentials.keystores import KeyAccess, load_key
from gateway.credentials.writing import jks_store, pkcs12_store, write_secret
from gateway.errors import ConfigurationError
from gateway.settings import Settings


def jks_available() -> bool:
    """Whether JKS keystores can be written: pyjks is an extra."""
    return find_spec("jks") is not None


def write_keystores(issued: Issued, settings: Settings) -> Iterator[tuple[Path, Change]]:
    """Write `coapserver.jks` and `coapserver.p12`, with the alias and the passwords of the settings.

    One that holds the certificate is kept, one that holds another of the same authority is replaced. Raises
    ConfigurationError for any other: it is not ours. Without pyjks there is no JKS.
    """
    access = KeyAccess(
        settings.coap_dtls_key_alias,
        settings.coap_dtls_key_store_password.get_secret_value(),
        settings.coap_dtls_key_password.get_secret_value(),
    )

    def jks() -> bytes:
        passwords = {"store_password": access.store_password, "key_password": access.key_password}
        return jks_store(access.alias, issued.key, issued.chain, **passwords)

    def pkcs12() -> bytes:
        return pkcs12_store(access.alias, issued.key, issued.chain, access.store_password)

    if jks_available():
        yield _write(issued.certificate_file.with_suffix(".jks"), jks, issued.certificate, access)
    yield _write(issued.certificate_file.with_suffix(".p12"), pkcs12, issued.certificate, access)


def _write(
    path: Path, content: Callable[[], bytes], certificate: x509.Certificate, access: KeyAccess
) -> tuple[Path, Change]:
    held = _held(path, access) if path.exists() else None
    if held == certificate:
        return path, Change.KEPT
    if held is not None and held.issuer != certificate.issuer:
        raise ConfigurationError(f"{str(path)!r} holds a certificate of another authority", hint=_CURE)
    write_secret(path, content())
    return path, Change.MADE if held is None else Change.RENEWED


def _held(path: Path, access: KeyAccess) -> x509.Certificate:
    try:
        return load_key(read_file(path, str(path)), str(path), access).certificate
    except ConfigurationError as error:
        raise ConfigurationError(error.message, hint=f"{error.hint}; or {_CURE}") from None


_CURE = "move it away: then it is made anew"
