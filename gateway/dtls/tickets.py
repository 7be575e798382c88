"""Sessions to be resumed, and the tickets that hold them (RFC 5077).

A ticket's key follows from one secret and the time, so that every process with that secret takes every other's tickets
and keys rotate without anyone telling.
"""

import hmac
import json
import secrets
from dataclasses import dataclass, field, fields
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.dtls.alerts import DecodeError
from gateway.dtls.prf import MASTER_SECRET_BYTES
from gateway.dtls.suites import SUITES, CipherSuite
from gateway.dtls.wire import Reader, vector
from gateway.model import Principal

TICKET_LIFETIME_S = 86_400
"""How long a ticket holds: one to two periods of its key."""

_NONCE_BYTES = 12
_TAG_BYTES = 8
_MOST_KEYS = 2
_PRINCIPAL_FIELDS = tuple(one.name for one in fields(Principal))


@dataclass(frozen=True, slots=True)
class Session:
    """What two peers need to go on without a full handshake."""

    suite: CipherSuite
    master_secret: bytes = field(repr=False)
    extended_master_secret: bool
    principal: Principal | None
    created_s: int
    """When its full handshake ended, on the wall clock. Resuming does not renew it."""

    @property
    def tag(self) -> bytes:
        """What names it."""
        return session_tag(self.master_secret)

    def encode(self) -> bytes:
        return b"".join(
            (
                self.suite.number.to_bytes(2, "big"),
                self.master_secret,
                bytes((self.extended_master_secret,)),
                self.created_s.to_bytes(8, "big"),
                vector(2, encode_principal(self.principal)),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "Session":
        """Raises DecodeError."""
        reader = Reader(data)
        suite = SUITES.get(reader.number(2))
        if suite is None:
            raise DecodeError("a session of an unknown suite")
        master_secret = reader.take(MASTER_SECRET_BYTES)
        extended, created_s = bool(reader.number(1)), reader.number(8)
        principal = reader.vector(2)
        reader.finish()
        return cls(suite, master_secret, extended, decode_principal(principal), created_s)


def session_tag(master_secret: bytes) -> bytes:
    """What names a session and all that resume it, and gives nothing of it away."""
    return hmac.digest(master_secret, b"session tag", "sha256")[:_TAG_BYTES]


def encode_principal(principal: Principal | None) -> bytes:
    """A principal as bytes; none as no bytes."""
    if principal is None:
        return b""
    known = {name: value for name in _PRINCIPAL_FIELDS if (value := getattr(principal, name)) is not None}
    return json.dumps(known).encode()


def decode_principal(data: bytes) -> Principal | None:
    """Raises DecodeError."""
    if not data:
        return None
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(data).items()
        }
        return Principal(**fields)
    except (ValueError, TypeError, AttributeError) as error:
        raise DecodeError("the principal is malformed") from error


class TicketKeys:
    """Makes and opens tickets."""

    __slots__ = ("_keys", "_secret")

    def __init__(self, secret: bytes | None = None) -> None:
        """`secret` of 32 bytes is shared by all processes that shall take each other's tickets."""
        self._secret = secret or secrets.token_bytes(32)
        self._keys: dict[bytes, AESGCM] = {}
        """By name: those in use, which are this period's and the last one's."""

    def seal(self, session: Session, now_s: float) -> bytes:
        """A ticket for a session."""
        period = int(now_s) // TICKET_LIFETIME_S
        nonce = secrets.token_bytes(_NONCE_BYTES)
        name = period.to_bytes(4, "big")
        return name + nonce + self._key(name).encrypt(nonce, session.encode(), name)

    def open(self, ticket: bytes, now_s: float) -> Session | None:
        """The session in a ticket; None where it is not ours, was tampered with, or is too old."""
        name, nonce, sealed = ticket[:4], ticket[4 : 4 + _NONCE_BYTES], ticket[4 + _NONCE_BYTES :]
        age = int(now_s) // TICKET_LIFETIME_S - int.from_bytes(name, "big")
        if len(sealed) < 16 or age not in (0, 1):
            return None
        try:
            session = Session.decode(self._key(name).decrypt(nonce, sealed, name))
        except (InvalidTag, DecodeError):
            return None
        return session if 0 <= now_s - session.created_s < TICKET_LIFETIME_S else None

    def _key(self, name: bytes) -> AESGCM:
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            key = self._keys[name] = AESGCM(hmac.digest(self._secret, b"session ticket" + name, "sha256"))
        return key
