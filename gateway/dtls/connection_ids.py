"""Connection IDs of ours (RFC 9146 §3): random, and telling which of several endpoints on one port they belong to.

Where several processes share a port, a record from a new address may reach any of them. The first byte of a connection
ID, modulo the number of processes, is the number of the one that the association is with.
"""

import secrets
from collections.abc import Callable

from gateway.dtls.codes import ContentType
from gateway.dtls.record import HEADER_BYTES

TRIES = 8
"""After so many connection IDs that were all in use, their length is too short, and a peer gets none."""

_TLS12_CID = int(ContentType.TLS12_CID)
CID_START = HEADER_BYTES - 2
"""Where a connection ID stands in a record: before the length, which is the last field (RFC 9146 §4)."""


def new_connection_id(length: int, *, shard: int, shards: int, is_taken: Callable[[bytes], bool]) -> bytes:
    """A connection ID of that length for endpoint number `shard` of `shards`; empty where none is left."""
    for _ in range(TRIES if length else 0):
        first, *rest = secrets.token_bytes(length)
        first += shard - first % shards
        cid = bytes((first if first < 256 else first - shards, *rest))
        if not is_taken(cid):
            return cid
    return b""


def shard_of(cid: bytes, shards: int) -> int:
    """The number of the endpoint, of `shards`, that handed out a connection ID."""
    return cid[0] % shards


def shard_of_datagram(datagram: bytes, cid_length: int, shards: int) -> int | None:
    """The number of the endpoint that a datagram is for; None where it does not tell.

    Only its first record is looked at: those with a connection ID in one datagram are of one association.
    """
    if not cid_length or datagram[:1] != _FIRST_BYTE or len(datagram) < HEADER_BYTES + cid_length:
        return None
    return datagram[CID_START] % shards


_FIRST_BYTE = bytes((_TLS12_CID,))
