"""Cipher suites against the registry, as this test's author read it."""

import pytest

from gateway.dtls.suites import BY_NAME, SUITES, Aead, CipherSuite, KeyExchange

REGISTRY = {
    "PSK_WITH_AES_128_CCM_8": (0xC0, 0xA8),  # RFC 6655
    "PSK_WITH_AES_128_CCM": (0xC0, 0xA4),
    "PSK_WITH_AES_128_GCM_SHA256": (0x00, 0xA8),  # RFC 5487
    "PSK_WITH_AES_256_GCM_SHA384": (0x00, 0xA9),
    "ECDHE_PSK_WITH_AES_128_CCM_8_SHA256": (0xD0, 0x03),  # RFC 8442
    "ECDHE_PSK_WITH_AES_128_CCM_SHA256": (0xD0, 0x05),
    "ECDHE_PSK_WITH_AES_128_GCM_SHA256": (0xD0, 0x01),
    "ECDHE_ECDSA_WITH_AES_128_CCM_8": (0xC0, 0xAE),  # RFC 7251
    "ECDHE_ECDSA_WITH_AES_128_CCM": (0xC0, 0xAC),
    "ECDHE_ECDSA_WITH_AES_256_CCM_8": (0xC0, 0xAF),
    "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": (0xC0, 0x2B),  # RFC 5289
    "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": (0xC0, 0x2C),
    "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": (0xCC, 0xA9),  # RFC 7905
    "ECDHE_RSA_WITH_AES_128_GCM_SHA256": (0xC0, 0x2F),
    "ECDHE_RSA_WITH_AES_256_GCM_SHA384": (0xC0, 0x30),
}


def test_every_suite_of_the_registry_that_must_be_there_is_and_no_other() -> None:
    assert {name: suite.number for name, suite in BY_NAME.items()} == {
        name: high << 8 | low for name, (high, low) in REGISTRY.items()
    }
    assert list(SUITES.values()) == list(BY_NAME.values())


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_suite_is_what_its_name_says(suite: CipherSuite) -> None:
    exchange, cipher = suite.name.split("_WITH_")
    assert suite.key_exchange.name == exchange
    assert suite.aead.name == cipher.removesuffix("_SHA256").removesuffix("_SHA384")
    assert suite.hash == ("sha384" if cipher.endswith("SHA384") else "sha256")
    assert suite.key_exchange.is_psk == ("PSK" in exchange)
    assert suite.key_exchange.is_ecdhe == ("ECDHE" in exchange)


def test_only_psk_alone_has_no_ephemeral_keys() -> None:
    assert [exchange for exchange in KeyExchange if not exchange.is_ecdhe] == [KeyExchange.PSK]


@pytest.mark.parametrize(
    ("aead", "key", "tag", "fixed", "explicit"),
    [
        (Aead.AES_128_CCM_8, 16, 8, 4, 8),  # RFC 6655 §3, §4
        (Aead.AES_128_CCM, 16, 16, 4, 8),
        (Aead.AES_256_CCM_8, 32, 8, 4, 8),
        (Aead.AES_256_CCM, 32, 16, 4, 8),
        (Aead.AES_128_GCM, 16, 16, 4, 8),  # RFC 5288 §3
        (Aead.AES_256_GCM, 32, 16, 4, 8),
        (Aead.CHACHA20_POLY1305, 32, 16, 12, 0),  # RFC 7905 §2
    ],
    ids=lambda value: value.name if isinstance(value, Aead) else str(value),
)
def test_sizes_of_keys_tags_and_nonces(aead: Aead, key: int, tag: int, fixed: int, explicit: int) -> None:
    assert (aead.key_bytes, aead.tag_bytes, aead.fixed_iv_bytes, aead.explicit_nonce_bytes) == (
        key,
        tag,
        fixed,
        explicit,
    )
