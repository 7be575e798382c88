"""`/.well-known/core` as aiocoap serves it: in blocks, where it is longer than one message."""

import hashlib
from collections.abc import Callable, Sequence

import aiocoap
import aiocoap.resource
from aiocoap.optiontypes import BlockOption

from gateway.coap.discovery import Link, Path, filtered, link_format, links_to
from gateway.coap.endpoint import Route

LINK_FORMAT = 40
"""Content-Format application/link-format (RFC 6690 §7.4)."""

_LARGEST_SIZE_EXPONENT = 6
_OVERHEAD_BYTES = 40
"""Header, token and options of a block, and some to spare."""

_CACHED_QUERIES = 16
"""Most answers that are kept."""


class Discovery(aiocoap.resource.Resource):
    """`/.well-known/core`. Blocks are cut here: aiocoap would keep what it cuts, for each peer, for 93 s."""

    def __init__(self, endpoints: Callable[[], Sequence[Path]], room_of: Callable[[Route], int]) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._room_of = room_of
        self._paths: Sequence[Path] = ()
        self._links: list[Link] = []
        self._bodies: dict[tuple[str, ...], bytes] = {}

    def _body(self, query: tuple[str, ...]) -> bytes:
        """What a query gets: made once, since every block of it asks for all of it."""
        paths = self._endpoints()
        if paths is not self._paths:
            self._paths, self._links, self._bodies = paths, links_to(paths), {}
        body = self._bodies.get(query)
        if body is None:
            if len(self._bodies) >= _CACHED_QUERIES:
                self._bodies.clear()
            body = self._bodies[query] = link_format(filtered(self._links, query)).encode()
        return body

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        return False

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.opt.accept not in (None, LINK_FORMAT):
            return aiocoap.Message(code=aiocoap.NOT_ACCEPTABLE)
        room = self._room_of(request.remote.route) - _OVERHEAD_BYTES
        largest = max(0, min(_LARGEST_SIZE_EXPONENT, room.bit_length() - 5))
        return _block_of(self._body(tuple(request.opt.uri_query)), request.opt.block2, largest)


def _block_of(body: bytes, asked: BlockOption.BlockwiseTuple | None, largest: int) -> aiocoap.Message:
    """The block that was asked for, or the first one; the ETag shows whether blocks are of one body (RFC 7959 §2.4).

    Blocks larger than `largest`, a size exponent, are cut down to it, as §2.4 lets a server do.
    """
    number, _, exponent = asked or (0, False, largest)
    if largest < exponent <= _LARGEST_SIZE_EXPONENT:
        number, exponent = number << (exponent - largest), largest
    start, size = number << (exponent + 4), 1 << (exponent + 4)
    if exponent > _LARGEST_SIZE_EXPONENT or (number and start >= len(body)):
        return aiocoap.Message(code=aiocoap.BAD_REQUEST, payload=b"there is no such block")
    more = start + size < len(body)
    response = aiocoap.Message(payload=body[start : start + size], content_format=LINK_FORMAT)
    if number or more:
        response.opt.etag = hashlib.blake2s(body, digest_size=8).digest()
        response.opt.block2 = number, more, exponent
    return response
