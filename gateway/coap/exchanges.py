"""What the message layer remembers: which messages were seen, and what was answered (RFC 7252 §4.5)."""

import random
from itertools import count
from typing import TypeAlias

from gateway.metrics import DEDUP_EVICTED_TOTAL, Metrics

EXCHANGE_LIFETIME_S = 247.0
"""How long a message ID must not be used again by its sender (RFC 7252 §4.8.2)."""

ExchangeKey: TypeAlias = bytes
"""The route of a message followed by its two message ID bytes."""

UNANSWERED = b""
"""Remembered of a message that has no response to repeat: not yet, or because it was non-confirmable."""


class Exchanges:
    """Remembers each message for at least EXCHANGE_LIFETIME, in bounded memory, with no timer per message.

    Two dictionaries take turns: the younger is written, both are read, and every EXCHANGE_LIFETIME the older is
    thrown away whole. A message is therefore remembered for one to two lifetimes. Where more than `max_entries`
    arrive in a lifetime, the older one goes before its time, which is counted.
    """

    __slots__ = ("_half", "_metrics", "_mids", "_rotate_at", "older", "younger")

    def __init__(self, *, max_entries: int, metrics: Metrics) -> None:
        self.younger: dict[ExchangeKey, bytes] = {}
        """Read and written directly by the packet loop, which would pay for a call at each datagram."""
        self.older: dict[ExchangeKey, bytes] = {}
        self._half = max_entries // 2
        self._metrics = metrics
        self._rotate_at = 0.0
        self._mids = count(random.randrange(0x10000))

    def advance(self, now_s: float) -> None:
        """Forget what is old enough, or too much. To be called for each batch of datagrams, on a monotonic clock."""
        if now_s < self._rotate_at and len(self.younger) < self._half:
            return
        if now_s < self._rotate_at and self.older:
            self._metrics.count(DEDUP_EVICTED_TOTAL, by=len(self.older))
        if now_s >= self._rotate_at + EXCHANGE_LIFETIME_S:
            self.younger = {}  # nothing came for a whole lifetime: the younger ones are past theirs, too
        self.older, self.younger = self.younger, {}
        self._rotate_at = now_s + EXCHANGE_LIFETIME_S

    def answer(self, key: ExchangeKey, response: bytes) -> None:
        """Remember a message, or the response that is to be repeated for its duplicates."""
        self.younger[key] = response

    def next_mid(self) -> int:
        """A message ID for a message of ours, from one sequence for all peers and lanes (RFC 7252 §4.4)."""
        return next(self._mids) & 0xFFFF

    def __len__(self) -> int:
        return len(self.younger) + len(self.older)
