"""Who talks to whom in the tests: keys, certificates and configurations, made once."""

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

from gateway.dtls.config import Config, Identity, PskCredential
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.trust import TrustPolicy

from .certificates import Issued, KeyKind, authority, device, server

PSK = PskCredential(b"device-1", b"a secret of 16 b")
PSK_SUITES = tuple(suite for suite in SUITES.values() if suite.key_exchange.is_psk)
CERTIFICATE_SUITES = tuple(suite for suite in SUITES.values() if not suite.key_exchange.is_psk)
CCM_8, PSK_CCM_8 = BY_NAME["ECDHE_ECDSA_WITH_AES_128_CCM_8"], BY_NAME["PSK_WITH_AES_128_CCM_8"]


@cache
def ca() -> Issued:
    """The authority that everyone trusts."""
    return authority()


def server_certificate(kind: KeyKind = "p256") -> Issued:
    """The server's certificate with a kind of key."""
    return _server(kind)


def device_certificate(kind: KeyKind = "p256", name: str = "device-1") -> Issued:
    """A client's certificate with a kind of key."""
    return _device(kind, name)


@cache
def _server(kind: KeyKind) -> Issued:
    return server(issuer=ca(), key=kind)


@cache
def _device(kind: KeyKind, name: str) -> Issued:
    return device(name, issuer=ca(), key=kind)


@cache
def trust() -> TrustPolicy:
    """Trusts the authority, and the raw public keys of the peers above."""
    kinds: tuple[KeyKind, ...] = ("p256", "p384", "ed25519", "rsa2048")
    peers = [make(kind) for make in (server_certificate, device_certificate) for kind in kinds]
    return TrustPolicy([ca().certificate], raw_keys=[_key_fingerprint(peer) for peer in peers])


def identity(issued: Issued) -> Identity:
    """A certificate as an endpoint's own."""
    return Identity(issued.chain(), issued.key)


def psk_key_of(wanted: bytes) -> bytes | None:
    """A server's store of one key."""
    return PSK.key if wanted == PSK.identity else None


def server_config(**changes: Any) -> Config:
    """A server with everything: PSK, an ECDSA and an RSA certificate."""
    usual = Config(
        identities=(identity(server_certificate()), identity(server_certificate("rsa2048"))),
        trust=trust(),
        psk_enabled=True,
        psk_key_of=psk_key_of,
    )
    return replace(usual, **changes)


def client_config(*suites: CipherSuite, **changes: Any) -> Config:
    """A client that trusts the authority and has a PSK, and no certificate."""
    usual = Config(suites=suites or tuple(SUITES.values()), trust=trust(), client_psk=PSK)
    return replace(usual, **changes)


def certified_client(*suites: CipherSuite, kind: KeyKind = "p256", **changes: Any) -> Config:
    """The same with a certificate."""
    return client_config(*suites, identities=(identity(device_certificate(kind)),), **changes)


def _key_fingerprint(issued: Issued) -> str:
    return sha256(issued.public_key_info).hexdigest()
