"""Uplinks at an even pace, whose latency does not depend on when the sender itself gets a CPU.

The console's browser takes the CPU that the sender is on. So a latency ends where the kernel puts the answer into the
sender's socket, which it notes (SO_TIMESTAMPNS) in the answering process's call of `send`, and begins where the sender
is about to send. What remains of the sender's own waiting is when it sends: how late that was is measured too.
"""

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass, field

from benchmarks.servers import HOST, BenchError
from benchmarks.uplinks import DEVICES, encode_uplink
from gateway.model import Code

LOST_AFTER_S = 3.0

_SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)  # asm-generic/socket.h; Python's module does not have it
_TIMESPEC = struct.Struct("@qq")
_NS = 1_000_000_000
_TOKEN_BYTES = 4
_CON = 0x4
"""The first half of a confirmable message's first byte."""


@dataclass(slots=True)
class Round:
    """What a round of uplinks gave."""

    latencies_us: list[float] = field(default_factory=list)
    """In order, from the least."""
    late_us: list[float] = field(default_factory=list)
    """How long after its time each was sent, in order."""
    failures: int = 0
    """Not answered by 2.01 within 3 s, or answered twice."""

    def percentile(self, percent: float) -> float:
        """Of the latencies, in µs. Raises BenchError where there are none."""
        return _percentile(self.latencies_us, percent)

    @property
    def late_p99_us(self) -> float:
        """How late uplinks were sent."""
        return _percentile(self.late_us, 99)


def send_round(port: int, per_s: int, seconds: float) -> Round:
    """Send at that rate, whatever comes back. Raises BenchError and OSError."""
    uplinks = [_tail(number) for number in range(1, DEVICES + 1)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect((HOST, port))
        done, under_way = Round(), dict[int, int]()
        start_s = time.perf_counter()
        for number in range(int(per_s * seconds)):
            at_s = start_s + number / per_s
            while (left_s := at_s - time.perf_counter()) > 0:
                _receive(sock, left_s, under_way, done)
            # A socket never uses a message ID twice: a round is shorter than that.
            head = b"\x44\x02" + number.to_bytes(2, "big") + number.to_bytes(_TOKEN_BYTES, "big")
            datagram = head + uplinks[number % DEVICES]
            done.late_us.append((time.perf_counter() - at_s) * 1e6)
            under_way[number] = time.clock_gettime_ns(time.CLOCK_REALTIME)
            sock.send(datagram)
        deadline_s = time.perf_counter() + LOST_AFTER_S
        while under_way and time.perf_counter() < deadline_s:
            _receive(sock, 0.01, under_way, done)
    done.failures += len(under_way)
    done.latencies_us.sort()
    done.late_us.sort()
    return done


def _tail(number: int) -> bytes:
    """What follows the token."""
    return encode_uplink(f"SN-{number:03}")[4:]


def _receive(sock: socket.socket, timeout_s: float, under_way: dict[int, int], done: Round) -> None:
    ready, _, _ = select.select([sock], [], [], timeout_s)
    if not ready:
        return
    with contextlib.suppress(BlockingIOError):
        while True:
            message, ancillary, _, _ = sock.recvmsg(64, 64)
            kind, code = message[0] >> 4, message[1]
            if code == 0:  # an empty acknowledgement: the disk keeps the answer waiting, and it comes separately
                continue
            if kind == _CON:
                sock.send(b"\x60\x00" + message[2:4])
            sent_ns = under_way.pop(int.from_bytes(message[4 : 4 + _TOKEN_BYTES], "big"), None)
            if sent_ns is None or code != Code.CREATED:
                done.failures += 1
            else:
                done.latencies_us.append((_arrival_ns(ancillary) - sent_ns) / 1000)


def _arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * _NS + int(nanoseconds)
    raise BenchError("the kernel does not say when a datagram came (SO_TIMESTAMPNS)")


def _percentile(ordered: list[float], percent: float) -> float:
    if not ordered:
        raise BenchError("no uplink was answered")
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
