"""What the message layer remembers: which messages were seen, and what was answered (RFC 7252 §4.5)."""

import random
from typing import TypeAlias

from gateway.metrics import DEDUP_EVICTED_TOTAL, Metrics

EXCHANGE_LIFETIME_S = 247.0
"""How long a message ID must not be used again by its sender (RFC 7252 §4.8.2)."""

ExchangeKey: TypeAlias = bytes
"""The route of a message followed by its two message ID bytes."""

_STAMP_BYTES = 5
"""Enough for seconds of any clock."""

UNANSWERED = b""
"""Remembered of a message that has no response to repeat: not yet, or because it was non-confirmable."""


class Exchanges:
    """Remembers each message for EXCHANGE_LIFETIME, in bounded memory, with no timer per message.

    Two dictionaries take turns: the younger is written, both are read, and every EXCHANGE_LIFETIME the older is
    thrown away whole. What is remembered ends in the second in which it was written, so that a message that is still
    there but past its lifetime is taken for the new one that it is: a device may use its message ID again. Where more
    than `max_entries` arrive in a lifetime, the older dictionary goes before its time, which is counted.
    """

    __slots__ = ("_half", "_metrics", "_mid_map", "_now", "_rotate_at", "older", "stamp", "younger")

    def __init__(self, *, max_entries: int, metrics: Metrics) -> None:
        self.younger: dict[ExchangeKey, bytes] = {}
        """Read and written directly by the packet loop, which would pay for a call at each datagram. A value is a
        response followed by `stamp`."""
        self.older: dict[ExchangeKey, bytes] = {}
        self.stamp = bytes(_STAMP_BYTES)
        """The second that it is."""
        self._now = 0
        self._half = max_entries // 2
        self._metrics = metrics
        self._rotate_at = 0.0
        flip = random.randrange(1, 0x100)
        self._mid_map = bytes(byte ^ flip for byte in range(0x100))

    def advance(self, now_s: float) -> None:
        """Forget what is old enough, or too much. To be called for each batch of datagrams, on a monotonic clock."""
        if int(now_s) != self._now:
            self._now = int(now_s)
            self.stamp = self._now.to_bytes(_STAMP_BYTES, "big")
        if now_s < self._rotate_at and len(self.younger) < self._half:
            return
        if now_s < self._rotate_at and self.older:
            self._metrics.count(DEDUP_EVICTED_TOTAL, by=len(self.older))
        self.older, self.younger = self.younger, {}
        self._rotate_at = now_s + EXCHANGE_LIFETIME_S

    def answer(self, key: ExchangeKey, response: bytes) -> None:
        """Remember a message, or the response that is to be repeated for its duplicates."""
        self.younger[key] = response + self.stamp

    def recall(self, key: ExchangeKey) -> bytes | None:
        """The response to a message that was seen within its lifetime; None where there was no such message."""
        known = self.younger.get(key) or self.older.get(key)
        if known is None or self._now - int.from_bytes(known[-_STAMP_BYTES:], "big") > EXCHANGE_LIFETIME_S:
            return None
        return known[:-_STAMP_BYTES]

    def own_mid(self, mid: bytes) -> bytes:
        """The message ID of a response that is a message of its own, from the request's message ID.

        RFC 7252 §4.4 wants no message ID used twice towards a peer within EXCHANGE_LIFETIME. The peer keeps to that
        with its own, so ours are those, mapped one to one, and no sequence per peer is needed.
        """
        return mid.translate(self._mid_map)

    def __len__(self) -> int:
        return len(self.younger) + len(self.older)
