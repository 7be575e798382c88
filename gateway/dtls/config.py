"""What an endpoint is told: who it is, whom it trusts, what it offers, and its bounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dtls.codes import NamedGroup
from gateway.dtls.keyexchange import GROUPS, SCHEMES, PrivateKey, PublicKey
from gateway.dtls.suites import SUITES, CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.model import Principal


class ClientAuth(Enum):
    """Whether a server asks its clients for a certificate (Scandium's words)."""

    NONE = auto()
    WANTED = auto()
    """Asks; goes on where the client has none, but not where it presents one that is not trusted."""
    NEEDED = auto()


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain (DER, leaf first) with its key."""

    chain: tuple[bytes, ...]
    key: PrivateKey = field(repr=False)

    @property
    def curve(self) -> NamedGroup | None:
        """The curve of an ECDSA key; other keys have none that a client would name (RFC 8422 §5.1)."""
        return NamedGroup[self.key.curve.name.upper()] if isinstance(self.key, EllipticCurvePrivateKey) else None

    @property
    def public_key_info(self) -> bytes:
        """The key as RFC 7250 sends it."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Trust(Protocol):
    """Judges a peer's certificate or raw public key: `gateway.dtls.trust.TrustPolicy`.

    Each raises AlertError where the peer is not trusted. `now_s` is the wall clock.
    """

    def client_principal(self, chain: Sequence[bytes], now_s: float) -> Principal: ...

    def server_principal(self, chain: Sequence[bytes], now_s: float, *, server_name: str | None) -> Principal: ...

    def raw_key_principal(self, key: bytes) -> Principal: ...

    def raw_public_key(self, key: bytes) -> PublicKey: ...

    def public_key(self, chain: Sequence[bytes]) -> PublicKey: ...


@dataclass(frozen=True, slots=True)
class PskCredential:
    """A client's identity and key."""

    identity: bytes
    key: bytes = field(repr=False)


def _itself(address: bytes) -> bytes:
    return address


def _no_psk(identity: bytes) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an endpoint, server or client."""

    suites: tuple[CipherSuite, ...] = tuple(SUITES.values())
    """Offered or accepted, best first; the server's order decides."""

    groups: tuple[int, ...] = GROUPS
    schemes: tuple[int, ...] = SCHEMES

    identities: tuple[Identity, ...] = ()
    """Our certificates; a server picks the first that fits the suite and the client."""

    raw_public_keys: bool = False
    """Whether raw public keys may take the place of certificates, ours and theirs (RFC 7250)."""

    trust: Trust | None = None
    client_auth: ClientAuth = ClientAuth.NONE

    psk_key_of: Callable[[bytes], bytes | None] = field(default=_no_psk, repr=False)
    """A server's pre-shared keys by identity."""

    psk_enabled: bool = False
    """Whether a server accepts PSK suites at all."""

    client_psk: PskCredential | None = None
    server_name: str | None = None
    """What a client expects the server's certificate to be for; None: any that its trust accepts."""

    still_trusted: Callable[[Principal], bool] = field(default=lambda principal: True, repr=False)
    """Asked at each resumption: whether this principal would be let in today."""

    may_resume: Callable[[bytes], bool] = field(default=lambda session_tag: True, repr=False)
    """Asked at each resumption: whether the session by this tag may go on (`tickets.session_tag`)."""

    tickets: TicketKeys | None = field(default=None, repr=False)
    """A server's keys for session tickets; None: it hands out none."""

    session_ids: int = 0
    """How many sessions a server keeps to be resumed by session ID; 0: none."""

    connection_id_bytes: int | None = 8
    """Length of the connection IDs that we hand out (RFC 9146); 0: accept the peer's only; None: no connection IDs."""

    mtu: int = 1024
    """Most bytes of UDP payload in a handshake datagram."""

    shard: int = 0
    """Which of the `shards` endpoints this is that share a port: our connection IDs tell it (`connection_ids`)."""

    shards: int = 1

    max_fragment_length: int = 0
    """Record size limit (RFC 6066): 512, 1024, 2048 or 4096 bytes; 0: none. A client asks for it; a server keeps to it
    in what it sends, and to a client's where that is less."""

    require_extended_master_secret: bool = True
    """Refuse peers without RFC 7627."""

    retransmission_timeout_s: float = 1.0
    """First repetition of a flight; doubles up to 60 s."""

    max_transmissions: int = 6
    """After so many a handshake is given up."""

    max_associations: int = 100_000
    max_handshakes: int = 1_000
    """Most handshakes under way; the oldest goes first."""

    handshakes_per_second: int = 20
    """Most handshakes that one host may begin in a second."""

    lockout_failures: int = 0
    """Failed handshakes of one host within a minute after which its handshakes are ignored; 0: never."""

    lockout_s: float = 60.0
    """For how long they are."""

    host_of: Callable[[bytes], bytes] = field(default=_itself, repr=False)
    """What of an address counts as one host for these limits, such as the address without its port."""

    max_message_bytes: int = 16_384
    """Largest handshake message."""

    idle_timeout_s: float = 86_400.0
    """An association without traffic ends after this."""

    key_log: Callable[[str], None] | None = field(default=None, repr=False)
    """Gets a line of SSLKEYLOGFILE format for each handshake. Whoever reads it reads everything."""
