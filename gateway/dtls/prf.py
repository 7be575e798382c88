"""TLS 1.2's key derivation (RFC 5246 §5, §6.3, §8.1; RFC 7627 §4)."""

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.dtls.suites import CipherSuite, HashName

MASTER_SECRET_BYTES = 48
VERIFY_DATA_BYTES = 12

_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}
_HMAC_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def prf(hash_name: HashName, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The pseudo-random function P_hash (RFC 5246 §5)."""
    keyed = HMAC(secret, _HMAC_HASHES[hash_name])
    seed = label + seed
    output = b""
    a = seed
    while len(output) < length:
        a = _mac(keyed, a)
        output += _mac(keyed, a + seed)
    return output[:length]


def _mac(keyed: HMAC, data: bytes) -> bytes:
    # A copy takes a third of the time that the key takes again.
    mac = keyed.copy()
    mac.update(data)
    return mac.finalize()


def master_secret(suite: CipherSuite, premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """The master secret of a peer without extended_master_secret (RFC 5246 §8.1)."""
    return prf(suite.hash, premaster, b"master secret", client_random + server_random, MASTER_SECRET_BYTES)


def extended_master_secret(suite: CipherSuite, premaster: bytes, session_hash: bytes) -> bytes:
    """The master secret that is bound to the handshake up to ClientKeyExchange (RFC 7627 §4)."""
    return prf(suite.hash, premaster, b"extended master secret", session_hash, MASTER_SECRET_BYTES)


def verify_data(suite: CipherSuite, master: bytes, *, by_client: bool, handshake_hash: bytes) -> bytes:
    """What a Finished message holds (RFC 5246 §7.4.9)."""
    label = b"client finished" if by_client else b"server finished"
    return prf(suite.hash, master, label, handshake_hash, VERIFY_DATA_BYTES)


def key_block(suite: CipherSuite, master: bytes, client_random: bytes, server_random: bytes) -> tuple[bytes, ...]:
    """Client's key, server's key, client's IV, server's IV (RFC 5246 §6.3)."""
    key, iv = suite.aead.key_bytes, suite.aead.fixed_iv_bytes
    block = prf(suite.hash, master, b"key expansion", server_random + client_random, 2 * (key + iv))
    return block[:key], block[key : 2 * key], block[2 * key : 2 * key + iv], block[2 * key + iv :]


def transcript_hash(suite: CipherSuite, transcript: bytes) -> bytes:
    """The hash of all handshake messages so far (RFC 5246 §7.4.9, RFC 6347 §4.2.6)."""
    return _HASHES[suite.hash](transcript).digest()
