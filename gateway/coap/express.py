"""What the express lane knows by heart: how a message of its shape begins, and the answer that it gets as a rule."""

from typing import Final

from gateway.coap.codec import Type
from gateway.model import Code

ACKNOWLEDGED: Final = bytes((0x60, Code.EMPTY))
"""First two bytes of an empty ACK; the message ID follows."""

CREATED_CODE: Final = Code.CREATED
"""Looking it up in its enumeration takes as long as all else about a response."""

CREATED: Final = tuple(bytes((0x60 | length, Code.CREATED)) for length in range(9))
"""First two bytes of a piggybacked 2.01, by the length of the token."""

CREATED_NON: Final = tuple(bytes((0x50 | length, Code.CREATED)) for length in range(9))
"""The same of a non-confirmable one."""

IS_ACK: Final = 0x20
"""Set in the first byte of an ACK, and not in that of a NON."""

EXPRESS_HEADS: Final = {
    bytes((0x40 | type_ << 4 | token_length, method)): (4 + token_length, type_ is Type.CON)
    for type_ in (Type.CON, Type.NON)
    for token_length in range(9)
    for method in (Code.POST, Code.PUT)
}
"""First two bytes of a message on the express lane → where its options begin, and whether it is confirmable."""
