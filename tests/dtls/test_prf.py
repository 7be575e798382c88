"""TLS 1.2's key derivation against known vectors, and against RFC 5246's formulas written out."""

import hashlib
import hmac

import pytest

from gateway.dtls.prf import (
    extended_master_secret,
    key_block,
    master_secret,
    prf,
    transcript_hash,
    verify_data,
)
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite, HashName

CLIENT_RANDOM, SERVER_RANDOM = bytes(range(32)), bytes(range(32, 64))
MASTER = bytes(range(100, 148))

# The vectors of P_SHA256 and P_SHA384 that were posted to the TLS working group's list.
VECTORS: list[tuple[HashName, str, str, str]] = [
    (
        "sha256",
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
        "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66",
    ),
    (
        "sha384",
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0"
        "e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
        "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e099070"
        "3d73e56f",
    ),
]


@pytest.mark.parametrize(("hash_name", "secret", "seed", "output"), VECTORS, ids=lambda value: value[:6])
def test_the_prf_gives_the_known_vectors(hash_name: HashName, secret: str, seed: str, output: str) -> None:
    expected = bytes.fromhex(output)
    given = prf(hash_name, bytes.fromhex(secret), b"test label", bytes.fromhex(seed), len(expected))
    assert given == expected
    # The length cuts, and changes nothing else.
    assert prf(hash_name, bytes.fromhex(secret), b"test label", bytes.fromhex(seed), 7) == expected[:7]


def p_hash(digest: str, secret: bytes, seed: bytes, length: int) -> bytes:
    """RFC 5246 §5, word by word."""

    def hmac_hash(data: bytes) -> bytes:
        return hmac.new(secret, data, digest).digest()

    a_1 = hmac_hash(seed)
    a_2 = hmac_hash(a_1)
    a_3 = hmac_hash(a_2)
    a_4 = hmac_hash(a_3)
    return b"".join(hmac_hash(a + seed) for a in (a_1, a_2, a_3, a_4))[:length]


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_secrets_and_keys_follow_the_formulas(suite: CipherSuite) -> None:
    premaster, session_hash = b"premaster", hashlib.new(suite.hash, b"messages").digest()
    assert master_secret(suite, premaster, CLIENT_RANDOM, SERVER_RANDOM) == p_hash(
        suite.hash, premaster, b"master secret" + CLIENT_RANDOM + SERVER_RANDOM, 48
    )
    assert extended_master_secret(suite, premaster, session_hash) == p_hash(
        suite.hash, premaster, b"extended master secret" + session_hash, 48
    )
    key, iv = suite.aead.key_bytes, suite.aead.fixed_iv_bytes
    block = p_hash(suite.hash, MASTER, b"key expansion" + SERVER_RANDOM + CLIENT_RANDOM, 2 * key + 2 * iv)
    parts = key_block(suite, MASTER, CLIENT_RANDOM, SERVER_RANDOM)
    assert b"".join(parts) == block  # in the order of RFC 5246 §6.3: client's key, server's, client's IV, server's
    assert [len(part) for part in parts] == [key, key, iv, iv]
    for by_client, label in ((True, b"client finished"), (False, b"server finished")):
        assert verify_data(suite, MASTER, by_client=by_client, handshake_hash=session_hash) == p_hash(
            suite.hash, MASTER, label + session_hash, 12
        )


def test_the_transcript_is_hashed_with_the_suites_hash() -> None:
    for name, digest in (("PSK_WITH_AES_128_CCM_8", "sha256"), ("PSK_WITH_AES_256_GCM_SHA384", "sha384")):
        assert transcript_hash(BY_NAME[name], b"messages") == hashlib.new(digest, b"messages").digest()
