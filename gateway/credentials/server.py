"""The DTLS server's own certificate and key, from PEM files or a keystore, as COAP_DTLS_* say."""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from gateway.credentials.files import read_file, unwarned
from gateway.credentials.identity import LoadedIdentity
from gateway.credentials.keystores import KeyAccess, kind_of, load_key
from gateway.credentials.pem import PemNames, load_identity
from gateway.dtls.config import Identity
from gateway.errors import ConfigurationError
from gateway.settings import CredentialsType, Settings

EXPIRY_WARNING_DAYS = 30
"""So long before its end the operator is told."""

_CURE = (
    "`gateway certs server` makes certs/coapserver.pem and its key and prints the settings that name them; "
    "a relative name is looked for in the current folder"
)
_PEM_NAMES = PemNames("COAP_DTLS_PEM_CERT", "COAP_DTLS_PEM_KEY", "COAP_DTLS_PEM_KEY_PASSWORD", _CURE)
_INFERRED = (
    "COAP_DTLS_CREDENTIALS_TYPE is not set, but variables of a keystore are: the keystore is used; "
    "set COAP_DTLS_CREDENTIALS_TYPE to KEYSTORE or PEM to say which is meant"
)
_PEM_FIELDS = frozenset(("coap_dtls_pem_cert", "coap_dtls_pem_key"))
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ServerCredentials:
    """What the server shows its clients, and what there is to say about it."""

    identity: Identity = field(repr=False)
    certificate: x509.Certificate
    """The leaf."""
    source: str
    """Where it came from, such as `coapserver.jks, alias serveralias`."""
    findings: tuple[str, ...] = ()
    """What the operator should know."""
    notes: tuple[str, ...] = ()
    """What was ignored or put right: for the log at debug level."""
    files: tuple[Path, ...] = ()
    """Files that are to be watched for changes, be they there or not."""

    @property
    def first_expiry_s(self) -> float:
        """When the first certificate of the chain expires, in seconds since 1970."""
        return min(certificate.not_valid_after_utc.timestamp() for certificate in _chain(self.identity))


def load_server_credentials(settings: Settings, *, now_s: float) -> ServerCredentials:
    """Read the server's certificate and key. `now_s`: seconds since 1970.

    Raises ConfigurationError, with a message of its own for each thing that can be wrong. A certificate that has
    expired is a finding: whether it will do is for clients to say.
    """
    if settings.credentials_type is CredentialsType.PEM:
        loaded, source = _from_pem(settings), str(settings.coap_dtls_pem_cert)
        key_name = "COAP_DTLS_PEM_KEY"
        files: tuple[Path, ...] = (settings.coap_dtls_pem_cert, settings.coap_dtls_pem_key)
    else:
        loaded = _from_keystore(settings)
        source = f"{settings.coap_dtls_key_store}, alias {settings.coap_dtls_key_alias}"
        key_name = "COAP_DTLS_KEY_STORE"
        files = (settings.coap_dtls_key_store,)
    findings = [_INFERRED] if settings.keystore_is_inferred else []
    findings += _validity(loaded, source, now_s)
    holder = loaded.key_file
    if holder.readable_by_others:
        findings.append(
            f"{key_name}: the key in {holder.path} is open to other users (mode {holder.mode:04o}): "
            f"chmod 600 {holder.path}"
        )
    return ServerCredentials(loaded.identity, loaded.certificate, source, tuple(findings), loaded.notes, files)


def _from_pem(settings: Settings) -> LoadedIdentity:
    password = settings.coap_dtls_pem_key_password.get_secret_value().encode("utf-8", "surrogateescape")
    return load_identity(settings.coap_dtls_pem_cert, settings.coap_dtls_pem_key, password, names=_PEM_NAMES)


def _from_keystore(settings: Settings) -> LoadedIdentity:
    access = KeyAccess(
        settings.coap_dtls_key_alias,
        settings.coap_dtls_key_store_password.get_secret_value(),
        settings.coap_dtls_key_password.get_secret_value(),
    )
    path = settings.coap_dtls_key_store
    where = f"COAP_DTLS_KEY_STORE={path}"
    try:
        file = read_file(path, where, cure_if_missing=_CURE)
        loaded = load_key(file, where, access)
    except ConfigurationError as error:
        # Where the keystore is there, and nothing of PEM is set, a keystore is what was meant.
        doubtful = not os.path.exists(path) or not _PEM_FIELDS.isdisjoint(settings.model_fields_set)
        if not (settings.keystore_is_inferred and doubtful):
            raise
        raise ConfigurationError(error.message, hint=f"{error.hint}\n{_INFERRED}") from None
    kind = kind_of(file.data)
    if kind == settings.coap_dtls_key_store_type:
        return loaded
    note = f"{where}: is {kind} inside, and read as that, not as COAP_DTLS_KEY_STORE_TYPE says"
    return replace(loaded, notes=(note, *loaded.notes))


def _validity(loaded: LoadedIdentity, source: str, now_s: float) -> list[str]:
    """What there is to say about the dates of the certificates, the leaf first."""
    found = []
    for certificate in _chain(loaded.identity):
        title = f"{source}: the certificate {certificate.subject.rfc4514_string()!r}"
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        left_s = ends.timestamp() - int(now_s)
        if left_s < 0:
            found.append(f"{title} expired on {_date(ends)}: clients refuse it; `gateway certs server` makes another")
        elif begins.timestamp() > now_s:
            found.append(
                f"{title} is not valid before {_date(begins)}: clients refuse it; is this machine's clock right?"
            )
        elif left_s < EXPIRY_WARNING_DAYS * _DAY_S:
            found.append(f"{title} expires in {int(left_s // _DAY_S)} days, on {_date(ends)}: have it renewed")
    return found


def _chain(identity: Identity) -> list[x509.Certificate]:
    with unwarned():
        return [x509.load_der_x509_certificate(der) for der in identity.chain]


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
