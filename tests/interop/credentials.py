"""Certificates and keys of the interop tests, as files for foreign peers and as what the engine takes."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509 import DNSName

from gateway.dtls.config import ClientAuth, Config, Identity, PskCredential
from gateway.dtls.suites import BY_NAME, CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.model import Principal
from tests.dtls.certificates import DAY_S, Issued, KeyKind, Options, authority, device, server

PSK_IDENTITY = "sensor-7"
PSK_KEY = b"a key of 16 byte"
"""As long as tinydtls takes at most."""

SERVER_NAME = "gateway.example"
KEYS: tuple[KeyKind, ...] = ("p256", "p384", "ed25519", "rsa2048")
KEY_NAMES: dict[KeyKind, str] = {"p256": "P-256", "p384": "P-384", "ed25519": "Ed25519", "rsa2048": "RSA 2048"}


@dataclass(frozen=True)
class Credentials:
    """A CA, and a server and a client for each kind of key.

    The files are `ca.pem`, and `server-p256.pem` with `server-p256.key` and so on; `.pub` is the raw public key,
    `.sec1` the private key as libcoap wants it. The certificate of the client with a key on P-384 is issued by an
    intermediate CA, which stands behind it in its `.pem`. `many-names` is a client with 40 names, `stranger` is one of
    another CA.
    """

    folder: Path
    trust: TrustPolicy = field(repr=False)
    servers: dict[KeyKind, Identity] = field(repr=False)
    clients: dict[KeyKind, Identity] = field(repr=False)

    @property
    def ca(self) -> Path:
        """The trusted CA's certificate."""
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        """The file of a chain, such as that of `client-p256`."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """The file of a private key."""
        return self.folder / f"{name}.key"

    def public_key(self, name: str) -> Path:
        """The file of a public key."""
        return self.folder / f"{name}.pub"

    def sec1(self, name: str) -> Path:
        """The file of a private key in the form that says "EC PRIVATE KEY"."""
        return self.folder / f"{name}.sec1"

    @property
    def psk_file(self) -> Path:
        """PSK identity and key as gnutls-serv wants them."""
        return self.folder / "psk.txt"

    def server(
        self,
        *suites: str | CipherSuite,
        key: KeyKind | None = None,
        client_auth: ClientAuth = ClientAuth.NONE,
        tickets: TicketKeys | None = None,
        session_ids: int = 0,
        **settings: Any,
    ) -> Config:
        """A server that has all four certificates, or that of one kind of key, and knows one PSK identity."""
        return Config(
            suites=_suites(suites),
            identities=tuple(self.servers[kind] for kind in ((key,) if key else KEYS)),
            trust=self.trust,
            client_auth=client_auth,
            psk_enabled=True,
            psk_key_of={PSK_IDENTITY.encode(): PSK_KEY}.get,
            tickets=tickets,
            session_ids=session_ids,
            **settings,
        )

    def client(self, *suites: str | CipherSuite, key: KeyKind | None = None, **settings: Any) -> Config:
        """A client that has the PSK, and a certificate where it shall have one."""
        return Config(
            suites=_suites(suites),
            identities=(self.clients[key],) if key else (),
            trust=self.trust,
            client_psk=PskCredential(PSK_IDENTITY.encode(), PSK_KEY),
            server_name=SERVER_NAME,
            **settings,
        )


PSK_PRINCIPAL = Principal("psk", PSK_IDENTITY)


def make_credentials(folder: Path) -> Credentials:
    """Make all keys and certificates."""
    root = authority("Interop CA", **_options())
    intermediate = authority("Interop devices", issuer=root, **_options())
    servers: dict[KeyKind, Identity] = {}
    clients: dict[KeyKind, Identity] = {}
    raw_keys = []
    for kind in KEYS:
        own = server(SERVER_NAME, issuer=root, **_options(kind))
        others = (intermediate,) if kind == "p384" else ()
        peer = device(f"client-{kind}", issuer=others[0] if others else root, **_options(kind))
        _write(folder, f"server-{kind}", own)
        _write(folder, f"client-{kind}", peer, *others)
        servers[kind] = Identity(own.chain(), own.key)
        clients[kind] = Identity(peer.chain(*others), peer.key)
        raw_keys += [_raw_fingerprint(own), _raw_fingerprint(peer)]
    _write(folder, "ca", root)
    _write(folder, "intermediate", intermediate)
    (folder / "psk.txt").write_text(f"{PSK_IDENTITY}:{PSK_KEY.hex()}\n")
    names = Options(sans=[DNSName(f"a-rather-long-name-{number}.example") for number in range(40)])
    _write(folder, "many-names", device("many-names", issuer=root, **(_options() | names)))
    _write(folder, "stranger", device("stranger", issuer=authority("Another CA", **_options()), **_options()))
    return Credentials(folder, TrustPolicy([root.certificate], raw_keys=raw_keys), servers, clients)


def _options(kind: KeyKind = "p256") -> Options:
    """Valid from yesterday to the day after tomorrow."""
    return Options(key=kind, not_before_s=time.time() - DAY_S, not_after_s=time.time() + 2 * DAY_S)


def _write(folder: Path, name: str, issued: Issued, *others: Issued) -> None:
    chain: Sequence[Issued] = (issued, *others)
    (folder / f"{name}.pem").write_bytes(b"".join(one.certificate.public_bytes(Encoding.PEM) for one in chain))
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(key)
    if not isinstance(issued.key, Ed25519PrivateKey):
        sec1 = issued.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / f"{name}.sec1").write_bytes(sec1)
    public = issued.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)


def _raw_fingerprint(issued: Issued) -> str:
    return hashlib.sha256(issued.public_key_info).hexdigest()


def _suites(wanted: Sequence[str | CipherSuite]) -> tuple[CipherSuite, ...]:
    named = tuple(BY_NAME[suite] if isinstance(suite, str) else suite for suite in wanted)
    return named or tuple(BY_NAME.values())
