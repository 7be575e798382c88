"""Hostile peers: a client and a server that say what the tests tell them, in any order, and else keep to the rules.

They are as clever as can be: the transcript that they compute their Finished from is what was really said, so that
nothing but the rule that a test breaks stands between them and a handshake.

client = HostileClient(server_config())
client.greet()                       # ClientHello, cookie, and the server's flight
client.exchange_keys()
client.finish()                      # without the ChangeCipherSpec
client.repeat()                      # the same flight a second later: now the alert must come
assert client.alerts == [...]
"""

from gateway.dtls.codes import (
    DTLS_1_2,
    AlertDescription,
    AlertLevel,
    ContentType,
    HandshakeType,
)
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, Event, HandshakeCompleted, HandshakeFailed
from gateway.dtls.fragments import HandshakeMessage, Reassembler, fragments_in
from gateway.dtls.prf import extended_master_secret, key_block, master_secret, transcript_hash, verify_data
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import record_header, records_of
from gateway.dtls.suites import CipherSuite

from .certificates import NOW_S
from .peers import CCM_8

CHANGE_CIPHER_SPEC = b"\1"


class Adversary:
    """What both roles have in common. `endpoint` is the side under test, which sees us at `address`."""

    is_client: bool

    def __init__(self, endpoint: Endpoint, address: bytes, *, cid: bytes | None = None, now_s: float = 0.0) -> None:
        self.endpoint = endpoint
        self.address = address
        self.now_s = now_s
        self.offered_cid = cid
        """The connection ID that we want to see; None: we do not take part in RFC 9146."""
        self.suite: CipherSuite = CCM_8
        self.extended = True
        self.master = b""
        self.client_random, self.server_random = bytes(range(32)), bytes(range(32, 64))
        self.transcript = bytearray()
        self.heard: list[HandshakeMessage] = []
        """The other side's handshake messages."""
        self.alerts: list[AlertDescription] = []
        """The fatal alerts that we were sent."""
        self.warnings: list[AlertDescription] = []
        self.data: list[bytes] = []
        """The application data that we were sent."""
        self.datagrams: list[bytes] = []
        """All that we were sent, as it came."""
        self.sent: list[bytes] = []
        """All that we sent."""
        self.events: list[Event] = []
        self.next_sequence = 0
        self.write: RecordProtection | None = None
        self.read: RecordProtection | None = None
        self._record_numbers = [0, 0]
        self._flight: list[tuple[int, int, bytes]] = []
        self._restart_listening()

    def _restart_listening(self) -> None:
        self._reassembler = Reassembler(most_bytes=1 << 16, next_sequence=0)

    # -- records ---------------------------------------------------------------------------------

    def record(
        self, content_type: int, content: bytes, *, epoch: int = 0, number: int | None = None, version: int = DTLS_1_2
    ) -> bytes:
        """Our next record; protected where it is of epoch 1."""
        if number is None:
            number = self._record_numbers[epoch]
            self._record_numbers[epoch] += 1
        if epoch:
            assert self.write is not None
            return self.write.seal(content_type, epoch, number, content)
        header = record_header(content_type, epoch, number, len(content))
        return header[:1] + version.to_bytes(2, "big") + header[3:] + content

    def put(self, content_type: int, content: bytes, *, epoch: int = 0, number: int | None = None) -> None:
        """Send a record of its own."""
        self._flight.append((content_type, epoch, content))
        self.deliver(self.record(content_type, content, epoch=epoch, number=number))

    def deliver(self, datagram: bytes, *, address: bytes | None = None) -> None:
        """Send a datagram as it is, and listen."""
        self.sent.append(datagram)
        self.endpoint.receive_datagram(datagram, address or self.address, self.now_s, NOW_S + self.now_s)
        self.listen()

    def repeat(self, after_s: float = 1.0) -> None:
        """Send our flight again, with new record numbers, as an honest peer without an answer does."""
        self.wait(after_s)
        for content_type, epoch, content in [*self._flight]:
            self.deliver(self.record(content_type, content, epoch=epoch))

    def wait(self, seconds: float) -> None:
        """Let time pass; the other side's timers run."""
        end_s = self.now_s + seconds
        while (due_s := self.endpoint.next_timeout()) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self.endpoint.handle_timeout(self.now_s)
            self.listen()
        self.now_s = end_s

    def begin_flight(self) -> None:
        """What comes next is another flight, for `repeat`."""
        self._flight.clear()

    # -- listening -------------------------------------------------------------------------------

    def listen(self) -> None:
        """Take all that the other side has to say and to tell."""
        while (event := self.endpoint.next_event()) is not None:
            self.events.append(event)
        for datagram, address in self.endpoint.datagrams_to_send():
            if address == self.address:
                self.datagrams.append(datagram)
                for record in records_of(datagram, len(self.offered_cid or b"")):
                    opened: tuple[int, bytes] | None = (record.type, record.fragment)
                    if record.epoch:
                        opened = self.read.open(record) if self.read else None
                    if opened is not None:
                        self._hear(*opened)

    def _hear(self, content_type: int, content: bytes) -> None:
        if content_type == ContentType.HANDSHAKE:
            for fragment in fragments_in(content):
                self._reassembler.add(fragment)
            while (message := self._reassembler.next_message()) is not None:
                self.heard.append(message)
        elif content_type == ContentType.ALERT:
            (self.alerts if content[0] == AlertLevel.FATAL else self.warnings).append(AlertDescription(content[1]))
        elif content_type == ContentType.APPLICATION_DATA:
            self.data.append(content)

    def latest(self, message_type: HandshakeType) -> HandshakeMessage | None:
        """The latest message of a type that we heard."""
        return next((message for message in reversed(self.heard) if message.type == message_type), None)

    def body(self, message_type: HandshakeType) -> bytes:
        """The body of that; there must be one."""
        message = self.latest(message_type)
        assert message is not None, message_type.name
        return message.body

    # -- handshake messages ----------------------------------------------------------------------

    def say(
        self, message_type: int, body: bytes, *, sequence: int | None = None, epoch: int = 0, counts: bool = True
    ) -> HandshakeMessage:
        """Send a handshake message; one that `counts` is in our transcript."""
        if sequence is None:
            sequence = self.next_sequence
            self.next_sequence += 1
        message = HandshakeMessage(message_type, sequence, body)
        if counts:
            self.transcript += message.encode()
        self.put(ContentType.HANDSHAKE, message.encode(), epoch=epoch)
        return message

    def change_cipher_spec(self, content: bytes = CHANGE_CIPHER_SPEC, *, number: int | None = None) -> None:
        """Send a ChangeCipherSpec."""
        self.put(ContentType.CHANGE_CIPHER_SPEC, content, number=number)

    def finish(self, data: bytes | None = None, *, epoch: int = 1) -> None:
        """Send a Finished over what was said so far."""
        if data is None:
            digest = transcript_hash(self.suite, bytes(self.transcript))
            data = verify_data(self.suite, self.master, by_client=self.is_client, handshake_hash=digest)
        self.say(HandshakeType.FINISHED, data, epoch=epoch)

    def alert(self, description: int, level: int = AlertLevel.FATAL, *, epoch: int = 0) -> None:
        """Send an alert."""
        self.put(ContentType.ALERT, bytes((level, description)), epoch=epoch)

    def send_data(self, data: bytes, *, epoch: int = 1) -> None:
        """Send application data."""
        self.put(ContentType.APPLICATION_DATA, data, epoch=epoch)

    def derive(self, premaster: bytes, *, master: bytes | None = None) -> None:
        """Agree on keys, from a premaster secret or as the master secret of an earlier session."""
        if master is not None:
            self.master = master
        elif self.extended:
            digest = transcript_hash(self.suite, bytes(self.transcript))
            self.master = extended_master_secret(self.suite, premaster, digest)
        else:
            self.master = master_secret(self.suite, premaster, self.client_random, self.server_random)
        ours, theirs, our_iv, their_iv = key_block(self.suite, self.master, self.client_random, self.server_random)
        if not self.is_client:
            ours, theirs, our_iv, their_iv = theirs, ours, their_iv, our_iv
        self.write = RecordProtection(self.suite.aead, ours, our_iv, self._peer_cid())
        self.read = RecordProtection(self.suite.aead, theirs, their_iv, self.offered_cid or b"")

    def take_finished(self) -> None:
        """Take the other side's Finished, the first protected message that it sent, into our transcript."""
        assert self.read is not None
        for datagram in self.datagrams:
            for record in records_of(datagram, len(self.offered_cid or b"")):
                opened = self.read.open(record) if record.epoch else None
                if opened is not None and opened[0] == ContentType.HANDSHAKE:
                    self.transcript += opened[1]
                    return

    def _peer_cid(self) -> bytes:
        raise NotImplementedError

    # -- outcome ---------------------------------------------------------------------------------

    @property
    def established(self) -> bool:
        """Whether the other side ever believed the handshake to be complete."""
        return bool(self.endpoint.associations()) or any(isinstance(one, HandshakeCompleted) for one in self.events)

    @property
    def failures(self) -> list[HandshakeFailed]:
        """The handshakes that failed."""
        return [event for event in self.events if isinstance(event, HandshakeFailed)]

    @property
    def delivered(self) -> list[bytes]:
        """The application data that the other side took from us."""
        return [event.data for event in self.events if isinstance(event, DataReceived)]


A_LONG_TIME_S = 600.0
"""Longer than any handshake takes."""


def refused(peer: Adversary, alert: AlertDescription) -> HandshakeFailed:
    """That a peer was sent this alert, and no other, and is not in."""
    assert not peer.established
    assert peer.alerts == [alert]
    (failure,) = peer.failures
    assert failure.alert is alert
    return failure


def refused_when_repeated(peer: Adversary, alert: AlertDescription) -> HandshakeFailed:
    """That this alert comes, but not before the peer said the same again."""
    assert not peer.alerts
    assert not peer.failures
    peer.repeat()
    return refused(peer, alert)


def ignored(peer: Adversary) -> None:
    """That nothing comes of it, and nobody is told before the handshake is given up."""
    assert not peer.alerts
    assert not peer.failures
    peer.wait(A_LONG_TIME_S)
    assert not peer.established
    assert not peer.alerts
    assert [failure.alert for failure in peer.failures] == [None]
