"""What both roles' handshakes have in common (RFC 6347 §4.2): order of messages, transcript, flights, keys.

A handshake is a table: (state, message) → handler; what is not in the table is an unexpected message.

Until Finished everything is plaintext, which anyone can send from any address. A forgery must not end a handshake, nor
get stuck in it, so:

- A message that fails is dropped, and its place is open for another. Only where the very same message fails again
  after a while, or nothing better comes though our flight was repeated, does the alert end the handshake.
- A message that contradicts one that was taken has come later, and takes its place: the peer's flight is gone through
  again with it. So whatever was forged, one flight of the peer's own that arrives whole gets through.
- What is expensive or final, such as judging a client's certificate, waits for a Finished that is right: from there on
  the messages are known to be the peer's own.
"""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.codes import AlertDescription, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import Config
from gateway.dtls.flight import CHANGE_CIPHER_SPEC, Flight, RecordWriter, is_change_cipher_spec
from gateway.dtls.fragments import Arrival, Fragment, HandshakeMessage, Reassembler, fragments_in
from gateway.dtls.handshake_states import Event, Signal, State
from gateway.dtls.prf import extended_master_secret, key_block, master_secret, transcript_hash, verify_data
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import Record, ReplayWindow
from gateway.dtls.suites import CipherSuite
from gateway.dtls.tickets import Session, session_tag
from gateway.model import Principal

EARLY_RECORDS = 8
"""Most records kept that came before their turn: a ChangeCipherSpec, and what is protected by keys to come."""

EARLY_BYTES = 512
"""Largest of them. A protected Finished takes less than 100, beside padding (RFC 9146 §4)."""

FAILURE_PATIENCE_S = 0.5
"""A message that fails again, this long after it failed first, is the peer's own and no forgery."""

SETBACKS_PER_FLIGHT = 128
"""How many messages may fail or be replaced by others, for each time that our flight was sent: each can cost a key
exchange. Beyond, plaintext is not looked at before the flight is sent again."""


class PeerAlertError(AlertError):
    """The peer ended the handshake, with an authentic alert."""


_EVENTS = {int(message_type): message_type for message_type in HandshakeType}
_ALERTS = {int(description): description for description in AlertDescription}


class Keys(NamedTuple):
    """Protection of epoch 1: what we read with, and what we write with."""

    read: RecordProtection
    write: RecordProtection


class _Checkpoint(NamedTuple):
    """Where a handshake stood when it began to wait for the peer's flight."""

    state: State
    transcript: bytes
    next_send: int


class Handshake(ABC):
    """One handshake of one peer."""

    is_client: bool

    def __init__(self, config: Config, writer: RecordWriter, *, next_receive: int, next_send: int) -> None:
        self.config = config
        self.writer = writer
        self.state = State.START
        self.flight = Flight(config.retransmission_timeout_s)
        self.suite: CipherSuite | None = None
        self.principal: Principal | None = None
        self.peer_cid: bytes | None = None
        """The connection ID that the peer wants to see, where it takes part in RFC 9146."""
        self.own_cid: bytes | None = None
        """The connection ID that the peer shall use, likewise."""
        self.resumed = False
        self.window = ReplayWindow()
        """Of epoch 1."""
        self.hint = ""
        """What a peer said in the clear of why it failed: unauthenticated, for the log alone."""
        self.hinted_alert: AlertDescription | None = None
        self.credential_in_doubt = False
        """Whether credentials were taken away since it began: then the peer's is asked for again at the end."""
        self.client_random = b""
        self.server_random = b""
        self.extended = False
        self.keys: Keys | None = None
        self.session: Session | None = None
        self.to_send = False
        """Whether a new flight is ready."""
        self._master = b""
        self._transcript = bytearray()
        self._reassembler = Reassembler(most_bytes=config.max_message_bytes, next_sequence=next_receive)
        self._next_send = next_send
        self._early: list[Record] = []
        self._last_record = -1
        self.failure: AlertError | None = None
        """What went wrong with the peer's flight so far; perhaps not by its own doing."""
        self._failed_s = 0.0
        """Since when."""
        self._failed_message: HandshakeMessage | None = None
        self._repeated = False
        """Whether the peer repeated its flight since."""
        self._setbacks = 0
        self._finished = False
        """Whether the peer's Finished was right: what fails now is of its own making."""
        self._checkpoint = _Checkpoint(State.START, b"", next_send)

    @property
    @abstractmethod
    def transitions(self) -> Mapping[tuple[State, Event], Callable[..., None]]:
        """The table: handlers take (self, message body or b"", now_s, wall_s)."""

    @property
    def session_tag(self) -> bytes:
        """What names the session of this handshake, new or resumed, once there is one."""
        return session_tag(self._master)

    # -- receiving -------------------------------------------------------------------------------

    def receive(self, record: Record, now_s: float, wall_s: float) -> None:
        """Take a record. Raises AlertError where the handshake must end."""
        if record.epoch == 0:
            self._receive_plaintext(record, now_s, wall_s)
        elif record.epoch == 1:
            self._receive_protected(record, now_s, wall_s)
        if self._early:
            self._take_early(now_s, wall_s)

    def _receive_plaintext(self, record: Record, now_s: float, wall_s: float) -> None:
        if record.type == ContentType.HANDSHAKE:
            if self._setbacks >= SETBACKS_PER_FLIGHT * self.flight.transmissions:
                return
            try:
                fragments = fragments_in(record.fragment)
            except DecodeError:
                return
            if self.state is State.FINISHED:  # which comes protected
                fragments = [one for one in fragments if one.sequence < self._reassembler.next_sequence]
            self._receive_fragments(fragments, record.sequence, now_s, wall_s)
        elif is_change_cipher_spec(record.type, record.fragment):
            self._keep(record)
        elif record.type == ContentType.ALERT and len(record.fragment) == 2:
            self.hint = f"the peer sent alert {record.fragment[1]}, which is not authenticated"
            self.hinted_alert = _ALERTS.get(record.fragment[1])

    def _receive_fragments(self, fragments: list[Fragment], record_sequence: int, now_s: float, wall_s: float) -> None:
        for fragment in fragments:
            if fragment.type == HandshakeType.HELLO_REQUEST:
                continue  # ignored during a handshake, and in no transcript (RFC 5246 §7.4.1.1)
            awaited = self._reassembler.next_sequence
            try:
                arrival = self._reassembler.add(fragment)
            except DecodeError as error:
                self._note(AlertError(AlertDescription.ILLEGAL_PARAMETER, str(error)), now_s)
                continue
            if arrival is Arrival.REPEATED:
                self._repeated = True
                if fragment.sequence == awaited - 1:
                    self._last_record = min(self._last_record, record_sequence)
            elif arrival is Arrival.REPLACED:
                self.failure = None
                if fragment.sequence < awaited:
                    self._rewind()
                    self._take_messages(record_sequence, now_s, wall_s, challenger=fragment.sequence, passed=awaited)
                    continue
            self._take_messages(record_sequence, now_s, wall_s)

    def _take_messages(
        self, record_sequence: int, now_s: float, wall_s: float, *, challenger: int = 0, passed: int = 0
    ) -> None:
        """Take the messages whose turn it is.

        Where they are gone through again because another took the place of one, the `challenger`, all that `passed`
        before must do so again, or the one that was there is back.
        """
        while (message := self._reassembler.next_message()) is not None:
            transcript_bytes = len(self._transcript)
            try:
                self._handle(message, now_s, wall_s)
            except AlertError as failure:
                if self._finished:
                    raise
                if message.sequence < passed:
                    self._reassembler.restore(challenger)
                    self._rewind()
                    passed = 0
                    continue
                del self._transcript[transcript_bytes:]
                self._setbacks += 1
                self._reassembler.reject()
                if self.failure and message == self._failed_message and self._is_lasting(now_s):
                    raise
                if message != self._failed_message:
                    self.failure = None
                self._failed_message = message
                self._note(failure, now_s)
                return
            self._last_record = max(self._last_record, record_sequence)

    def _note(self, failure: AlertError, now_s: float) -> None:
        """Remember what went wrong, and since when."""
        if self.failure is None:
            self._failed_s = now_s
            self._repeated = False
        self.failure = failure

    def _is_lasting(self, now_s: float) -> bool:
        return now_s - self._failed_s >= FAILURE_PATIENCE_S

    def _await(self, state: State) -> None:
        """Wait for the peer's flight, which begins with what `state` says."""
        self.state = state
        self.failure = self._failed_message = None
        self._setbacks = 0
        self._last_record = -1
        self._reassembler.commit()
        self._checkpoint = _Checkpoint(state, bytes(self._transcript), self._next_send)

    def _rewind(self) -> None:
        """Go through the peer's flight again."""
        self.state = self._checkpoint.state
        self._transcript[:] = self._checkpoint.transcript
        self._next_send = self._checkpoint.next_send
        self._last_record = -1
        self._setbacks += 1
        self._reassembler.rewind()

    def _receive_protected(self, record: Record, now_s: float, wall_s: float) -> None:
        if self.state is not State.FINISHED or self.keys is None:
            self._keep(record)
            return
        if not self.window.is_fresh(record.sequence):
            return
        opened = self.keys.read.open(record)
        if opened is None:
            # Either it is forged or the peer has other keys than we, as with a wrong pre-shared key.
            failure = AlertError(AlertDescription.DECRYPT_ERROR, "Finished can't be decrypted: the keys differ")
            if self.failure and self._repeated and self._is_lasting(now_s):
                raise failure
            self._note(failure, now_s)
            return
        self.window.mark(record.sequence)
        content_type, content = opened
        if content_type == ContentType.HANDSHAKE:
            try:
                fragments = fragments_in(content)
            except DecodeError:
                return
            self._receive_fragments(fragments, self._last_record, now_s, wall_s)
        elif content_type == ContentType.ALERT and len(content) == 2 and content[0] == AlertLevel.FATAL:
            raise PeerAlertError(
                _ALERTS.get(content[1], AlertDescription.HANDSHAKE_FAILURE), f"the peer sent alert {content[1]}"
            )

    def _keep(self, record: Record) -> None:
        if len(record.fragment) > EARLY_BYTES:
            return
        if len(self._early) >= EARLY_RECORDS:
            self._early.pop(0)
        self._early.append(record)

    def _take_early(self, now_s: float, wall_s: float) -> None:
        """Take what was kept, as soon as it is its turn."""
        while self.state in (State.CHANGE_CIPHER_SPEC, State.FINISHED):
            wanted_epoch = 0 if self.state is State.CHANGE_CIPHER_SPEC else 1
            ready = [record for record in self._early if record.epoch == wanted_epoch]
            if not ready:
                return
            record = ready[0]
            self._early.remove(record)
            if wanted_epoch:
                self._receive_protected(record, now_s, wall_s)
            # A ChangeCipherSpec from before the messages that it must follow does not count.
            elif record.sequence > self._last_record:
                self._dispatch(Signal.CHANGE_CIPHER_SPEC, b"", now_s, wall_s)
                self._reassembler.forget_ahead()  # all that came in the clear and is to come protected

    def _handle(self, message: HandshakeMessage, now_s: float, wall_s: float) -> None:
        event = _EVENTS.get(message.type)
        if event is None:
            raise AlertError(AlertDescription.UNEXPECTED_MESSAGE, f"handshake message {message.type}")
        if event is HandshakeType.FINISHED or event is HandshakeType.CERTIFICATE_VERIFY:
            self._dispatch(event, message.body, now_s, wall_s)  # they cover what came before them
            self._transcript += message.encode()
        else:
            self._transcript += message.encode()
            self._dispatch(event, message.body, now_s, wall_s)
        self._after(event, wall_s)

    def _dispatch(self, event: Event, body: bytes, now_s: float, wall_s: float) -> None:
        handler = self.transitions.get((self.state, event))
        if handler is None:
            raise AlertError(AlertDescription.UNEXPECTED_MESSAGE, f"{event.name} while waiting for {self.state.name}")
        try:
            handler(self, body, now_s, wall_s)
        except DecodeError as error:
            raise AlertError(AlertDescription.DECODE_ERROR, f"{event.name}: {error}") from None

    @abstractmethod
    def _after(self, event: Event, wall_s: float) -> None:
        """Called when a message is in the transcript: the place to answer Finished."""

    # -- sending ---------------------------------------------------------------------------------

    def _begin_flight(self) -> None:
        self.flight = Flight(self.config.retransmission_timeout_s)
        self.to_send = True

    def prepare_repetition(self) -> None:
        """To be called before our flight is sent again because its time-out is over."""
        self.flight.back_off()

    def _send(self, message_type: HandshakeType, body: bytes, *, epoch: int = 0) -> None:
        message = HandshakeMessage(message_type, self._next_send, body)
        self._next_send += 1
        self._transcript += message.encode()
        self.flight.add(ContentType.HANDSHAKE, epoch, message)

    def _send_change_cipher_spec_and_finished(self) -> None:
        assert self.suite is not None
        assert self.keys is not None
        self.flight.add(ContentType.CHANGE_CIPHER_SPEC, 0, CHANGE_CIPHER_SPEC)
        self.writer.protect(self.keys.write)
        data = verify_data(self.suite, self._master, by_client=self.is_client, handshake_hash=self._transcript_hash())
        self._send(HandshakeType.FINISHED, data, epoch=1)

    # -- keys ------------------------------------------------------------------------------------

    def _transcript_hash(self) -> bytes:
        assert self.suite is not None
        return transcript_hash(self.suite, bytes(self._transcript))

    def _derive_master(self, premaster: bytes) -> None:
        """To be called when ClientKeyExchange is in the transcript (RFC 7627 §4)."""
        assert self.suite is not None
        if self.extended:
            self._use_master(extended_master_secret(self.suite, premaster, self._transcript_hash()))
        else:
            self._use_master(master_secret(self.suite, premaster, self.client_random, self.server_random))

    def _use_master(self, master: bytes) -> None:
        assert self.suite is not None
        self._master = master
        self.window = ReplayWindow()  # with other keys than before, if there were any, nothing was received
        client_key, server_key, client_iv, server_iv = key_block(
            self.suite, master, self.client_random, self.server_random
        )
        aead = self.suite.aead
        # A zero-length connection ID means records as without one, in that direction (RFC 9146 §3).
        read_cid, write_cid = self.own_cid or b"", self.peer_cid or b""
        if self.is_client:
            self.keys = Keys(
                RecordProtection(aead, server_key, server_iv, read_cid),
                RecordProtection(aead, client_key, client_iv, write_cid),
            )
        else:
            self.keys = Keys(
                RecordProtection(aead, client_key, client_iv, read_cid),
                RecordProtection(aead, server_key, server_iv, write_cid),
            )
        if self.config.key_log is not None:
            self.config.key_log(f"CLIENT_RANDOM {self.client_random.hex()} {master.hex()}")

    def _check_finished(self, body: bytes) -> None:
        """Raises AlertError where this is not what the peer's Finished must hold now.

        Each state in which a Finished is taken follows a ChangeCipherSpec, so it came protected.
        """
        assert self.suite is not None
        expected = verify_data(
            self.suite, self._master, by_client=not self.is_client, handshake_hash=self._transcript_hash()
        )
        if not hmac.compare_digest(body, expected):
            raise AlertError(AlertDescription.DECRYPT_ERROR, "Finished does not match the handshake")
        self._finished = True

    def _session(self, wall_s: float) -> Session:
        assert self.suite is not None
        return Session(self.suite, self._master, self.extended, self.principal, int(wall_s))
