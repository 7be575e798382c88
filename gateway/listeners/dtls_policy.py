"""What DTLS handshakes go by: our credentials, whom we trust, pre-shared keys, bounds. Follows files and catalogue."""

import hmac
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from cryptography import x509

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.credentials.server import ServerCredentials, load_server_credentials
from gateway.credentials.stamps import stamp_of
from gateway.credentials.trust_files import TrustFiles, load_trust_files
from gateway.dtls.association import Association
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.keyexchange import psk_digest, psk_name
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.errors import ConfigurationError, GatewayError
from gateway.model import Principal
from gateway.settings import CredentialsType, Settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.credential_store import CredentialStore, Trusted

SESSION_IDS = 4096
"""Sessions that a worker keeps for clients without tickets, which can resume them with this worker only."""

ENDED_SESSIONS = 10_000
"""Most sessions that are refused to be resumed because an operator ended them; the one that ended first goes first."""

COMPLAINT_INTERVAL_S = 1.0
"""How often the log says that a pre-shared key can't be had."""

Predicate: TypeAlias = Callable[[Association], bool]

_log = logging.getLogger(__name__)


class DtlsPolicy:
    """The configuration of a DTLS endpoint, and what of it changes while it runs."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        key_file: KeyFile,
        *,
        shard: int = 0,
        shards: int = 1,
        host_of: Callable[[bytes], bytes] = lambda address: address,
    ) -> None:
        """Raises ConfigurationError where credentials or trust store can't be used."""
        self._settings = settings
        self._credentials = catalogue.credentials
        self._sealer = PskSealer(key_file)
        self._tickets = TicketKeys(key_file.derive("session tickets"))
        self._key_log = _key_log(settings.gateway_keylog_file) if settings.gateway_keylog_file else None
        self._suites = chosen_suites(settings.gateway_dtls_cipher_suites)
        self._shard, self._shards, self._host_of = shard, shards, host_of
        self._complain_at_s = 0.0
        self._not_resumed: dict[bytes, float] = {}
        self._server, self._server_stamp = _load_server(settings)
        self._files, self._files_stamp = _load_trust(settings)
        self._removals = self._credentials.psk_removals(0).position
        self._trust_version = self._credentials.trust_version()
        self._trusted = self._credentials.trusted()
        self._trust = trust_policy(settings, self._files, self._trusted)
        self.config = self._make_config()
        self.files_are_usable = True
        """Whether all could be read when they were last followed."""

    @property
    def findings(self) -> list[str]:
        """What an operator should know of credentials and trust."""
        return [*self._server.findings, *self._files.findings, *self._trust.findings(time.time())]

    @property
    def server(self) -> ServerCredentials:
        """Who we are."""
        return self._server

    def knows(self, principal: Principal) -> bool:
        """Whether there is a pre-shared key for who a client said that it was."""
        return self._psk_key_of(_identity_of(principal)) is not None

    def still_trusts(self, principal: Principal) -> bool:
        """Whether a principal that has a session, or wants to resume one, would be let in today."""
        if principal.kind == "psk":
            key = self._psk_key_of(_identity_of(principal))
            return key is not None and hmac.compare_digest(psk_digest(key), principal.credential or "")
        return self._trust.still_trusts(principal, time.time())

    def refuse_resumption(self, sessions: Iterable[tuple[bytes, float]]) -> None:
        """Have sessions resumed no more, each until its tickets are void anyway: their tags, and s since 1970."""
        now_s = time.time()
        for tag, until_s in sessions:
            self._not_resumed.pop(tag, None)
            self._not_resumed[tag] = until_s
        left = [(tag, until_s) for tag, until_s in self._not_resumed.items() if until_s > now_s]
        self._not_resumed = dict(left[-ENDED_SESSIONS:])

    def _may_resume(self, session_tag: bytes) -> bool:
        return session_tag not in self._not_resumed

    def would_refuse(self, association: Association) -> bool:
        """Whether a session of before would not come about today."""
        if association.suite not in self.config.suites:
            return True
        if association.principal is None:
            return self.config.client_auth is ClientAuth.NEEDED
        return not self.still_trusts(association.principal)

    # -- following -------------------------------------------------------------------------------

    def follow_catalogue(self) -> list[Predicate]:
        """Go by what the catalogue says now; gives which sessions must end.

        Raises GatewayError where the catalogue can't be read.
        """
        # All is read before anything is taken for read: what fails half-way is tried again as a whole.
        removals, version = self._credentials.psk_removals(self._removals), self._credentials.trust_version()
        trusted = self._credentials.trusted() if version != self._trust_version else None
        endings: list[Predicate] = []
        if trusted is not None:
            self._trusted, self._trust_version = trusted, version
            endings.append(self._renew_trust())
        if removals.position != self._removals:
            self._removals = removals.position
            names = None if removals.identities is None else {psk_name(one.encode()) for one in removals.identities}
            endings.append(lambda association: self._has_lost_its_key(association, names))
        return endings

    def follow_files(self) -> list[Predicate]:
        """Go by what is in the files now, for new handshakes; gives which sessions must end.

        A file that can't be used is an error in the log, each time; what was in force stays so.
        """
        endings: list[Predicate] = []
        self.files_are_usable = True
        if stamp_of(_server_paths(self._settings)) != self._server_stamp:
            try:
                self._server, self._server_stamp = _load_server(self._settings)
            except ConfigurationError as error:
                self.files_are_usable = False
                _log.error("the server's certificate stays as it was: %s", error.message)
            else:
                self.config = self._make_config()
                _log.info("new handshakes use the certificate of now: %s", self._server.source)
        if stamp_of(_trust_paths(self._settings)) != self._files_stamp:
            try:
                self._files, self._files_stamp = _load_trust(self._settings)
            except ConfigurationError as error:
                self.files_are_usable = False
                _log.error("the trust store stays as it was: %s", error.message)
            else:
                endings.append(self._renew_trust())
                _log.info("COAP_DTLS_TRUST_STORE and COAP_DTLS_CRL were read anew")
        return endings

    def _renew_trust(self) -> Predicate:
        self._trust = trust_policy(self._settings, self._files, self._trusted)
        self.config = self._make_config()
        return lambda association: (
            association.principal is not None
            and association.principal.kind != "psk"
            and not self.still_trusts(association.principal)
        )

    def _has_lost_its_key(self, association: Association, names: set[str] | None) -> bool:
        """`names`: of the identities that were removed or got another key; None: any may have been."""
        principal = association.principal
        if principal is None or principal.kind != "psk" or (names is not None and principal.name not in names):
            return False
        return not self.still_trusts(principal)

    # -- making ----------------------------------------------------------------------------------

    def _make_config(self) -> Config:
        settings = self._settings
        self.certificates_expire = {"server": self._server.first_expiry_s, "trust": self._trust.first_expiry_s}
        """When the first certificate expires, in seconds since 1970, of our chain and of those that clients are trusted
        by; None where there is none."""
        return Config(
            suites=self._suites,
            identities=(self._server.identity,),
            raw_public_keys=any(one.kind == "key" for one in self._trusted),
            trust=self._trust,
            client_auth=ClientAuth[settings.coap_dtls_client_auth],
            psk_key_of=self._psk_key_of,
            psk_enabled=True,
            still_trusted=self.still_trusts,
            may_resume=self._may_resume,
            tickets=self._tickets,
            session_ids=SESSION_IDS,
            connection_id_bytes=settings.coap_dtls_connection_id_length,
            shard=self._shard,
            shards=self._shards,
            mtu=settings.coap_dtls_max_transmission_unit,
            max_fragment_length=settings.coap_dtls_max_fragment_length,
            require_extended_master_secret=settings.gateway_dtls_require_extended_master_secret,
            retransmission_timeout_s=settings.coap_dtls_retransmission_timeout_ms / 1000,
            max_associations=max(1, settings.gateway_dtls_sessions // self._shards),
            max_handshakes=settings.gateway_dtls_handshakes,
            handshakes_per_second=settings.gateway_dtls_handshake_rate,
            lockout_failures=settings.gateway_dtls_lockout_failures,
            lockout_s=settings.gateway_dtls_lockout_seconds,
            host_of=self._host_of,
            idle_timeout_s=settings.tb_coap_x509_dtls_session_inactivity_timeout / 1000,
            key_log=self._key_log,
        )

    def _psk_key_of(self, identity: bytes) -> bytes | None:
        """The key of an identity; None where there is none, or none that can be had now."""
        try:
            name = identity.decode()
        except UnicodeDecodeError:
            return None
        try:
            sealed = self._credentials.psk(name)
            return None if sealed is None else self._sealer.open(name, sealed)
        except GatewayError as error:
            now_s = time.monotonic()
            if now_s >= self._complain_at_s:  # a fleet that comes back must not fill the disk
                self._complain_at_s = now_s + COMPLAINT_INTERVAL_S
                _log.error("the pre-shared key of %r can't be had: %s", name, error.message)
            return None


def trust_policy(settings: Settings, files: TrustFiles, trusted: Sequence[Trusted]) -> TrustPolicy:
    """Whom clients are trusted by: what the files say, and what the catalogue says."""
    anchors = []
    for one in trusted:
        if one.kind == "ca":
            try:
                anchors.append(x509.load_der_x509_certificate(one.der))
            except ValueError:  # it lets in fewer, and must not keep the others from counting
                _log.error("the trusted certificate %r in the catalogue is damaged and does not count", one.name)
    return TrustPolicy(
        (*files.anchors, *anchors),
        pinned=[one.fingerprint for one in trusted if one.kind == "device"],
        raw_keys=[one.fingerprint for one in trusted if one.kind == "key"],
        crls=files.crls,
        skip_validity=settings.tb_coap_x509_dtls_skip_validity_check_for_client_cert,
    )


def load_key_file(settings: Settings, credentials: CredentialStore, *, make: bool) -> KeyFile | None:
    """The key file that fits what the catalogue holds; None where there is none yet, and none is to be made.

    Raises ConfigurationError where it is missing though pre-shared keys were encrypted with it, or is another one: made
    anew it would lock out every device.
    """
    identities = [one.identity for one in credentials.psks(limit=1)]
    if not identities and not settings.key_file.exists():
        return KeyFile.open(settings.key_file) if make else None
    key_file = KeyFile.load(settings.key_file)
    for identity in identities:
        sealed = credentials.psk(identity)
        if sealed is not None:
            PskSealer(key_file).open(identity, sealed)
    return key_file


def _identity_of(principal: Principal) -> bytes:
    """The PSK identity that a principal's name was made of (`psk_name`)."""
    return principal.name.replace("\\\\", "\\").encode()


def chosen_suites(names: str) -> tuple[CipherSuite, ...]:
    """The cipher suites of a setting; raises ConfigurationError for a name that is none."""
    wanted = [name.strip().removeprefix("TLS_") for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in BY_NAME:
            raise ConfigurationError(
                f"GATEWAY_DTLS_CIPHER_SUITES: there is no cipher suite {name}",
                hint=f"there are: {', '.join(BY_NAME)}",
            )
    return tuple(BY_NAME[name] for name in dict.fromkeys(wanted)) or tuple(SUITES.values())


# The stamp is taken first: what changes while it is read will be read again.


def _load_server(settings: Settings) -> tuple[ServerCredentials, object]:
    stamp = stamp_of(_server_paths(settings))
    return load_server_credentials(settings, now_s=time.time()), stamp


def _load_trust(settings: Settings) -> tuple[TrustFiles, object]:
    stamp = stamp_of(_trust_paths(settings))
    return load_trust_files(settings), stamp


def _server_paths(settings: Settings) -> Sequence[Path]:
    if settings.credentials_type is CredentialsType.KEYSTORE:
        return (settings.coap_dtls_key_store,)
    return settings.coap_dtls_pem_cert, settings.coap_dtls_pem_key


def _trust_paths(settings: Settings) -> Sequence[Path]:
    return [path for path in (settings.coap_dtls_trust_store, settings.coap_dtls_crl) if path is not None]


def _key_log(path: Path) -> Callable[[str], None]:
    """Appends lines to a file that nobody else may read. Raises ConfigurationError."""
    where = f"GATEWAY_KEYLOG_FILE={path}"
    try:
        # Not blocking: a pipe that nobody reads would stop the start.
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{where} can't be written: {error.strerror}", hint="choose another file, or unset it"
        ) from error
    if os.fstat(descriptor).st_mode & 0o077:
        os.close(descriptor)
        raise ConfigurationError(f"{where} can be read by others", hint=f"chmod 600 {shlex.quote(str(path))}")
    _log.warning("session secrets are written to %s: whoever reads it can read the traffic", path)
    failed = False

    def write(line: str) -> None:
        nonlocal failed
        try:
            os.write(descriptor, line.encode() + b"\n")
        except OSError as error:  # no reason to lose a handshake
            if not failed:
                _log.error("%s can't be written: %s", where, error.strerror)
            failed = True

    return write
