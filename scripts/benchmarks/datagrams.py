"""Datagrams by the batch, for the load generator: built once, their message IDs and tokens patched in by the block.

A request costs the generator a fraction of what it costs the server, so that one CPU saturates another. That takes
`sendmmsg` and `recvmmsg` on connected sockets (called in the C library through ctypes), and no work in Python per
datagram but what a latency needs.
"""

import ctypes
import socket
from collections.abc import Sequence

BATCH = 64
"""Most datagrams in one system call."""

MESSAGE_IDS = 65536
"""What one socket can send before a message ID would be used again."""

TOKEN_BYTES = 4

_HEAD_BYTES = 4 + TOKEN_BYTES
_RECEIVE_SLOT_BYTES = 64


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Slots:
    """Memory for a batch of datagrams, one behind the other, and the system calls on it."""

    def __init__(self, slot_bytes: int) -> None:
        """`slot_bytes` is the length of what is sent, or the most that is kept of what is received."""
        self.slot_bytes = slot_bytes
        self._data = ctypes.create_string_buffer(BATCH * slot_bytes)
        self._iovs = (_IoVec * BATCH)()
        self._headers = (_MMsgHdr * BATCH)()
        for slot in range(BATCH):
            self._iovs[slot] = _IoVec(ctypes.addressof(self._data) + slot * slot_bytes, slot_bytes)
            self._headers[slot].header = _MsgHdr(iov=ctypes.addressof(self._iovs[slot]), iov_length=1)
        self._address = ctypes.addressof(self._headers)
        self.data = memoryview(self._data).cast("B")

    def receive(self, fd: int) -> int:
        """Receive what waits, at most `BATCH`; how many. Raises OSError."""
        count: int = _recvmmsg(fd, self._address, BATCH, socket.MSG_DONTWAIT, None)
        return count if count >= 0 else _failed()

    def send(self, fd: int, count: int) -> int:
        """Send the first `count`; how many the kernel took. Raises OSError."""
        sent: int = _sendmmsg(fd, self._address, count, socket.MSG_DONTWAIT)
        return sent if sent >= 0 else _failed()

    def datagram(self, slot: int) -> bytes:
        """One that was received (or its beginning, where it is long)."""
        start = slot * self.slot_bytes
        return self.data[start : start + self._headers[slot].length].tobytes()


class Requests:
    """Requests ready to be sent. The message with ID `m` ends in tail `m % len(tails)`.

    A request's token is its number, little-endian: its socket's number in the upper half, its message ID in the lower.
    """

    def __init__(self, *, confirmable: bool, method: int, tails: Sequence[bytes]) -> None:
        """`tails` are what follows the token: options, payload marker, payload. There may be at most `BATCH`."""
        if BATCH % len(tails):
            raise ValueError(f"the number of tails must divide {BATCH}")
        # Twice as many slots as a batch has: one that begins in the middle of the tails needs no second system call.
        slots = 2 * BATCH
        self._heads = ctypes.create_string_buffer(slots * _HEAD_BYTES)
        self._tails = [ctypes.create_string_buffer(tail, len(tail)) for tail in tails]
        self._iovs = (_IoVec * (2 * slots))()
        self._headers = (_MMsgHdr * slots)()
        heads = ctypes.addressof(self._heads)
        for slot in range(slots):
            tail = self._tails[slot % len(tails)]
            self._iovs[2 * slot] = _IoVec(heads + slot * _HEAD_BYTES, _HEAD_BYTES)
            self._iovs[2 * slot + 1] = _IoVec(ctypes.addressof(tail), len(tail))
            self._headers[slot].header = _MsgHdr(iov=ctypes.addressof(self._iovs[2 * slot]), iov_length=2)
        self._address = ctypes.addressof(self._headers)
        head = request_head(method, confirmable=confirmable)
        self._all_heads = b"".join(head + mid.to_bytes(2, "little") * 2 + b"\0\0" for mid in range(MESSAGE_IDS))
        self._head_bytes = memoryview(self._heads).cast("B")
        self._sockets = self._head_bytes.cast("H")[3::4]
        """The upper half of each head's token."""

    def send(self, fd: int, mid: int, count: int, socket_block: memoryview) -> int:
        """Send `count` requests from message ID `mid` on; how many the kernel took.

        `socket_block` is the socket's number, `BATCH` times, as unsigned shorts. Raises OSError.
        """
        first = mid % BATCH
        count = min(count, BATCH, MESSAGE_IDS - mid)
        self._head_bytes[first * _HEAD_BYTES : (first + count) * _HEAD_BYTES] = self._all_heads[
            mid * _HEAD_BYTES : (mid + count) * _HEAD_BYTES
        ]
        self._sockets[first : first + count] = socket_block[:count]
        sent: int = _sendmmsg(fd, self._address + first * ctypes.sizeof(_MMsgHdr), count, socket.MSG_DONTWAIT)
        if sent < 0:
            return _failed()
        return sent


class Responses:
    """The memory that responses are received into, and the last batch of them."""

    def __init__(self, *, confirmable: bool, expected_code: int) -> None:
        """`confirmable` says what the requests are, `expected_code` which response is a success."""
        self._slots = Slots(_RECEIVE_SLOT_BYTES)
        data = self._slots.data
        self._heads = data.cast("H")[:: _RECEIVE_SLOT_BYTES // 2]
        self._tokens = data.cast("I")[1 :: _RECEIVE_SLOT_BYTES // 4]
        self._successes = success_head(expected_code, confirmable=confirmable) * BATCH

    def receive(self, fd: int) -> int:
        """Receive what waits, at most `BATCH`; how many. Raises OSError."""
        return self._slots.receive(fd)

    def all_succeeded(self, count: int) -> bool:
        """Whether the first `count` are all piggybacked (or non-confirmable) responses with the expected code."""
        return self._heads[:count].tobytes() == self._successes[: 2 * count]

    def tokens(self, count: int) -> list[int]:
        """The tokens of the first `count`, where they are known to have one."""
        return self._tokens[:count].tolist()

    def message(self, slot: int) -> bytes:
        """A whole message (or its beginning, where it is long)."""
        return self._slots.datagram(slot)


def request_head(method: int, *, confirmable: bool) -> bytes:
    """The first two bytes of each request."""
    return bytes(((0x40 if confirmable else 0x50) | TOKEN_BYTES, method))


def success_head(expected_code: int, *, confirmable: bool) -> bytes:
    """The first two bytes of a piggybacked (or non-confirmable) response with that code."""
    return bytes(((0x60 if confirmable else 0x50) | TOKEN_BYTES, expected_code))


def _failed() -> int:
    code = ctypes.get_errno()
    error = OSError(code, "the server's socket can't be reached")
    if isinstance(error, BlockingIOError):
        return 0
    raise error
