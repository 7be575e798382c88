"""Cipher suites: what each number stands for."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

HashName: TypeAlias = Literal["sha256", "sha384"]


class KeyExchange(Enum):
    """How a suite agrees on its premaster secret, and who signs."""

    PSK = ("PSK", True, False)
    """RFC 4279 §2"""
    ECDHE_PSK = ("ECDHE_PSK", True, True)
    """RFC 5489 §2"""
    ECDHE_ECDSA = ("ECDHE_ECDSA", False, True)
    """RFC 8422 §2.1; the server's key is an elliptic curve's, Ed25519 included"""
    ECDHE_RSA = ("ECDHE_RSA", False, True)
    """RFC 8422 §2.2"""

    def __init__(self, label: str, is_psk: bool, is_ecdhe: bool) -> None:
        self.label = label
        self.is_psk = is_psk
        """Whether a pre-shared key takes part, and no certificate."""
        self.is_ecdhe = is_ecdhe
        """Whether ephemeral keys are exchanged."""


class Aead(Enum):
    """Record protection: (key length, tag length, explicit nonce length), in bytes."""

    AES_128_CCM_8 = (16, 8, 8, "ccm")
    AES_128_CCM = (16, 16, 8, "ccm")
    AES_256_CCM_8 = (32, 8, 8, "ccm")
    AES_256_CCM = (32, 16, 8, "ccm")
    AES_128_GCM = (16, 16, 8, "gcm")
    AES_256_GCM = (32, 16, 8, "gcm")
    CHACHA20_POLY1305 = (32, 16, 0, "chacha")

    def __init__(self, key_bytes: int, tag_bytes: int, explicit_nonce_bytes: int, mode: str) -> None:
        self.key_bytes = key_bytes
        self.tag_bytes = tag_bytes
        self.explicit_nonce_bytes = explicit_nonce_bytes
        """8 as in RFC 5288 §3 and RFC 6655 §3, or none as in RFC 7905 §2."""
        self.mode = mode

    @property
    def fixed_iv_bytes(self) -> int:
        """The part of the nonce that comes from the key block."""
        return 12 - self.explicit_nonce_bytes


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """One suite. `name` is the registry's, without TLS_."""

    number: int
    name: str
    key_exchange: KeyExchange
    aead: Aead
    hash: HashName = "sha256"


_ALL = (
    # RFC 6655 and RFC 7251; CCM_8 is what RFC 7252 §9.1.3 makes mandatory
    CipherSuite(0xC0AE, "ECDHE_ECDSA_WITH_AES_128_CCM_8", KeyExchange.ECDHE_ECDSA, Aead.AES_128_CCM_8),
    CipherSuite(0xC0AC, "ECDHE_ECDSA_WITH_AES_128_CCM", KeyExchange.ECDHE_ECDSA, Aead.AES_128_CCM),
    CipherSuite(0xC0AF, "ECDHE_ECDSA_WITH_AES_256_CCM_8", KeyExchange.ECDHE_ECDSA, Aead.AES_256_CCM_8),
    # RFC 5289
    CipherSuite(0xC02B, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_ECDSA, Aead.AES_128_GCM),
    CipherSuite(0xC02C, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", KeyExchange.ECDHE_ECDSA, Aead.AES_256_GCM, "sha384"),
    CipherSuite(0xC02F, "ECDHE_RSA_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_RSA, Aead.AES_128_GCM),
    CipherSuite(0xC030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384", KeyExchange.ECDHE_RSA, Aead.AES_256_GCM, "sha384"),
    # RFC 7905
    CipherSuite(0xCCA9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.ECDHE_ECDSA, Aead.CHACHA20_POLY1305),
    # RFC 8442
    CipherSuite(0xD003, "ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", KeyExchange.ECDHE_PSK, Aead.AES_128_CCM_8),
    CipherSuite(0xD005, "ECDHE_PSK_WITH_AES_128_CCM_SHA256", KeyExchange.ECDHE_PSK, Aead.AES_128_CCM),
    CipherSuite(0xD001, "ECDHE_PSK_WITH_AES_128_GCM_SHA256", KeyExchange.ECDHE_PSK, Aead.AES_128_GCM),
    # RFC 6655, RFC 5487
    CipherSuite(0xC0A8, "PSK_WITH_AES_128_CCM_8", KeyExchange.PSK, Aead.AES_128_CCM_8),
    CipherSuite(0xC0A4, "PSK_WITH_AES_128_CCM", KeyExchange.PSK, Aead.AES_128_CCM),
    CipherSuite(0x00A8, "PSK_WITH_AES_128_GCM_SHA256", KeyExchange.PSK, Aead.AES_128_GCM),
    CipherSuite(0x00A9, "PSK_WITH_AES_256_GCM_SHA384", KeyExchange.PSK, Aead.AES_256_GCM, "sha384"),
)

SUITES = {suite.number: suite for suite in _ALL}
"""Every suite that the engine knows, in its order of preference."""

BY_NAME = {suite.name: suite for suite in _ALL}
