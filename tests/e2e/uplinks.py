"""Many devices that send fast and count what they were promised: each uplink once, with a number of its own.

No uplink is ever repeated. One that is not answered may have been stored or not, so nothing is held against the gateway
for it; one that is answered 2.01 must arrive.
"""

import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from gateway.coap.codec import OptionNumber, Type, encode_message
from gateway.model import Code

from .harness import Gateway, eventually

CONVERTER: Final = """
def decode(payload, metadata):
    name, _, number = payload.decode().partition(" ")
    return {"deviceName": name, "deviceType": "counter", "telemetry": {"n": int(number)}}
"""
"""In Python: an uplink's time is that of its receipt."""

DEVICE_TYPE: Final = "counter"
WINDOW: Final = 16
"""Most uplinks of a device that wait for an answer."""
NON_EVERY: Final = 4
"""Each device in so many sends non-confirmable messages."""
LOST_AFTER_S: Final = 2.0
_TOKEN_BYTES: Final = 4
_MOST_BYTES: Final = 1500
_PACE_S: Final = 0.001
_REST_S: Final = 0.05


class Uplink(NamedTuple):
    """Which device sent it, and its number there."""

    device: str
    number: int


class _Device:
    """A device with its socket. Message IDs are the numbers."""

    def __init__(self, name: str, sock: socket.socket, confirmable: bool, options: list[tuple[int, bytes]]) -> None:
        self.name = name
        self.sock = sock
        self.number = 0
        self.waiting: dict[int, float] = {}
        """When each uplink that has no answer was sent."""
        self._type = Type.CON if confirmable else Type.NON
        self._options = options

    def send(self) -> bool:
        """Send the next uplink; False where there is nobody."""
        number = self.number
        token = number.to_bytes(_TOKEN_BYTES, "big")
        payload = f"{self.name} {number}".encode()
        try:
            self.sock.send(encode_message(self._type, Code.POST, number, token, self._options, payload))
        except ConnectionRefusedError:  # what was sent before was not received
            return False
        self.waiting[number] = time.monotonic()
        self.number += 1
        return True

    def forget_lost(self, now_s: float) -> None:
        """Don't wait for what will not be answered any more."""
        while self.waiting and now_s - next(iter(self.waiting.values())) > LOST_AFTER_S:
            del self.waiting[next(iter(self.waiting))]


class Fleet:
    """The devices, sending in a thread while the context lasts or until enough is acknowledged."""

    def __init__(self, gateway: Gateway, url: str, *, devices: int, enough: int) -> None:
        options = [(int(OptionNumber.URI_PATH), part.encode()) for part in url.split("/")[3:]]
        self._devices = [
            _Device(f"device-{index}", gateway.client(), index % NON_EVERY != 0, options) for index in range(devices)
        ]
        for device in self._devices:
            device.sock.setblocking(False)
        self._enough = enough
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self.acknowledged: set[Uplink] = set()
        self.refused: Counter[str] = Counter()
        """Uplinks that were answered otherwise, by code."""
        self.paused = False
        """Set it to have the devices rest for a while."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop.set()
        self._thread.join()
        for device in self._devices:
            device.sock.close()

    @property
    def sent(self) -> int:
        """How many uplinks were sent."""
        return sum(device.number for device in self._devices)

    def until(self, acknowledged: int, patience_s: float = 60.0) -> None:
        """Wait until so many uplinks are acknowledged."""
        eventually(
            lambda: len(self.acknowledged) >= acknowledged or not self._thread.is_alive(),
            f"{acknowledged} uplinks are acknowledged, not {len(self.acknowledged)}",
            patience_s,
        )
        assert len(self.acknowledged) >= acknowledged

    def finish(self, patience_s: float = 60.0) -> None:
        """Wait until enough is acknowledged."""
        self.until(self._enough, patience_s)

    def _run(self) -> None:
        poll = select.poll()
        for device in self._devices:
            poll.register(device.sock, select.POLLIN)
        by_number = {device.sock.fileno(): device for device in self._devices}
        while not self._stop.is_set() and len(self.acknowledged) < self._enough:
            progress = self._send(self._devices)
            for number, _ in poll.poll(0 if progress else 5):
                self._receive(by_number[number])

    def _send(self, devices: Iterable[_Device]) -> bool:
        """Fill the windows; whether anything was sent."""
        if self.paused:
            return False
        sent = False
        now_s = time.monotonic()
        for device in devices:
            device.forget_lost(now_s)
            while len(device.waiting) < WINDOW and device.send():
                sent = True
        return sent

    def _receive(self, device: _Device) -> None:
        while True:
            try:
                data = device.sock.recv(_MOST_BYTES)
            except BlockingIOError:
                return
            except ConnectionRefusedError:  # the gateway is gone, and with it what it did not answer
                device.waiting.clear()
                time.sleep(_PACE_S)
                return
            code = data[1]
            if code == Code.EMPTY:  # an acknowledgement whose response follows
                continue
            number = int.from_bytes(data[4 : 4 + _TOKEN_BYTES], "big")
            device.waiting.pop(number, None)
            if code == Code.CREATED:
                self.acknowledged.add(Uplink(device.name, number))
            else:
                self.refused[Code(code).dotted] += 1
                time.sleep(_PACE_S)
