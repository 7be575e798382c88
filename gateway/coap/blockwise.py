"""Bodies that come in blocks (RFC 7959 §2.5), put together in bounded memory."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from gateway.errors import GatewayError
from gateway.model import Code

TRANSFER_TIMEOUT_S = 247.0
"""A transfer whose next block does not come within EXCHANGE_LIFETIME is forgotten (RFC 7959 §2.5)."""

MAX_TRANSFERS = 512
"""Most bodies under way in one worker; the one that waited longest goes first."""

MAX_TRANSFERRED_BYTES = 64 << 20
"""Most bytes of bodies under way in one worker, however large GATEWAY_MAX_BODY_BYTES is; likewise."""


class IncompleteError(GatewayError):
    """A block came whose predecessors did not (RFC 7959 §2.9.2)."""

    coap_code = Code.REQUEST_ENTITY_INCOMPLETE


class TooLargeError(GatewayError):
    """The body is, or will be, larger than the gateway takes (RFC 7959 §2.9.3)."""

    coap_code = Code.REQUEST_ENTITY_TOO_LARGE


class BadBlockError(GatewayError):
    """A block's payload is not as long as its option says."""

    coap_code = Code.BAD_REQUEST


class Block(NamedTuple):
    """A Block1 option (RFC 7959 §2.2)."""

    number: int
    more: bool
    size_exponent: int

    @property
    def size(self) -> int:
        """Bytes in each block but the last."""
        return 1 << (self.size_exponent + 4)


class _Transfer(NamedTuple):
    body: bytearray
    deadline_s: float


class BodyAssembler:
    """Puts bodies together from blocks that come in order."""

    def __init__(
        self, *, max_body_bytes: int, max_transfers: int = MAX_TRANSFERS, max_bytes: int = MAX_TRANSFERRED_BYTES
    ) -> None:
        self._max_body_bytes = max_body_bytes
        self._max_transfers = max_transfers
        self._max_bytes = max_bytes
        self._bytes = 0
        self._transfers: OrderedDict[Hashable, _Transfer] = OrderedDict()

    def add(
        self, key: Hashable, block: Block, payload: bytes, *, now_s: float, announced_bytes: int | None = None
    ) -> bytes | None:
        """Add a block to the body that `key` (peer and options) stands for; gives the body with its last block.

        `announced_bytes` is the request's Size1, if any. Raises TooLargeError as early as that can be known,
        IncompleteError on a hole, BadBlockError on a block of the wrong length; the transfer then starts anew.
        """
        offset = block.number * block.size
        if max(offset + len(payload), announced_bytes or 0) > self._max_body_bytes:
            self._take(key)
            raise TooLargeError(f"the body is larger than {self._max_body_bytes} bytes")
        if block.size_exponent == 7 or len(payload) > block.size or (block.more and len(payload) < block.size):
            self._take(key)
            raise BadBlockError(f"block {block.number} is not as long as its Block1 option says")
        self._forget_old(now_s)
        known = self._take(key)
        body = bytearray() if block.number == 0 or known is None else known.body
        if len(body) != offset:
            raise IncompleteError(f"block {block.number} came, the body so far has {len(body)} bytes")
        body += payload
        if not block.more:
            return bytes(body)
        while self._transfers and (
            len(self._transfers) >= self._max_transfers or self._bytes + len(body) > self._max_bytes
        ):
            self._take(next(iter(self._transfers)))
        self._transfers[key] = _Transfer(body, now_s + TRANSFER_TIMEOUT_S)
        self._bytes += len(body)
        return None

    def _take(self, key: Hashable) -> _Transfer | None:
        known = self._transfers.pop(key, None)
        if known is not None:
            self._bytes -= len(known.body)
        return known

    def _forget_old(self, now_s: float) -> None:
        """Each addition renews its transfer's place, so the oldest stand first."""
        while self._transfers:
            oldest = next(iter(self._transfers))
            if self._transfers[oldest].deadline_s > now_s:
                return
            self._take(oldest)

    def __len__(self) -> int:
        return len(self._transfers)
