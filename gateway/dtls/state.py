"""Established associations as bytes, so that they outlive a restart; encrypted and authenticated.

A state must be imported once at most: a second import would use the same nonces again, for other data.
"""

import secrets
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.flight import RecordWriter
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import ReplayWindow
from gateway.dtls.suites import SUITES
from gateway.dtls.tickets import decode_principal, encode_principal
from gateway.dtls.wire import Reader, vector

FORMAT = b"gateway dtls state 1"
"""Also authenticated, so that a state of another format is refused."""

_NONCE_BYTES = 12
_IS_CLIENT, _RESUMED = 1, 2


def seal_state(associations: Iterable[Association], key: bytes, now_s: float) -> bytes:
    """The associations under a key of 16 or 32 bytes. `now_s` is the clock of `Association.last_seen_s`."""
    plain = b"".join(vector(4, _encode(association, now_s)) for association in associations)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, FORMAT)


def open_state(sealed: bytes, key: bytes, now_s: float) -> list[Association]:
    """The associations in a state. Raises DecodeError where it is not ours, was tampered with, or has another key."""
    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], FORMAT)
    except (InvalidTag, ValueError):
        raise DecodeError("the state is damaged, or was sealed with another key") from None
    reader = Reader(plain)
    associations = []
    while reader.remaining:
        associations.append(_decode(reader.vector(4), now_s))
    return associations


def _encode(association: Association, now_s: float) -> bytes:
    newest, seen = association.window.state()
    read, write = association.read, association.writer.protection
    assert write is not None
    flags = _IS_CLIENT * association.is_client | _RESUMED * association.resumed
    return b"".join(
        (
            association.suite.number.to_bytes(2, "big"),
            bytes((flags,)),
            vector(2, association.address),
            vector(2, encode_principal(association.principal)),
            *(vector(1, part) for part in (read.key, read.iv, read.cid, write.key, write.iv, write.cid)),
            (newest + 1).to_bytes(8, "big"),
            seen.to_bytes(8, "big"),
            association.writer.next_sequence.to_bytes(8, "big"),
            association.writer.most_content.to_bytes(2, "big"),
            int(max(0.0, now_s - association.last_seen_s)).to_bytes(8, "big"),
            int(max(0.0, now_s - association.established_s)).to_bytes(8, "big"),
            vector(1, association.session_tag),
        )
    )


def _decode(data: bytes, now_s: float) -> Association:
    reader = Reader(data)
    suite = SUITES.get(reader.number(2))
    if suite is None:
        raise DecodeError("an association of an unknown suite")
    flags, address, principal = reader.number(1), reader.vector(2), decode_principal(reader.vector(2))
    read = RecordProtection(suite.aead, reader.vector(1), reader.vector(1), reader.vector(1))
    write = RecordProtection(suite.aead, reader.vector(1), reader.vector(1), reader.vector(1))
    window = ReplayWindow.restore(reader.number(8) - 1, reader.number(8))
    next_sequence, most_content = reader.number(8), reader.number(2)
    last_seen_s = now_s - reader.number(8)
    established_s, session_tag = last_seen_s, b""
    if reader.remaining:  # states of before there were these end here
        established_s, session_tag = now_s - reader.number(8), reader.vector(1)
    reader.finish()
    return Association(
        address=address,
        suite=suite,
        principal=principal,
        is_client=bool(flags & _IS_CLIENT),
        resumed=bool(flags & _RESUMED),
        read=read,
        window=window,
        writer=RecordWriter(most_content=most_content, protection=write, next_sequence=next_sequence),
        last_flight=None,
        last_seen_s=last_seen_s,
        established_s=established_s,
        session_tag=session_tag,
    )
