"""What an endpoint tells its owner."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.codes import AlertDescription
from gateway.model import Principal


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """A peer can be talked to: see the association's principal and suite."""

    association: Association
    resumption: Resumption | None = None
    """What a client needs to resume the session; None for a server."""


class DataReceived(NamedTuple):
    """A record's content, whole and authentic. A tuple, for it is made for each record."""

    association: Association
    data: bytes


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """A handshake ended without success. `alert` is what we sent or were sent; None where it timed out."""

    address: bytes
    alert: AlertDescription | None
    reason: str
    by_peer: bool = False
    """Whether the alert is the peer's, and authentic."""
    claimed: Principal | None = None
    """Who a client with a pre-shared key said that it was. For the log alone: nothing has shown it."""


@dataclass(frozen=True, slots=True)
class HandshakeHint:
    """Something that a peer said in the clear in a handshake, which goes on: anyone can have said it."""

    address: bytes
    alert: AlertDescription | None
    """What it does not like; None for an alert of an unknown number."""


@dataclass(frozen=True, slots=True)
class HostLockedOut:
    """So many handshakes of a host failed that further ones are ignored for a while."""

    address: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class AssociationClosed:
    """An association is over."""

    association: Association
    reason: str


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """A peer with a connection ID was heard from elsewhere (RFC 9146 §6)."""

    association: Association
    old: bytes
    new: bytes


Event: TypeAlias = (
    HandshakeCompleted
    | DataReceived
    | HandshakeFailed
    | HandshakeHint
    | HostLockedOut
    | AssociationClosed
    | AddressChanged
)
