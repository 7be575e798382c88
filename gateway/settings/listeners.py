"""The settings of the listeners, plain and DTLS. Names and defaults of `COAP_*` and `TB_*` are ThingsBoard's."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

from gateway.model import SecurityMode
from gateway.settings.fields import CredentialsType, IpAddress, Port, WholeNumber


class PlainSettings(BaseModel):
    """The plain listener, and how long requests take."""

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


class DtlsSettings(BaseModel):
    """The DTLS listener, as ThingsBoard has it."""

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
    coap_dtls_max_fragment_length: Annotated[Literal[0, 512, 1024, 2048, 4096], WholeNumber] = Field(
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


class DtlsLimitsSettings(BaseModel):
    """The gateway's own settings of DTLS."""

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
