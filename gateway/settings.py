"""Every setting, read from the environment and from `.env`.

The names and defaults of `COAP_*` and `TB_*` are ThingsBoard's; `GATEWAY_*` are the gateway's own. A field's name
is its variable's name in lower case; its description ends up in `.env.example` and `gateway settings`.
"""

import ipaddress
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.errors import ConfigurationError
from gateway.model import Security, SecurityMode


class CredentialsType(StrEnum):
    """Where the DTLS server's key comes from."""

    PEM = "PEM"
    KEYSTORE = "KEYSTORE"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


class RateLimit(BaseModel, frozen=True):
    """One limit of ThingsBoard's `count:seconds` form."""

    count: int
    seconds: int


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address, such as 0.0.0.0 or ::") from None


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _rate_limits(value: str) -> str:
    parse_rate_limits(value)
    return value


def _base_url(value: str) -> str:
    """`coap://host` or `coap://host:port`, with no path: integrations bring their own."""
    if not value:
        return value
    parts = urlsplit(value)
    try:
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        port_ok = False
    if parts.scheme != "coap" or not parts.hostname or not port_ok or parts.path.strip("/") or parts.query:
        raise ValueError("must look like coap://host or coap://host:port")
    return value.rstrip("/")


def parse_rate_limits(value: str) -> tuple[RateLimit, ...]:
    """`"10:1,300:60"` → 10 in any second and 300 in any minute; an empty text is no limit."""
    limits = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        count, colon, seconds = part.partition(":")
        if not (colon and count.isdecimal() and seconds.isdecimal() and int(count) and int(seconds)):
            raise ValueError("must be COUNT:SECONDS pairs separated by commas, such as 10:1,300:60")
        limits.append(RateLimit(count=int(count), seconds=int(seconds)))
    return tuple(limits)


_KEYSTORE_FIELDS = frozenset(
    {
        "coap_dtls_key_store_type",
        "coap_dtls_key_store",
        "coap_dtls_key_store_password",
        "coap_dtls_key_password",
        "coap_dtls_key_alias",
    }
)

IpAddress = Annotated[str, AfterValidator(_ip_address)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """The gateway's settings; build with `load_settings`, which reports mistakes one a line."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # -- listeners -------------------------------------------------------------------------------
    coap_security_mode: SecurityMode | None = Field(
        None,
        description="Which listeners run: NO SECURE, DTLS or MIXED; "
        "where not set, COAP_SERVER_ENABLED and COAP_DTLS_ENABLED decide",
    )
    coap_server_enabled: bool = Field(True, description="The plain CoAP listener")
    coap_bind_address: IpAddress = Field("0.0.0.0", description="Address of the plain listener; :: takes IPv4 too")
    coap_bind_port: Port = Field(5683, description="UDP port of the plain listener")
    coap_timeout: int = Field(
        10_000, ge=1, description="Processing time after which a request is answered 5.03, in milliseconds"
    )
    coap_piggyback_timeout: int = Field(
        500,
        ge=1,
        description="Time after which a request gets an empty ACK and its response follows separately, in milliseconds",
    )

    # -- DTLS ------------------------------------------------------------------------------------
    coap_dtls_enabled: bool = Field(False, description="The DTLS listener")
    coap_dtls_bind_address: IpAddress = Field("0.0.0.0", description="Address of the DTLS listener")
    coap_dtls_bind_port: Port = Field(5684, description="UDP port of the DTLS listener")
    coap_dtls_retransmission_timeout_ms: int = Field(
        9000, ge=1, description="First handshake retransmission (RFC 7925), in milliseconds"
    )
    coap_dtls_connection_id_length: int = Field(
        8,
        ge=0,
        le=255,
        description="Length of connection IDs (RFC 9146), in bytes; 0: accept a client's, hand out none",
    )
    coap_dtls_max_transmission_unit: int = Field(
        1024, ge=64, le=65507, description="Largest UDP payload of a handshake datagram, in bytes"
    )
    # A variable is text, and a Literal of numbers takes numbers only.
    coap_dtls_max_fragment_length: Annotated[Literal[0, 512, 1024, 2048, 4096], BeforeValidator(_number)] = Field(
        1024, description="Record size limit (RFC 6066), in bytes: 512, 1024, 2048, 4096; 0: 16384"
    )
    coap_dtls_credentials_type: CredentialsType = Field(
        CredentialsType.PEM, description="Where the server's key comes from: PEM or KEYSTORE"
    )
    coap_dtls_pem_cert: Path = Field(
        Path("coapserver.pem"), description="Server certificate, PEM; may hold its chain and its key"
    )
    coap_dtls_pem_key: Path = Field(Path("coapserver_key.pem"), description="Server private key, PEM")
    coap_dtls_pem_key_password: SecretStr = Field(
        SecretStr("server_key_password"), description="Password of the PEM key; ignored where it needs none"
    )
    coap_dtls_key_store_type: Literal["JKS", "PKCS12"] = Field("JKS", description="JKS or PKCS12")
    coap_dtls_key_store: Path = Field(Path("coapserver.jks"), description="Keystore file")
    coap_dtls_key_store_password: SecretStr = Field(
        SecretStr("server_ks_password"), description="Password of the keystore"
    )
    coap_dtls_key_password: SecretStr = Field(
        SecretStr("server_key_password"), description="Password of the key in the keystore"
    )
    coap_dtls_key_alias: str = Field("serveralias", description="Alias of the key in the keystore")
    coap_dtls_client_auth: Literal["NONE", "WANTED", "NEEDED"] = Field(
        "WANTED",
        description="Client certificates: NONE: not asked for; WANTED: validated where presented; NEEDED: required of "
        "every client without a pre-shared key",
    )
    coap_dtls_trust_store: Path | None = Field(
        None,
        description="CAs and device certificates that clients are trusted by: a PEM file, a folder of them, JKS or "
        "PKCS12; `gateway trust` adds more",
    )
    coap_dtls_trust_store_password: SecretStr = Field(
        SecretStr("server_ks_password"), description="Password of a JKS or PKCS12 trust store"
    )
    coap_dtls_crl: Path | None = Field(
        None, description="Certificate revocation lists: a PEM or DER file, or a folder of them"
    )
    tb_coap_x509_dtls_skip_validity_check_for_client_cert: bool = Field(
        False, description="Skip notBefore and notAfter of client certificates, and nothing else"
    )
    tb_coap_x509_dtls_session_inactivity_timeout: int = Field(
        86_400_000, ge=1, description="Idle DTLS sessions end after this, in milliseconds"
    )
    tb_coap_x509_dtls_session_report_timeout: int = Field(
        1_800_000, ge=1, description="How often idle DTLS sessions are looked for, in milliseconds"
    )
    tb_transport_ssl_certificate_reload_enabled: bool = Field(
        True, description="Pick up changed certificate files while running"
    )
    tb_transport_ssl_certificate_reload_check_interval_seconds: int = Field(
        60, ge=1, description="How often certificate files are looked at, in seconds"
    )

    # -- the gateway's own DTLS settings ---------------------------------------------------------
    gateway_key_file: Path | None = Field(
        None,
        description="Key that pre-shared keys, session tickets and saved sessions are encrypted with; made with mode "
        "0600 where it is missing; where not set, gateway.key in GATEWAY_DATA_DIR",
    )
    gateway_keylog_file: Path | None = Field(
        None,
        description="Debugging aid: session secrets for Wireshark are appended here. Whoever reads it reads everything",
    )
    gateway_dtls_cipher_suites: str = Field(
        "",
        description="Cipher suites that are accepted, best first, separated by commas; empty: all that docs/dtls.md "
        "lists, in its order",
    )
    gateway_dtls_require_extended_master_secret: bool = Field(
        True, description="Refuse clients without RFC 7627; false lets very old ones in"
    )
    gateway_dtls_sessions: int = Field(
        100_000, ge=1, description="Most DTLS sessions of all workers; the one that was silent for longest goes"
    )
    gateway_dtls_handshakes: int = Field(
        1000, ge=1, description="Most handshakes under way per worker; the oldest goes"
    )
    gateway_dtls_handshake_rate: int = Field(
        200, ge=1, description="Handshakes that one address (IPv6: one /64 network) may begin per second and worker"
    )
    gateway_dtls_lockout_failures: int = Field(
        300,
        ge=0,
        description="Failed handshakes of one address within a minute after which its handshakes are ignored; 0: never",
    )
    gateway_dtls_lockout_seconds: int = Field(
        60, ge=1, description="How long the handshakes of such an address are ignored, in seconds; its sessions go on"
    )

    # -- the gateway's own -----------------------------------------------------------------------
    gateway_data_dir: Path = Field(Path("var"), description="Folder of the SQLite files")
    gateway_workers: int = Field(0, ge=0, le=256, description="Packet processes; 0: as many as CPUs")
    gateway_base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        "",
        description="How devices reach the gateway, such as coap://gateway.example.com; "
        "where not set, made from the bind address",
    )
    gateway_max_body_bytes: int = Field(
        65536, ge=1, le=16 << 20, description="Largest request body, block-wise transfer included, in bytes"
    )
    gateway_commit_interval_ms: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Wait this long between commits, in milliseconds; 0: commit whenever the writer is free",
    )
    gateway_commit_batch: int = Field(512, ge=1, le=65536, description="Most uplinks in one commit")
    gateway_spool_max_bytes: int = Field(
        1 << 30, ge=1 << 16, description="Most bytes waiting in the spools of all workers; 5.03 beyond"
    )
    gateway_dedup_entries: int = Field(
        250_000,
        ge=1024,
        description="Most message IDs that a worker remembers against duplicates; 247 s where no more than half of it "
        "come in that time, less beyond",
    )
    gateway_bridge_rate: int = Field(
        500,
        ge=1,
        description="Most messages a second and worker outside the express lane (block-wise, discovery, …); "
        "5.03 beyond",
    )
    gateway_integration_rate_limit: Annotated[str, AfterValidator(_rate_limits)] = Field(
        "",
        description="Uplinks per integration and worker as COUNT:SECONDS,…, such as 1000:1; 4.29 beyond; empty: none",
    )
    gateway_device_rate_limit: Annotated[str, AfterValidator(_rate_limits)] = Field(
        "",
        description="Uplinks per device and worker as COUNT:SECONDS,…, such as 10:1,300:60; 4.29 beyond; empty: none",
    )
    gateway_history_days: int = Field(30, ge=0, description="How long telemetry history is kept, in days; 0: none")
    gateway_history_rows: int = Field(
        10_000_000, ge=0, description="Most rows of telemetry history; the oldest go first"
    )
    gateway_quarantine_rows: int = Field(
        10_000,
        ge=0,
        description="Most uplinks kept that their converter failed on; the oldest go first; 0: none are kept",
    )
    gateway_quarantine_bytes: int = Field(
        64 << 20, ge=1 << 16, description="Most bytes of such uplinks; the oldest go first"
    )
    gateway_events_rows: int = Field(
        10_000, ge=1, le=1_000_000, description="Most debug events kept of an integration; the oldest go first"
    )
    gateway_events_days: int = Field(7, ge=1, description="How long debug events are kept, in days")
    gateway_javascript_time_limit_ms: int = Field(
        100, ge=1, le=10_000, description="CPU time of one JavaScript conversion, in milliseconds"
    )
    gateway_javascript_memory_limit_bytes: int = Field(
        16 << 20, ge=1 << 20, le=1 << 30, description="Memory of one JavaScript converter, in bytes"
    )
    gateway_python_time_budget_ms: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Time that a Python conversion may take, in milliseconds; longer ones are logged and counted",
    )
    gateway_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    gateway_log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")

    @field_validator("gateway_commit_interval_ms")
    @classmethod
    def _commits_in_time(cls, interval_ms: int, info: ValidationInfo) -> int:
        timeout_ms = info.data.get("coap_timeout")  # absent where that is wrong itself
        if timeout_ms is not None and interval_ms >= timeout_ms:
            raise ValueError(
                f"must be less than COAP_TIMEOUT, which is {timeout_ms}: every uplink would be answered 5.03"
            )
        return interval_ms

    def as_environment(self) -> dict[str, str]:
        """The variables that make these very settings, for a process that must not have others."""
        values = {name.upper(): getattr(self, name) for name in type(self).model_fields}
        values["COAP_DTLS_CREDENTIALS_TYPE"] = self.credentials_type  # which depends on what was not set
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }

    @property
    def plain_listener(self) -> bool:
        """Whether `coap://` is served."""
        if self.coap_security_mode is None:
            return self.coap_server_enabled
        return self.coap_security_mode is not SecurityMode.DTLS

    @property
    def dtls_listener(self) -> bool:
        """Whether `coaps://` is served."""
        if self.coap_security_mode is None:
            return self.coap_dtls_enabled
        return self.coap_security_mode is not SecurityMode.NO_SECURE

    @property
    def credentials_type(self) -> CredentialsType:
        """Where the server's key comes from: the keystore too where only variables of a keystore are set.

        ThingsBoard's page on the integration sets those alone, while the type's default is PEM.
        """
        return CredentialsType.KEYSTORE if self.keystore_is_inferred else self.coap_dtls_credentials_type

    @property
    def keystore_is_inferred(self) -> bool:
        """Whether a keystore is used because its variables are set, though COAP_DTLS_CREDENTIALS_TYPE is not."""
        given = self.model_fields_set
        return "coap_dtls_credentials_type" not in given and bool(given & _KEYSTORE_FIELDS)

    @property
    def key_file(self) -> Path:
        """The file of the key that secrets at rest are encrypted with."""
        return self.gateway_key_file or self.gateway_data_dir / "gateway.key"

    @property
    def ports_collide(self) -> bool:
        """Whether both listeners want one and the same port."""
        both = self.plain_listener and self.dtls_listener and self.coap_bind_port == self.coap_dtls_bind_port
        addresses = {self.coap_bind_address, self.coap_dtls_bind_address}
        return both and (len(addresses) == 1 or not addresses.isdisjoint(("0.0.0.0", "::")))

    @property
    def workers(self) -> int:
        """How many packet processes run."""
        return self.gateway_workers or len(os.sched_getaffinity(0))

    def base_url(self, security: Security) -> str:
        """Scheme, host and, where it is not the scheme's own, port, as devices reach the listener."""
        plain = security is Security.PLAIN
        default_port = 5683 if plain else 5684
        address = self.coap_bind_address if plain else self.coap_dtls_bind_address
        port = self.coap_bind_port if plain else self.coap_dtls_bind_port
        host = address if not ipaddress.ip_address(address).is_unspecified else "127.0.0.1"
        if self.gateway_base_url:
            parts = urlsplit(self.gateway_base_url)
            host = parts.hostname or host
            if plain:
                port = parts.port or port
        host = f"[{host.replace('%', '%25')}]" if ":" in host else host  # a zone is escaped (RFC 6874 §2)
        return f"{security}://{host}" + ("" if port == default_port else f":{port}")


def load_settings(env_file: str | None = ".env") -> Settings:
    """Read the environment and `.env`; raises ConfigurationError with one line per mistake."""
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        lines = []
        for mistake in error.errors():
            name = str(mistake["loc"][0]).upper()
            reason = mistake["msg"].removeprefix("Value error, ")
            lines.append(f"{name}={mistake['input']}: {reason[0].lower()}{reason[1:]}")
        raise ConfigurationError("\n".join(lines), hint="see .env.example for every variable") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f".env is not UTF-8 text (byte {error.start})", hint="save it with the encoding UTF-8"
        ) from None
    except OSError as error:
        raise ConfigurationError(f".env can't be read: {error.strerror}", hint="see its owner and mode") from None
