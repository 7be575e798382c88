"""Handshakes under way: one for each address, with their timers, and bounded in number."""

import heapq
from collections import OrderedDict
from collections.abc import Iterator

from gateway.dtls.association import Association
from gateway.dtls.config import Config
from gateway.dtls.handshake import Handshake
from gateway.dtls.messages import ClientHello


class Attempt:
    """A handshake under way with an address."""

    __slots__ = ("address", "cid", "handshake", "hello", "hint_told", "sent_s")

    def __init__(self, address: bytes, handshake: Handshake, cid: bytes, hello: ClientHello | None = None) -> None:
        self.address = address
        self.handshake = handshake
        self.cid = cid
        """The connection ID that is kept for it."""
        self.hello = hello
        """The client's hello with its cookie, where we are the server."""
        self.sent_s = 0.0
        """When the flight was sent last."""
        self.hint_told = False
        """Whether the owner knows what the peer said in the clear."""

    def association(self, now_s: float) -> Association:
        """What has come of it, now that it is complete."""
        handshake = self.handshake
        assert handshake.suite is not None
        assert handshake.keys is not None
        return Association(
            address=self.address,
            suite=handshake.suite,
            principal=handshake.principal,
            is_client=handshake.is_client,
            resumed=handshake.resumed,
            read=handshake.keys.read,
            window=handshake.window,
            writer=handshake.writer,
            # Of the two sides only the one that had the last word may be asked for it again.
            last_flight=handshake.flight if handshake.is_client == handshake.resumed else None,
            last_seen_s=now_s,
            session_tag=handshake.session_tag,
            client_random=handshake.client_random,
        )


class Attempts:
    """The handshakes under way of an endpoint."""

    __slots__ = ("_by_address", "_most", "cids", "get", "timers")

    def __init__(self, config: Config) -> None:
        self._most = config.max_handshakes
        self._by_address: OrderedDict[bytes, Attempt] = OrderedDict()
        """The one that began first comes first."""
        self.get = self._by_address.get
        """The one with an address, or None."""
        self.cids: set[bytes] = set()
        """The connection IDs that are kept for them."""
        self.timers: list[tuple[float, bytes]] = []
        """Deadlines and addresses, as a heap; those that hold no longer are left in it until their turn comes."""

    def __len__(self) -> int:
        return len(self._by_address)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._by_address.values())

    def add(self, attempt: Attempt) -> Attempt | None:
        """Take in one, in the place of any with its address. Gives the oldest of all where it must make room."""
        old = self.get(attempt.address)
        if old is not None:
            self.remove(old)
        oldest = next(iter(self)) if len(self) >= self._most else None
        if oldest is not None:
            self.remove(oldest)
        self._by_address[attempt.address] = attempt
        self.cids.add(attempt.cid)
        return oldest

    def remove(self, attempt: Attempt) -> None:
        """Forget one that is over."""
        del self._by_address[attempt.address]
        self.cids.discard(attempt.cid)

    def set_timer(self, attempt: Attempt, now_s: float) -> None:
        """Have it come up again when its flight, which was sent just now, times out."""
        attempt.sent_s = now_s
        flight = attempt.handshake.flight
        flight.deadline_s = now_s + flight.timeout_s
        heapq.heappush(self.timers, (flight.deadline_s, attempt.address))
        if len(self.timers) > 4 * self._most:
            # Most are of handshakes that ended long before their deadline.
            self.timers = [timer for timer in self.timers if self._holds(timer)]
            heapq.heapify(self.timers)

    def next_timeout(self) -> float | None:
        """When the next one times out."""
        while self.timers:
            if self._holds(self.timers[0]):
                return self.timers[0][0]
            heapq.heappop(self.timers)
        return None

    def timed_out(self, now_s: float) -> Iterator[Attempt]:
        """Those whose time is over, each once."""
        while (deadline_s := self.next_timeout()) is not None and deadline_s <= now_s:
            yield self._by_address[heapq.heappop(self.timers)[1]]

    def _holds(self, timer: tuple[float, bytes]) -> bool:
        attempt = self.get(timer[1])
        return attempt is not None and attempt.handshake.flight.deadline_s == timer[0]
