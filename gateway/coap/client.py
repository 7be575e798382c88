"""CoAP requests, by aiocoap: over its own UDP socket, or over whatever else carries datagrams, such as a DTLS session.

Beside the bridge this is the only module that touches aiocoap's inside: there is no public way to give it a transport
of one's own. So a context gets a token manager and a message manager put together here, which do what RFC 7252 §4
asks for: message IDs, retransmission, separate responses; block-wise transfer stands on top of that.
"""

import asyncio
import os
from collections.abc import Callable
from typing import NamedTuple

import aiocoap
import aiocoap.error
from aiocoap import interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import Reliable, Unreliable
from aiocoap.tokenmanager import TokenManager

from gateway.coap.codec import (
    MessageFormatError,
    Type,
    encode_message,
    is_well_formed,
    parse_message,
    unacceptable_option,
)
from gateway.errors import UnavailableError, UsageError
from gateway.model import Code

MESSAGE_BYTES_MAX = 1152
"""Largest message, so that its datagram fits any usual path (RFC 7252 §4.6)."""

_FIXED_BYTES = 4 + 8 + 1
"""Of a message: header, the longest token, the payload marker (RFC 7252 §3)."""

_BLOCK_BYTES = 2 * 6
"""What Block1 and Size1 take at most, each with its option header (RFC 7959 §2)."""

_SIZE_EXPONENTS = range(6, -1, -1)
"""Sizes of blocks, from 1024 bytes down to 16 (RFC 7959 §2.2)."""


class Request(NamedTuple):
    """What is asked of a server."""

    url: str
    payload: bytes
    content_format: int | None
    method: Code = Code.POST
    confirmable: bool = True


class Response(NamedTuple):
    """What it answers."""

    code: str
    """Such as `2.04 Changed`."""
    payload: bytes

    @property
    def is_success(self) -> bool:
        """Whether it is a 2.xx."""
        return self.code.startswith("2.")


class _Server(interfaces.EndpointAddress):
    """The one server behind a carrier, as aiocoap knows it; two are the same only where they are one."""

    is_multicast = False
    is_multicast_locally = False
    scheme = "coaps"
    hostinfo = "server"
    hostinfo_local = "client"
    uri_base = "coaps://server"
    uri_base_local = "coaps://client"
    blockwise_key = "server"
    maximum_block_size_exp = 6
    maximum_payload_size = 1024


class _Carrier(interfaces.MessageInterface):
    """Where aiocoap's messages go."""

    def __init__(self, server: _Server, send: Callable[[bytes], None]) -> None:
        self._server = server
        self._send = send

    def send(self, message: aiocoap.Message) -> None:
        self._send(message.encode())

    async def shutdown(self) -> None:
        pass

    async def determine_remote(self, message: aiocoap.Message) -> _Server:
        return self._server

    async def recognize_remote(self, remote: object) -> bool:
        return remote is self._server


class Client:
    """Makes requests, one after the other."""

    def __init__(self, context: aiocoap.Context) -> None:
        self._context = context

    @classmethod
    async def over_udp(cls) -> "Client":
        """A client for plain `coap://`, to any server."""
        return cls(await aiocoap.Context.create_client_context(transports=["udp6"]))

    async def request(self, request: Request) -> Response:
        """Make a request, block-wise where it is long.

        Raises UnavailableError where no response comes, UsageError for an URL that can't be asked for.
        """
        try:
            response = await self._context.request(self._message(request)).response
        except (aiocoap.error.MalformedUrlError, aiocoap.error.IncompleteUrlError) as error:
            raise UsageError(f"{request.url!r} is no URL of a CoAP resource: {error}") from None
        except aiocoap.error.Error as error:
            raise UnavailableError(_reason(error)) from None
        return Response(str(response.code), response.payload)

    async def close(self) -> None:
        """Give up what is under way."""
        await self._context.shutdown()

    def _message(self, request: Request) -> aiocoap.Message:
        return aiocoap.Message(
            code=aiocoap.Code(int(request.method)),
            uri=request.url,
            payload=request.payload,
            content_format=request.content_format,
            transport_tuning=Reliable() if request.confirmable else Unreliable(),
        )


class CarriedClient(Client):
    """Makes requests to one server, over what carries its datagrams."""

    def __init__(self, send: Callable[[bytes], None], *, most_bytes: int) -> None:
        """To be made in a running event loop. `send` takes one message at a time, of at most `most_bytes`."""
        context = aiocoap.Context(loop=asyncio.get_running_loop(), loggername="coap-client")
        super().__init__(context)
        self._most_bytes = min(most_bytes, MESSAGE_BYTES_MAX)
        self._server = _Server()
        self._ended: str | None = None
        tokens = TokenManager(context)
        self._messages = MessageManager(tokens)
        self._messages.message_interface = _Carrier(self._server, send)
        tokens.token_interface = self._messages
        context.request_interfaces.append(tokens)

    async def request(self, request: Request) -> Response:
        """See `Client`. Raises UsageError where the server takes no message that holds the request's options."""
        try:
            if self._ended is None:
                return await super().request(request)
        except UnavailableError:
            if self._ended is None:
                raise
        raise UnavailableError(self._ended)

    def receive(self, data: bytes) -> None:
        """Take a message of the server's. What is none, and requests, are dropped: here is no server.

        Options that are malformed are left out, or the message dropped, as RFC 7252 §5.4 wants: aiocoap fails on some.
        """
        try:
            type_, code, mid, token, options, payload = parse_message(data)
        except MessageFormatError:
            return
        if Code.EMPTY < code < Code.CREATED or unacceptable_option(options) is not None:
            return
        if code == Code.EMPTY and type_ is Type.NON:
            return
        wanted = [option for option in options if is_well_formed(*option)]
        try:
            message = aiocoap.Message.decode(encode_message(type_, code, mid, token, wanted, payload), self._server)
        except (aiocoap.error.Error, ValueError):
            return
        self._messages.dispatch_message(message)

    def end(self, reason: str) -> None:
        """Let the request that is under way, and all that follow, fail with this reason."""
        self._ended = reason
        self._messages.dispatch_error(aiocoap.error.NetworkError(reason), self._server)

    def _message(self, request: Request) -> aiocoap.Message:
        message = super()._message(request)
        room = self._most_bytes - _FIXED_BYTES - _BLOCK_BYTES - len(message.opt.encode())
        exponent = next((one for one in _SIZE_EXPONENTS if 1 << one + 4 <= room), None)
        if exponent is None:
            raise UsageError(
                f"the server takes messages of {self._most_bytes} bytes at most, and the path alone fills them",
                hint="shorten the URL",
            )
        self._server.maximum_block_size_exp = exponent
        self._server.maximum_payload_size = max(room, 1 << exponent + 4)
        return message


def _reason(error: Exception) -> str:
    if isinstance(error, aiocoap.error.MessageError):
        return "the server rejects the message (RST)"
    if isinstance(error, aiocoap.error.ConRetransmitsExceeded):
        return "not acknowledged, after all retransmissions"
    cause = error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)
