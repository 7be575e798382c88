"""A client and a server on a simulated clock, with a network between them that loses, delays and doubles datagrams."""

import heapq
import random
from dataclasses import dataclass
from typing import TypeVar

from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, Event, HandshakeCompleted, HandshakeFailed

from .certificates import NOW_S

CLIENT, SERVER = b"client", b"server"
"""The addresses."""

WALL_S = NOW_S
"""What the wall clock says when the simulated one says 0: certificates are valid then."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Network:
    """What happens to datagrams. Chances are from 0 to 1."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """Chance that a datagram is held up, so that later ones overtake it."""

    delay_s: float = 0.01
    held_up_s: float = 0.3
    """Most that a datagram is held up for; more than the time between the datagrams of a flight."""

    seed: int = 0


class Pair:
    """A client endpoint and a server endpoint."""

    def __init__(
        self, client: Config, server: Config, network: Network | None = None, *, wall_s: float = WALL_S
    ) -> None:
        self.client = Endpoint(client)
        self.server = Endpoint(server)
        self.network = network or Network()
        self.now_s = 0.0
        self.wall_s = wall_s
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []
        self.sent: list[tuple[bytes, bytes]] = []
        """Every datagram that was sent, lost ones too, with the address that it was for."""
        self._random = random.Random(self.network.seed)
        self._flying: list[tuple[float, int, bytes, bytes]] = []
        self._number = 0

    # -- driving ---------------------------------------------------------------------------------

    def connect(self, resumption: Resumption | None = None) -> None:
        """Begin a handshake; nothing moves before `run`."""
        self.client.connect(SERVER, self.now_s, resumption=resumption)

    def run(self, seconds: float = 600.0) -> None:
        """Let time pass until nothing is under way any more, or so many seconds are over."""
        end_s = self.now_s + seconds
        while True:
            self.post()
            times = [self.client.next_timeout(), self.server.next_timeout()]
            if self._flying:
                times.append(self._flying[0][0])
            due_s = min((time_s for time_s in times if time_s is not None), default=None)
            if due_s is None or due_s > end_s:
                self.now_s = end_s if due_s is not None else self.now_s
                return
            self.now_s = max(self.now_s, due_s)
            while self._flying and self._flying[0][0] <= self.now_s:
                _, _, data, destination = heapq.heappop(self._flying)
                self.deliver(data, destination)
            for endpoint in (self.client, self.server):
                endpoint.handle_timeout(self.now_s)

    def deliver(self, data: bytes, destination: bytes, *, source: bytes | None = None) -> None:
        """Hand over a datagram right now."""
        endpoint, usual = (self.server, CLIENT) if destination == SERVER else (self.client, SERVER)
        endpoint.receive_datagram(data, usual if source is None else source, self.now_s, self.wall_s + self.now_s)
        self._fetch_events()

    def post(self) -> None:
        """Put on the network what the endpoints want to send."""
        self._fetch_events()
        for endpoint in (self.client, self.server):
            for data, destination in endpoint.datagrams_to_send():
                self.sent.append((data, destination))
                self._fly(data, destination)

    def take(self) -> list[tuple[bytes, bytes]]:
        """What the endpoints want to send, kept off the network."""
        self._fetch_events()
        taken = self.client.datagrams_to_send() + self.server.datagrams_to_send()
        self.sent += taken
        return taken

    def _fly(self, data: bytes, destination: bytes) -> None:
        network, chance = self.network, self._random.random
        for copy in range(2):
            if copy and chance() >= network.duplication:
                return
            if chance() < network.loss:
                continue
            arrival_s = self.now_s + network.delay_s
            if chance() < network.reordering:
                arrival_s += chance() * network.held_up_s
            self._number += 1
            heapq.heappush(self._flying, (arrival_s, self._number, data, destination))

    def _fetch_events(self) -> None:
        for endpoint, events in ((self.client, self.client_events), (self.server, self.server_events)):
            while (event := endpoint.next_event()) is not None:
                events.append(event)

    # -- looking ---------------------------------------------------------------------------------

    @property
    def client_association(self) -> Association:
        """The client's one association."""
        (association,) = self.client.associations()
        return association

    @property
    def server_association(self) -> Association:
        """The server's one association."""
        (association,) = self.server.associations()
        return association

    @property
    def resumption(self) -> Resumption:
        """What the client needs to resume its latest session."""
        resumption = events_of(self.client_events, HandshakeCompleted)[-1].resumption
        assert resumption is not None
        return resumption

    @property
    def completed(self) -> bool:
        """Whether both sides completed a handshake, and none failed."""
        return bool(self.client.associations() and self.server.associations()) and not self.failures

    @property
    def failures(self) -> list[HandshakeFailed]:
        """The handshakes that failed, of both sides."""
        return events_of(self.client_events, HandshakeFailed) + events_of(self.server_events, HandshakeFailed)

    def establish(self, resumption: Resumption | None = None) -> "Pair":
        """Make a handshake that must succeed."""
        self.connect(resumption)
        self.run()
        assert self.completed, self.failures
        return self

    def exchange(self) -> None:
        """Send data in both directions; it must arrive, as what it was and once."""
        for sender, association, receiver, data in (
            (self.client, self.client_association, self.server_events, b"from the client"),
            (self.server, self.server_association, self.client_events, b"from the server"),
        ):
            before = len(events_of(receiver, DataReceived))
            sender.send(association, data)
            self.run()
            assert [event.data for event in events_of(receiver, DataReceived)[before:]] == [data]

    def received(self) -> tuple[list[bytes], list[bytes]]:
        """The data that came to the client, and that came to the server."""
        return (
            [event.data for event in events_of(self.client_events, DataReceived)],
            [event.data for event in events_of(self.server_events, DataReceived)],
        )


def events_of(events: list[Event], kind: type[_Kind]) -> list[_Kind]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
