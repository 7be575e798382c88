"""What a server does with a ClientHello before it knows that its sender is where it says (RFC 6347 §4.2.1)."""

from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.fragments import HandshakeMessage, fragments_in
from gateway.dtls.messages import ClientHello, HelloVerifyRequest
from gateway.dtls.record import Record, record_header

LATE_S = 30.0
"""How late a copy of a datagram may be that a network held up."""

_HANDSHAKE = int(ContentType.HANDSHAKE)
_CLIENT_HELLO = bytes((HandshakeType.CLIENT_HELLO,))


def is_client_hello(record: Record) -> bool:
    """Whether a record in the clear begins as one with a ClientHello does."""
    return record.type == _HANDSHAKE and record.fragment[:1] == _CLIENT_HELLO


def read_hello(record: Record) -> tuple[HandshakeMessage, ClientHello]:
    """The ClientHello in a record, which it must fill: without state no fragments can be put together.

    Raises DecodeError.
    """
    fragments = fragments_in(record.fragment)
    if len(fragments) != 1 or fragments[0].type != HandshakeType.CLIENT_HELLO:
        raise DecodeError("no single ClientHello")
    fragment = fragments[0]
    if len(fragment.data) != fragment.length:
        raise DecodeError("a ClientHello in fragments")
    if fragment.sequence >> 15 or record.sequence >> 47:
        raise DecodeError("numbers that would run out")  # ours go on from the client's
    message = HandshakeMessage(fragment.type, fragment.sequence, fragment.data)
    return message, ClientHello.parse(message.body)


def hello_verify_request(cookie: bytes, number: int) -> bytes:
    """The datagram that asks for the cookie. The record's number is the client's own (RFC 6347 §4.2.1)."""
    request = HandshakeMessage(HandshakeType.HELLO_VERIFY_REQUEST, 0, HelloVerifyRequest(cookie).encode()).encode()
    return record_header(ContentType.HANDSHAKE, 0, number, len(request)) + request


def is_late(hello: ClientHello, association: Association, now_s: float) -> bool:
    """Whether a hello is a late copy of the one that an association came of.

    Only while the association is young or alive: a device that has rebooted may have no better random numbers than the
    ones it had before.
    """
    return association.client_random == hello.random and now_s - association.last_seen_s < LATE_S
