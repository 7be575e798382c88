"""Devices of a secure gateway: each makes a handshake from a socket of its own, may send an uplink, and is gone."""

import select
import socket
import time
from collections.abc import Callable

from benchmarks.dtls_peers import SERVER
from benchmarks.servers import HOST, BenchError
from benchmarks.uplinks import encode_uplink
from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, HandshakeCompleted
from gateway.model import Code

AT_A_TIME = 32
"""Devices that have begun and are not done."""

BOUND_S = 10.0
"""How long one may take."""

_CHECK_S = 0.1
_TOKEN = b"\1"
_ACKNOWLEDGED_2_01 = bytes((0x61, Code.CREATED))


class Device:
    """One device."""

    def __init__(self, number: int, port: int, config: Config, resumption: Resumption | None = None) -> None:
        self.number = number
        self.begun_s = time.monotonic()
        self.association: Association | None = None
        self.resumption: Resumption | None = None
        """How to resume its session, once there is one."""
        self._endpoint = Endpoint(config)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((host_of(number), 0))
        self.socket.connect((HOST, port))
        self._endpoint.connect(SERVER, self.begun_s, resumption=resumption)
        self._flush()

    def receive(self) -> bytes | None:
        """Take what came: the content of a record, where it was one with data. Raises BenchError and OSError."""
        self._endpoint.receive_datagram(self.socket.recv(65536), SERVER, time.monotonic(), time.time())
        self._flush()
        data = None
        while (event := self._endpoint.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.association, self.resumption = event.association, event.resumption
            elif isinstance(event, DataReceived):
                data = event.data
            else:
                raise BenchError(f"a device lost its session: {event}")
        return data

    def send_uplink(self, mid: int = 1) -> None:
        """Send the tutorial's JSON as a device of its own name."""
        assert self.association is not None
        self._endpoint.send(self.association, encode_uplink(f"SN-{self.number:06}", mid=mid, token=_TOKEN))
        self._flush()

    def is_answered(self) -> bool:
        """Send one more uplink; whether it is answered as it should be."""
        self.send_uplink(mid=2)
        return bool(select.select([self.socket], [], [], BOUND_S)[0]) and is_success(self.receive())

    def handle_timeout(self, now_s: float) -> None:
        """Send again what was not answered."""
        if now_s - self.begun_s > BOUND_S:
            raise BenchError(f"a device had no answer within {BOUND_S:.0f} s")
        self._endpoint.handle_timeout(now_s)
        self._flush()

    def _flush(self) -> None:
        for datagram, _ in self._endpoint.datagrams_to_send():
            self.socket.send(datagram)


class Devices:
    """Many of them, some at a time."""

    def __init__(
        self,
        port: int,
        config_of: Callable[[int], Config],
        *,
        first: int = 0,
        uplinks: bool = False,
        resumption: Resumption | None = None,
    ) -> None:
        """`first` is the first one's number: each has its own, and an address that goes by it.

        `uplinks` says whether each sends one, which must be answered 2.01.
        """
        self._port = port
        self._config_of = config_of
        self._next = first
        self._uplinks = uplinks
        self._resumption = resumption
        self._under_way: dict[int, Device] = {}
        self._epoll = select.epoll()
        self._check_at_s = 0.0
        self.done = 0
        """How many are gone."""
        self.oldest: Device | None = None
        """The first that was done. It stays."""

    def run(self, wants_more: Callable[[], bool]) -> None:
        """Have devices begin as long as more are wanted, and wait for them. Raises BenchError and OSError."""
        while True:
            while len(self._under_way) < AT_A_TIME and wants_more():
                self._begin()
            if not self._under_way:
                return
            for fd, _ in self._epoll.poll(_CHECK_S):
                device = self._under_way[fd]
                if self._is_done(device):
                    self._take_leave(device)
            self._check(time.monotonic())

    def run_so_many(self, count: int) -> None:
        """The same with a number of them."""
        end = self._next + count
        self.run(lambda: self._next < end)

    def _take_leave(self, device: Device) -> None:
        del self._under_way[device.socket.fileno()]
        self._epoll.unregister(device.socket)
        self.done += 1
        if self.oldest is None:
            self.oldest = device
        else:
            device.socket.close()

    def _begin(self) -> None:
        device = Device(self._next, self._port, self._config_of(self._next), self._resumption)
        self._next += 1
        self._under_way[device.socket.fileno()] = device
        self._epoll.register(device.socket, select.EPOLLIN)

    def _is_done(self, device: Device) -> bool:
        had_session = device.association is not None
        data = device.receive()
        if data is not None:
            if not is_success(data):
                raise BenchError(f"an uplink was answered {data.hex()}")
            return True
        if device.association is not None and not had_session:
            if device.association.resumed != (self._resumption is not None):
                raise BenchError("a session was resumed that should not have been, or the other way round")
            if not self._uplinks:
                return True
            device.send_uplink()
        return False

    def _check(self, now_s: float) -> None:
        if now_s >= self._check_at_s:
            self._check_at_s = now_s + _CHECK_S
            for device in self._under_way.values():
                device.handle_timeout(now_s)


def is_success(response: bytes | None) -> bool:
    """Whether an uplink was stored."""
    return response is not None and response[:2] == _ACKNOWLEDGED_2_01


def host_of(number: int) -> str:
    """A loopback address for each device, so that none is taken for another that had its port before."""
    high, middle, low = (number >> 16) % 100 + 1, number >> 8 & 0xFF, number & 0xFF
    return f"127.{high}.{middle}.{low}"
