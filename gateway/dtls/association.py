"""An established association: a peer, its keys, and what it takes to go on with it."""

from itertools import count

from gateway.dtls.codes import AlertDescription, AlertLevel, ContentType
from gateway.dtls.flight import Flight, RecordWriter
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import MAX_SEQUENCE, Record, ReplayWindow
from gateway.dtls.suites import CipherSuite
from gateway.model import Principal

NUMBERS_IN_RESERVE = 64
"""Record numbers kept for the end: more than the answer to any one record takes."""

LAST_NUMBER = MAX_SEQUENCE - NUMBERS_IN_RESERVE
"""The last one that application data may have."""


_handles = count(1)


class Association:
    """A peer with which a handshake was completed.

    `address` is where it was last heard from by an authentic record; what it is known by is its principal.
    """

    __slots__ = (
        "address",
        "client_random",
        "established_s",
        "handle",
        "is_client",
        "last_flight",
        "last_seen_s",
        "principal",
        "read",
        "resumed",
        "session_tag",
        "suite",
        "window",
        "writer",
    )

    def __init__(
        self,
        *,
        address: bytes,
        suite: CipherSuite,
        principal: Principal | None,
        is_client: bool,
        resumed: bool,
        read: RecordProtection,
        window: ReplayWindow,
        writer: RecordWriter,
        last_flight: Flight | None,
        last_seen_s: float,
        established_s: float | None = None,
        session_tag: bytes = b"",
        client_random: bytes = b"",
    ) -> None:
        self.handle = next(_handles).to_bytes(8, "big")
        """What it is called, wherever its peer is: no other association of this process ever has the same."""
        self.address = address
        self.suite = suite
        self.principal = principal
        self.is_client = is_client
        """Whether we are the client."""
        self.resumed = resumed
        self.read = read
        self.window = window
        self.writer = writer
        self.last_flight = last_flight
        """To be sent again should the peer repeat its own; forgotten once the peer shows that it has it."""
        self.last_seen_s = last_seen_s
        self.established_s = last_seen_s if established_s is None else established_s
        """When its handshake was complete, on the clock of `last_seen_s`."""
        self.session_tag = session_tag
        """What names the session that it can be resumed by (`tickets.session_tag`); empty where that is not known."""
        self.client_random = client_random
        """By which a late copy of the hello that it came of is known; empty after a restart."""

    @property
    def cid(self) -> bytes:
        """The connection ID by which its records find us; empty where they do so by address."""
        return self.read.cid

    @property
    def is_worn_out(self) -> bool:
        """Whether its record numbers come to their end, which they must not pass (RFC 6347 §4.1)."""
        return self.writer.next_sequence > LAST_NUMBER

    def open_newest(self, datagram: bytes) -> bytes | None:
        """The application data of a datagram of epoch 1 for us that is newer than all before; None where it is not so
        simple, and `open` has to look at its records.
        """
        window, sequence = self.window, int.from_bytes(datagram[5:11], "big")
        if sequence <= window.newest:
            return None
        content = self.read.open_application_data(datagram)
        if content is not None:
            window.mark(sequence)
        return content

    def open(self, record: Record) -> tuple[int, bytes] | None:
        """Type and content of a record; None where it is a replay or not authentic."""
        window, sequence = self.window, record.sequence
        # As a rule it is newer than all before; then there is nothing to ask.
        if record.epoch != 1 or (sequence <= window.newest and not window.is_fresh(sequence)):
            return None
        opened = self.read.open(record)
        if opened is not None:
            window.mark(sequence)
        return opened

    def seal(self, content_type: int, content: bytes) -> bytes:
        """The next record to the peer."""
        return self.writer.record(content_type, 1, content)

    def close_notify(self) -> bytes:
        """The record that ends the association (RFC 5246 §7.2.1)."""
        return self.seal(ContentType.ALERT, bytes((AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)))

    def __repr__(self) -> str:
        return f"<Association {self.principal} {self.suite.name}>"
