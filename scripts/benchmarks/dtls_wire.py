"""Requests over established DTLS sessions. Each record is sealed and opened in full, by the gateway's own engine.

The sessions come of real handshakes. What follows goes by their keys alone, past the engine's endpoint, which would
cost the load generator what it costs the server.
"""

import select
import time
from collections.abc import Callable

from benchmarks.datagrams import BATCH, MESSAGE_IDS, TOKEN_BYTES, Slots, request_head, success_head
from benchmarks.load import Dtls, Job
from benchmarks.servers import BenchError
from benchmarks.wire import Peer
from gateway.dtls.association import Association
from gateway.dtls.codes import ContentType
from gateway.dtls.config import Config, PskCredential
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import HandshakeCompleted
from gateway.dtls.record import HEADER, HEADER_BYTES, MAX_SEQUENCE, Record
from gateway.dtls.suites import BY_NAME

HANDSHAKE_BOUND_S = 10.0

_SUITE = "PSK_WITH_AES_128_CCM_8"
_SERVER = b"server"
_APPLICATION_DATA = int(ContentType.APPLICATION_DATA)
_MESSAGE_BYTES = 4 + TOKEN_BYTES
"""Of a response without options and payload."""
_RECEIVE_SLOT_BYTES = 128


class _Session:
    """What an established session needs to go on: its keys, its record numbers, its requests."""

    def __init__(self, association: Association, number: int, tails: list[bytes]) -> None:
        protection = association.writer.protection
        assert protection is not None
        self.seal = protection.seal
        self.open = association.read.open
        self.next_sequence = association.writer.next_sequence
        upper = number.to_bytes(2, "little")
        self.ends = [upper + tail for tail in tails]
        """What follows message ID and lower half of the token, for each tail."""


class DtlsWire:
    """A session for each peer."""

    def __init__(self, job: Job, dtls: Dtls) -> None:
        self._address = job.host, job.port
        self._config = Config(
            suites=(BY_NAME[_SUITE],),
            client_psk=PskCredential(dtls.identity.encode(), bytes.fromhex(dtls.key)),
            connection_id_bytes=0 if dtls.connection_id else None,
        )
        self._tails = [bytes.fromhex(tail) for tail in job.tails]
        if len({len(tail) for tail in self._tails}) != 1:
            raise BenchError("the requests must be of one length")
        head = request_head(job.method, confirmable=job.confirmable)
        self._heads = [head + mid.to_bytes(2, "little") * 2 for mid in range(MESSAGE_IDS)]
        """By message ID: the beginning of a request, up to the lower half of its token."""
        self._success = success_head(job.expected_code, confirmable=job.confirmable)
        self._sessions: list[_Session] = []
        self._out: Slots | None = None
        self._in = Slots(_RECEIVE_SLOT_BYTES)
        self._messages: list[bytes] = []
        """The last batch, decrypted; an empty one in the place of what is not authentic."""

    def open(self, number: int) -> Peer:
        peer = Peer(number, *self._address)
        self._sessions.append(_Session(connect(peer, self._config), number, self._tails))
        return peer

    def send(self, peer: Peer, count: int) -> int:
        session, mid = self._sessions[peer.number], peer.next_mid
        count = min(count, BATCH, MESSAGE_IDS - mid)
        seal, heads, ends, many = session.seal, self._heads, session.ends, len(session.ends)
        sequence = session.next_sequence - mid
        session.next_sequence += count  # whether the kernel takes them or not: no number is used twice
        records = [
            seal(_APPLICATION_DATA, 1, sequence + number, heads[number] + ends[number % many])
            for number in range(mid, mid + count)
        ]
        out = self._out = self._out or Slots(len(records[0]))
        out.data[: count * out.slot_bytes] = b"".join(records)
        return out.send(peer.fd, count)

    def acknowledge(self, peer: Peer, mid: bytes) -> None:
        session = self._sessions[peer.number]
        record = session.seal(_APPLICATION_DATA, 1, session.next_sequence, b"\x60\x00" + mid)
        session.next_sequence += 1
        peer.socket.send(record)

    def receive(self, peer: Peer) -> int:
        slots = self._in
        count = slots.receive(peer.fd)
        if count:
            open_ = self._sessions[peer.number].open
            self._messages = [_content(open_, slots.datagram(slot)) for slot in range(count)]
        return count

    def all_succeeded(self, count: int) -> bool:
        messages, success = self._messages, self._success
        return all(len(message) == _MESSAGE_BYTES and message[:2] == success for message in messages)

    def tokens(self, count: int) -> list[int]:
        return [int.from_bytes(message[4:8], "little") for message in self._messages]

    def message(self, slot: int) -> bytes:
        return self._messages[slot]


def _content(open_: Callable[[Record], tuple[int, bytes] | None], datagram: bytes) -> bytes:
    """The CoAP message in a datagram that holds one record; empty where there is none that is authentic."""
    if len(datagram) < HEADER_BYTES:
        return b""
    content_type, version, number, _ = HEADER.unpack_from(datagram)
    opened = open_(Record(content_type, version, number >> 48, number & MAX_SEQUENCE, b"", datagram[HEADER_BYTES:]))
    return opened[1] if opened is not None and opened[0] == _APPLICATION_DATA else b""


def connect(peer: Peer, config: Config) -> Association:
    """Make a handshake over a peer's socket. Raises BenchError where it fails or takes too long."""
    endpoint = Endpoint(config)
    now_s = time.monotonic()
    deadline_s = now_s + HANDSHAKE_BOUND_S
    endpoint.connect(_SERVER, now_s)
    while now_s < deadline_s:
        for datagram, _ in endpoint.datagrams_to_send():
            peer.socket.send(datagram)
        event = endpoint.next_event()
        if isinstance(event, HandshakeCompleted):
            return event.association
        if event is not None:
            raise BenchError(f"the handshake failed: {event}")
        due_s = min(deadline_s, endpoint.next_timeout() or deadline_s)
        if select.select([peer.fd], [], [], max(0.0, due_s - now_s))[0]:
            endpoint.receive_datagram(peer.socket.recv(65536), _SERVER, time.monotonic(), time.time())
        now_s = time.monotonic()
        endpoint.handle_timeout(now_s)
    raise BenchError(f"the handshake took more than {HANDSHAKE_BOUND_S:.0f} s")
