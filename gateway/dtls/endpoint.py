"""Many peers on one socket: which record belongs to whom, and when what is due."""

from collections.abc import Callable, Iterable

from gateway.dtls.admission import Admission
from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.association import Association
from gateway.dtls.attempts import Attempt, Attempts
from gateway.dtls.client import ClientHandshake, Resumption
from gateway.dtls.codes import AlertDescription, AlertLevel, ContentType
from gateway.dtls.config import Config
from gateway.dtls.connection_ids import CID_START, new_connection_id
from gateway.dtls.cookie import CookieJar
from gateway.dtls.established import Established, new_data
from gateway.dtls.events import DataReceived, HandshakeCompleted, HandshakeFailed, HandshakeHint, HostLockedOut
from gateway.dtls.flight import RecordWriter
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.greeting import hello_verify_request, is_client_hello, is_late, read_hello
from gateway.dtls.handshake import PeerAlertError
from gateway.dtls.handshake_states import State
from gateway.dtls.messages import ClientHello
from gateway.dtls.record import Record, records_of
from gateway.dtls.server import ServerHandshake
from gateway.dtls.sessions import SessionCache
from gateway.model import Principal

MAX_CONTENT_BYTES = 1 << 14
"""Largest content of a record (RFC 5246 §6.2.1)."""

REPETITION_S = 0.1
"""A flight is repeated at a peer's wish no sooner than this after it was sent."""


_HEAD_BYTES = 5
_DATA_HEAD, _CID_HEAD = (
    bytes((one, 0xFE, 0xFD, 0, 1)) for one in (ContentType.APPLICATION_DATA, ContentType.TLS12_CID)
)
"""Type, version and epoch of the one record that nearly all datagrams are."""


class Endpoint(Established):
    """The DTLS side of one socket.

    Addresses are opaque bytes. `now_s` is a monotonic clock, `wall_s` the wall clock; both in seconds.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._cid_bytes = config.connection_id_bytes or 0
        self._cookies = CookieJar()
        self._sessions = SessionCache(config.session_ids)
        self._attempts = Attempts(config)
        self._admission = Admission(config)

    # -- the interface ---------------------------------------------------------------------------

    def reconfigure(self, config: Config) -> None:
        """Go by this for handshakes that begin from now on. Length and shard of connection IDs can't change."""
        self._config = config
        self._admission.reconfigure(config)

    def receive_datagram(self, data: bytes, address: bytes, now_s: float, wall_s: float) -> None:
        """Take a datagram; never raises on what a peer sent."""
        self._take(((data, address),), now_s, wall_s, self._events.append)

    def receive_datagrams(
        self, datagrams: Iterable[tuple[bytes, bytes]], now_s: float, wall_s: float
    ) -> list[DataReceived]:
        """Take datagrams, each with its address; the shorter way for many: gives their data instead of queueing it.

        All other events are queued as ever; to be fetched first, for the same datagrams may have brought both an
        association and data.
        """
        received: list[DataReceived] = []
        self._take(datagrams, now_s, wall_s, received.append)
        return received

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called."""
        return self._attempts.next_timeout()

    def handle_timeout(self, now_s: float) -> None:
        """Send again what was not answered; give up what was not answered often enough."""
        for attempt in self._attempts.timed_out(now_s):
            handshake = attempt.handshake
            if handshake.flight.transmissions < self._config.max_transmissions:
                handshake.prepare_repetition()
                self._transmit(attempt, now_s)
            elif handshake.failure is not None:
                self._fail(attempt, handshake.failure, now_s)
            else:
                self._attempts.remove(attempt)
                self._tell_given_up(attempt, "the peer does not answer")

    def connect(self, address: bytes, now_s: float, *, resumption: Resumption | None = None) -> None:
        """Begin a handshake as a client."""
        writer = RecordWriter(most_content=MAX_CONTENT_BYTES)
        cid = self._new_cid()
        handshake = ClientHandshake(self._config, writer, own_cid=cid, resumption=resumption)
        self._add_attempt(Attempt(address, handshake, cid), now_s)

    def end_where(self, predicate: Callable[[Association], bool], reason: str) -> int:
        """As for established associations; the clients of handshakes under way are judged again at their end."""
        for attempt in self._attempts:
            attempt.handshake.credential_in_doubt = True
        return super().end_where(predicate, reason)

    def give_up_resuming(self, session_tag: bytes) -> None:
        """End the handshakes under way that resume this session; further ones are for `Config.may_resume` to refuse."""
        for attempt in [*self._attempts]:
            if attempt.handshake.resumed and attempt.handshake.session_tag == session_tag:
                self._attempts.remove(attempt)
                self._tell_given_up(attempt, "the session was ended while it was resumed")

    @property
    def handshakes_under_way(self) -> int:
        """How many are begun and not complete."""
        return len(self._attempts)

    # -- records ---------------------------------------------------------------------------------

    def _take(
        self,
        datagrams: Iterable[tuple[bytes, bytes]],
        now_s: float,
        wall_s: float,
        deliver: Callable[[DataReceived], object],
    ) -> None:
        at, by_cid, cid_end = self._associations.at, self._associations.by_cid, CID_START + self._cid_bytes
        for data, address in datagrams:
            head = data[:_HEAD_BYTES]
            if head == _DATA_HEAD:
                association = at(address)
            else:
                association = by_cid(data[CID_START:cid_end]) if head == _CID_HEAD else None
            if association is not None and (content := association.open_newest(data)) is not None:
                self._heard_from(association, address, now_s)
                association.last_flight = None
                deliver(new_data((association, content)))
                continue
            records = records_of(data, self._cid_bytes)
            for record in records:
                if record.epoch and self._receive_protected(record, address, now_s, deliver):
                    continue
                if not self._receive_unestablished(record, address, now_s, wall_s):
                    break
            if not records:
                self.dropped["malformed"] += 1

    def _receive_unestablished(self, record: Record, address: bytes, now_s: float, wall_s: float) -> bool:
        """Take a record that belongs to no established association: to a handshake, or to none yet.

        False where the rest of its datagram is not worth looking at.
        """
        attempt = self._attempts.get(address)
        if attempt is not None and self._receive_handshake(attempt, record, now_s, wall_s):
            return True
        if record.epoch == 0 and is_client_hello(record):
            self._receive_hello(record, address, now_s, wall_s)
            return False  # nothing can follow a ClientHello before it is answered
        self.dropped["not authentic" if record.epoch else "out of place"] += 1
        return True

    def _receive_handshake(self, attempt: Attempt, record: Record, now_s: float, wall_s: float) -> bool:
        """Give a record to a handshake; False where it is a ClientHello that may begin another one."""
        handshake = attempt.handshake
        if record.epoch == 0 and is_client_hello(record) and not handshake.is_client:
            return False
        try:
            handshake.receive(record, now_s, wall_s)
        except AlertError as failure:
            self._fail(attempt, failure, now_s)
            return True
        if handshake.hint and not attempt.hint_told:
            attempt.hint_told = True
            self._events.append(HandshakeHint(attempt.address, handshake.hinted_alert))
        if handshake.to_send:
            self._transmit(attempt, now_s)
        if handshake.state is State.DONE:
            self._complete(attempt, now_s)
        return True

    def _receive_hello(self, record: Record, address: bytes, now_s: float, wall_s: float) -> None:
        """A ClientHello: answered without state until it carries a cookie of ours."""
        try:
            message, hello = read_hello(record)
        except DecodeError:
            self.dropped["no hello"] += 1
            return
        known = self._attempts.get(address)
        if known is not None and known.hello == hello:
            # Its cookie may have expired meanwhile, but another one would be another hello, and another handshake.
            self._repeat_flight(known, now_s)
            return
        if not self._cookies.accepts(address, message.body, now_s):
            cookie = self._cookies.cookie(address, message.body, now_s)
            self._outbox.append((hello_verify_request(cookie, record.sequence), address))
            return
        established = self._associations.at(address)
        if established is not None and is_late(hello, established, now_s):
            return
        refusal = self._admission.refusal(address, now_s)
        if refusal:
            self.dropped[refusal] += 1
            return
        self._begin(record, message, hello, address, now_s, wall_s)

    def _begin(
        self, record: Record, message: HandshakeMessage, hello: ClientHello, address: bytes, now_s: float, wall_s: float
    ) -> None:
        most_content = self._config.max_fragment_length or MAX_CONTENT_BYTES
        writer = RecordWriter(most_content=most_content, first_sequence=record.sequence)
        cid = self._new_cid()
        try:
            handshake = ServerHandshake(
                self._config,
                writer,
                message,
                hello,
                own_cid=cid,
                sessions=self._sessions,
                now_s=now_s,
                wall_s=wall_s,
            )
        except (AlertError, DecodeError) as error:
            malformed = AlertError(AlertDescription.DECODE_ERROR, f"ClientHello: {error}")
            self._refuse(writer, address, error if isinstance(error, AlertError) else malformed)
        else:
            self._add_attempt(Attempt(address, handshake, cid, hello), now_s)

    # -- handshakes ------------------------------------------------------------------------------

    def _add_attempt(self, attempt: Attempt, now_s: float) -> None:
        oldest = self._attempts.add(attempt)
        if oldest is not None:
            self._tell_given_up(oldest, "too many handshakes at a time")
        self._transmit(attempt, now_s)

    def _repeat_flight(self, attempt: Attempt, now_s: float) -> None:
        """The client said its hello again, so our flight was lost (RFC 6347 §4.2.4)."""
        transmissions = attempt.handshake.flight.transmissions
        if now_s - attempt.sent_s >= REPETITION_S and transmissions < self._config.max_transmissions:
            self._transmit(attempt, now_s)

    def _transmit(self, attempt: Attempt, now_s: float) -> None:
        """Send the flight, and set its timer."""
        handshake = attempt.handshake
        handshake.to_send = False
        flight = handshake.flight
        flight.transmissions += 1
        for datagram in flight.datagrams(handshake.writer, self._config.mtu):
            self._outbox.append((datagram, attempt.address))
        if handshake.state is not State.DONE:
            self._attempts.set_timer(attempt, now_s)

    def _complete(self, attempt: Attempt, now_s: float) -> None:
        self._attempts.remove(attempt)
        handshake = attempt.handshake
        old = self._associations.at(attempt.address)
        # One with a connection ID may be of another peer, which a NAT has moved elsewhere since.
        if old is not None and (not old.cid or old.principal == handshake.principal):
            self._forget(old, "replaced by a new handshake")
        if len(self._associations) >= self._config.max_associations:
            self._forget(self._associations.most_dispensable(), "too many associations")
        association = attempt.association(now_s)
        self._associations.add(association)
        resumption = handshake.resumption if isinstance(handshake, ClientHandshake) else None
        self._events.append(HandshakeCompleted(association, resumption))

    def _fail(self, attempt: Attempt, failure: AlertError, now_s: float) -> None:
        """End a handshake with an alert."""
        self._attempts.remove(attempt)
        self._refuse(attempt.handshake.writer, attempt.address, failure, attempt.handshake.principal)
        # Before there are keys it was not about credentials; and whoever speaks for others must not lock them out.
        if attempt.handshake.keys is not None and self._admission.failed(attempt.address, now_s):
            self._events.append(HostLockedOut(attempt.address, self._config.lockout_s))

    def _refuse(
        self, writer: RecordWriter, address: bytes, failure: AlertError, claimed: Principal | None = None
    ) -> None:
        by_peer = isinstance(failure, PeerAlertError)
        if not by_peer:
            self._alert(writer, address, failure.description)
        self._events.append(HandshakeFailed(address, failure.description, failure.reason, by_peer, claimed))

    def _tell_given_up(self, attempt: Attempt, reason: str) -> None:
        hint = attempt.handshake.hint
        self._events.append(HandshakeFailed(attempt.address, None, f"{reason}; {hint}" if hint else reason))

    def _alert(self, writer: RecordWriter, address: bytes, description: AlertDescription) -> None:
        content = bytes((AlertLevel.FATAL, description))
        epoch = 0 if writer.protection is None else 1  # protected once our ChangeCipherSpec is out
        self._outbox.append((writer.record(ContentType.ALERT, epoch, content), address))

    # -- associations ----------------------------------------------------------------------------

    def _new_cid(self) -> bytes:
        return new_connection_id(
            self._cid_bytes,
            shard=self._config.shard,
            shards=self._config.shards,
            is_taken=lambda cid: self._associations.by_cid(cid) is not None or cid in self._attempts.cids,
        )
