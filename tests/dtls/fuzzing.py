"""What both fuzzers use: endpoints at each stage of a handshake, datagrams that were changed, and the bounds."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.dtls.codes import HandshakeType
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.fragments import OTHER_MESSAGES_BYTES
from gateway.dtls.handshake import EARLY_BYTES, EARLY_RECORDS
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TicketKeys

from .pair import CLIENT, SERVER, Pair
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, server_config

MAX_HANDSHAKES, MAX_ASSOCIATIONS, MAX_MESSAGE_BYTES = 4, 4, 2048
LARGEST_FLIGHT_BYTES = 8192
"""What all messages of a handshake take together, here."""

_SERVER = server_config(
    client_auth=ClientAuth.WANTED,
    tickets=TicketKeys(),
    max_handshakes=MAX_HANDSHAKES,
    max_associations=MAX_ASSOCIATIONS,
    max_message_bytes=MAX_MESSAGE_BYTES,
    handshakes_per_second=10_000,
    raw_public_keys=True,
    mtu=300,
)
_CLIENTS: Sequence[Config] = (
    client_config(PSK_CCM_8),
    client_config(BY_NAME["ECDHE_PSK_WITH_AES_128_GCM_SHA256"], connection_id_bytes=None),
    certified_client(CCM_8, mtu=300, max_fragment_length=512),
)
FORMS = len(_CLIENTS)
STAGES = 8
"""What is under way, but has not arrived: nothing; a hello; the cookie; the hello with it; the server's flight; the
client's; the server's last one; data of both sides."""
BEGUN = 4
"""The first stage in which the server has begun a handshake."""


class Victim(Pair):
    """A pair whose handshake went on up to a stage."""

    def __init__(self, form: int, stage: int) -> None:
        config = _CLIENTS[form % FORMS]
        super().__init__(replace(config, max_message_bytes=MAX_MESSAGE_BYTES), _SERVER)
        self.real: list[bytes] = []
        """Every datagram of the handshake so far."""
        self.under_way: list[tuple[bytes, bytes]] = []
        self.connect()
        for _ in range(stage):
            for data, destination in self.under_way:
                self.deliver(data, destination)
            self.under_way = self.take()
            self.real += [data for data, _ in self.under_way]
        if stage == STAGES - 1 and self.client.associations():
            self.client.send(self.client_association, b"data of the client's")
            self.server.send(self.server_association, b"data of the server's")
            self.under_way += self.take()
            self.real += [data for data, _ in self.under_way]

    def attack(self, data: bytes, *, server: bool, stranger: bool) -> None:
        """Hand in a datagram, in the peer's name or in a stranger's."""
        before = len(self.client_events) + len(self.server_events)
        source = b"stranger" if stranger else None
        self.deliver(data, SERVER if server else CLIENT, source=source)
        assert_bounded(self.server)
        assert_bounded(self.client)
        assert len(self.client_events) + len(self.server_events) - before <= len(data) // 13 + 1

    def go_on(self) -> None:
        """Let what was under way arrive, and the handshake come to its end."""
        for data, destination in self.under_way:
            self.deliver(data, destination)
        self.run()
        assert not self.client._attempts
        assert not self.server._attempts


def assert_bounded(endpoint: Endpoint) -> None:
    """That an endpoint keeps no more than its limits allow."""
    assert len(endpoint._attempts) <= MAX_HANDSHAKES
    assert len(endpoint.associations()) <= MAX_ASSOCIATIONS
    assert len(endpoint._attempts.cids) <= MAX_HANDSHAKES
    assert len(endpoint._attempts.timers) <= 4 * MAX_HANDSHAKES
    for attempt in endpoint._attempts:
        handshake = attempt.handshake
        slots = handshake._reassembler._slots.values()
        assert sum(slot.size for slot in slots) <= MAX_MESSAGE_BYTES + OTHER_MESSAGES_BYTES
        assert len(handshake._early) <= EARLY_RECORDS
        assert all(len(record.fragment) <= EARLY_BYTES for record in handshake._early)
        assert len(handshake._transcript) <= LARGEST_FLIGHT_BYTES
        assert len(handshake.flight.items) <= 8


def is_client_hello(datagram: bytes) -> bool:
    """Whether a datagram begins as a ClientHello does."""
    return len(datagram) > 13 and datagram[0] == 22 and datagram[13] == HandshakeType.CLIENT_HELLO


def mutated(data: bytes, operation: int, at: int, value: int, other: bytes) -> bytes:
    """A datagram to which something happened."""
    at %= len(data) or 1
    match operation % 8:
        case 0:
            return data  # nothing
        case 1:
            return data[:at] + bytes((data[at] ^ (1 << value % 8),)) + data[at + 1 :] if data else other
        case 2:
            return data[:at]
        case 3:
            return data[:at] + bytes((value % 256,)) + data[at + 1 :]
        case 4:
            return data[:at] + other + data[at:]
        case 5:
            return data + other
        case 6:  # another epoch and number
            return data[:3] + (value % (1 << 64)).to_bytes(8, "big") + data[11:]
        case _:  # another message of the handshake, or at another place in it
            return data[:13] + bytes((value % 21,)) + data[14:17] + (at % 8).to_bytes(2, "big") + data[19:]
