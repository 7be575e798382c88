"""The established half of an endpoint: records of associations whose handshake is complete."""

from collections import Counter, deque
from collections.abc import Callable
from functools import partial

from gateway.dtls.association import LAST_NUMBER, Association
from gateway.dtls.associations import Associations
from gateway.dtls.codes import AlertDescription, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import Config
from gateway.dtls.events import AddressChanged, AssociationClosed, DataReceived, Event
from gateway.dtls.record import Record
from gateway.dtls.state import open_state, seal_state

new_data = partial(tuple.__new__, DataReceived)
"""Makes one in half the time: each record costs one."""

_TLS12_CID = int(ContentType.TLS12_CID)
_APPLICATION_DATA = int(ContentType.APPLICATION_DATA)


class Established:
    """What `gateway.dtls.endpoint.Endpoint` is without handshakes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._associations = Associations()
        self._outbox: list[tuple[bytes, bytes]] = []
        self._events: deque[Event] = deque()
        self.dropped: Counter[str] = Counter()
        """Records and datagrams that were dropped without a word, by reason."""

    def send(self, association: Association, data: bytes) -> None:
        """Send data as one record: one CoAP message is one record."""
        writer = association.writer
        if len(data) > writer.most_content:
            raise ValueError(f"a record to this peer holds at most {writer.most_content} bytes")
        if writer.next_sequence > LAST_NUMBER:
            self.close(association, "its record numbers are used up")
            return
        self._outbox.append((writer.application_data(data), association.address))

    def datagrams_to_send(self) -> list[tuple[bytes, bytes]]:
        """What is to go out: datagrams and the addresses that they are for."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Event | None:
        """The oldest event that was not fetched yet."""
        return self._events.popleft() if self._events else None

    def close(self, association: Association, reason: str = "closed by us") -> None:
        """End an association and tell the peer."""
        if association in self._associations:
            self._outbox.append((association.close_notify(), association.address))
            self._forget(association, reason)

    def end_where(self, predicate: Callable[[Association], bool], reason: str) -> int:
        """End all associations of which this holds, such as those of a principal that lost its trust; gives how many.

        Their peers are told. Resuming their sessions is for `Config.still_trusted` to refuse.
        """
        ending = [association for association in self._associations if predicate(association)]
        for association in ending:
            self.close(association, reason)
        return len(ending)

    def associations(self) -> list[Association]:
        """All established associations; the one that was silent for longest comes first."""
        return [*self._associations]

    def end_idle(self, now_s: float) -> None:
        """End the associations that were silent for too long."""
        while self._associations:
            oldest = next(iter(self._associations))
            if now_s - oldest.last_seen_s < self._config.idle_timeout_s:
                return
            self._forget(oldest, "idle")

    def export_state(self, key: bytes, now_s: float) -> bytes:
        """All established associations, encrypted and authenticated with a key of 16 or 32 bytes."""
        return seal_state(self._associations, key, now_s)

    def import_state(self, state: bytes, key: bytes, now_s: float) -> int:
        """Go on with the associations of a state, which must never be imported again; gives how many.

        Raises DecodeError where it can't be opened; nothing is imported then.
        """
        associations = open_state(state, key, now_s)[-self._config.max_associations :]
        for association in associations:
            self._associations.add(association)
        return len(associations)

    # -- records ---------------------------------------------------------------------------------

    def _receive_protected(
        self, record: Record, address: bytes, now_s: float, deliver: Callable[[DataReceived], object]
    ) -> bool:
        """Give a record to an established association; False where there is none that it is authentic for."""
        if record.type == _TLS12_CID:
            association = self._associations.by_cid(record.cid)
        else:
            association = self._associations.at(address)
        if association is None:
            return False
        newest = association.window.newest
        opened = association.open(record)
        if opened is None:
            return False
        content_type, content = opened
        if record.sequence > newest:
            self._heard_from(association, address, now_s)
        elif address != association.address:
            self.dropped["old address"] += 1  # authentic, but perhaps replayed from elsewhere (RFC 9146 §6)
        if content_type == _APPLICATION_DATA:
            association.last_flight = None
            deliver(new_data((association, content)))
        elif association.is_worn_out:
            self.close(association, "its record numbers are used up")
        elif content_type == ContentType.ALERT and len(content) == 2:
            if content[0] == AlertLevel.FATAL or content[1] == AlertDescription.CLOSE_NOTIFY:
                if content[1] == AlertDescription.CLOSE_NOTIFY:
                    self._outbox.append((association.close_notify(), association.address))
                    self._forget(association, "closed by the peer")
                else:
                    self._forget(association, f"the peer sent alert {content[1]}")
        elif content_type == ContentType.HANDSHAKE:
            self._repeat_last_flight(association, content)
        return True

    def _heard_from(self, association: Association, address: bytes, now_s: float) -> None:
        """Note the peer's sign of life: an authentic record that is newer than all before (RFC 9146 §6)."""
        association.last_seen_s = now_s
        if address != association.address:
            self._events.append(AddressChanged(association, association.address, address))
            self._associations.move(association, address)
        self._associations.heard_from(association)

    def _repeat_last_flight(self, association: Association, content: bytes) -> None:
        """A repeated Finished says that our last flight was lost; any other handshake message is renegotiation."""
        if content[:1] == bytes((HandshakeType.FINISHED,)):
            flight = association.last_flight
            if flight is not None and flight.transmissions < self._config.max_transmissions:
                flight.transmissions += 1
                for datagram in flight.datagrams(association.writer, self._config.mtu):
                    self._outbox.append((datagram, association.address))
        else:
            refusal = bytes((AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION))
            self._outbox.append((association.seal(ContentType.ALERT, refusal), association.address))

    def _forget(self, association: Association, reason: str) -> None:
        self._associations.remove(association)
        self._events.append(AssociationClosed(association, reason))
