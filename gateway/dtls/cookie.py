"""The stateless cookie against spoofed addresses (RFC 6347 §4.2.1)."""

import hmac
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.dtls.messages import RANDOM_BYTES
from gateway.dtls.wire import vector

COOKIE_BYTES = 16
"""Short, so that the answer to a ClientHello is never larger than the ClientHello."""

SECRET_LIFETIME_S = 60.0
"""A cookie holds for one to two of these."""

_BEFORE_SESSION_ID = 2 + RANDOM_BYTES


class CookieJar:
    """Makes and checks cookies. They cover the address and all of the ClientHello but the cookie itself.

    A hello is given as the body of a message, one that `ClientHello.parse` has taken.
    """

    __slots__ = ("_current", "_previous", "_rotate_at")

    def __init__(self) -> None:
        self._current = _new_key()
        self._previous = _new_key()
        self._rotate_at = 0.0

    def cookie(self, address: bytes, hello: bytes, now_s: float) -> bytes:
        """The cookie for this peer and hello."""
        self._rotate(now_s)
        return _mac(self._current, address, _split(hello)[1])

    def accepts(self, address: bytes, hello: bytes, now_s: float) -> bool:
        """Whether the hello carries a cookie of ours for this peer and these very parameters."""
        cookie, covered = _split(hello)
        if len(cookie) != COOKIE_BYTES:
            return False
        self._rotate(now_s)
        current, previous = self._current, self._previous
        return hmac.compare_digest(_mac(current, address, covered), cookie) or hmac.compare_digest(
            _mac(previous, address, covered), cookie
        )

    def _rotate(self, now_s: float) -> None:
        if now_s >= self._rotate_at:
            # After a long silence the current one is too old as well.
            fresh = now_s < self._rotate_at + SECRET_LIFETIME_S
            self._previous = self._current if fresh else _new_key()
            self._current = _new_key()
            self._rotate_at = now_s + SECRET_LIFETIME_S


def _split(hello: bytes) -> tuple[bytes, bytes]:
    """A ClientHello's cookie, and the rest of it."""
    start = _BEFORE_SESSION_ID + 1 + hello[_BEFORE_SESSION_ID]
    end = start + 1 + hello[start]
    return hello[start + 1 : end], hello[:start] + hello[end:]


def _new_key() -> HMAC:
    return HMAC(secrets.token_bytes(32), hashes.SHA256())


def _mac(key: HMAC, address: bytes, covered: bytes) -> bytes:
    mac = key.copy()
    mac.update(vector(1, address) + covered)
    return mac.finalize()[:COOKIE_BYTES]
