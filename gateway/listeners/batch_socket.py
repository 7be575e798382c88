"""A UDP socket that receives and sends datagrams in batches.

One `recvmmsg` fetches up to 64 datagrams and one `sendmmsg` answers them, which is a fifth cheaper than a system call
each. Python's socket module has neither, so they are called in the C library through ctypes. With them come each
datagram's ancillary data, so that an answer leaves from the very address that the request was sent to, at no cost: a
peer's address and our own are kept together, as the bytes that the kernel wrote, and are handed back to it unread.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import TypeAlias

BATCH = 64
"""Most datagrams in one system call."""

RECEIVE_SLOT_BYTES = 65536
"""No UDP datagram is longer, so none is ever cut. Pages that no datagram reached take no memory."""

SEND_SLOT_BYTES = 2048
"""Answers are short; a longer one goes out by itself."""

RECEIVE_BUFFER_BYTES = 4 << 20
"""Asked of the kernel, so that a commit's worth of requests waits rather than being lost."""

Route: TypeAlias = bytes
"""Where a datagram came from and on which of our addresses: the kernel's own bytes, opaque, hashable and stable."""

Datagram: TypeAlias = tuple[bytes, Route]

# asm-generic/socket.h and the RFC 3542 advanced API; Python's socket module lacks the first on some builds.
_IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
_IPV6_RECVPKTINFO = getattr(socket, "IPV6_RECVPKTINFO", 49)
_SO_RCVBUFFORCE = 33
_V4_MAPPED = bytes(10) + b"\xff\xff"


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

_HEADER_WORDS = ctypes.sizeof(_MMsgHdr) // 4
_LENGTH_WORD = _MMsgHdr.length.offset // 4
_IOV_SIZE_WORDS = ctypes.sizeof(_IoVec) // ctypes.sizeof(ctypes.c_size_t)


class _Slots:
    """The memory of one direction: per datagram a data slot and a route slot, and the headers that point to them."""

    def __init__(self, slot_bytes: int, name_bytes: int, name_padded: int, control_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self.route_bytes = name_padded + control_bytes
        self._data = ctypes.create_string_buffer(BATCH * slot_bytes)
        self._routes = ctypes.create_string_buffer(BATCH * self.route_bytes)
        self._iovs = (_IoVec * BATCH)()
        self._headers = (_MMsgHdr * BATCH)()
        data, routes = ctypes.addressof(self._data), ctypes.addressof(self._routes)
        for index in range(BATCH):
            route = routes + index * self.route_bytes
            self._iovs[index] = _IoVec(data + index * slot_bytes, slot_bytes)
            self._headers[index].header = _MsgHdr(
                name=route,
                name_length=name_bytes,
                iov=ctypes.addressof(self._iovs[index]),
                iov_length=1,
                control=route + name_padded if control_bytes else None,
                control_length=control_bytes,
                flags=0,
            )
        self.address = ctypes.addressof(self._headers)
        self.data = memoryview(self._data).cast("B")
        self.routes = memoryview(self._routes).cast("B")
        self.headers = memoryview(self._headers).cast("B").cast("I")
        # P: a pointer's size, which is size_t's wherever Linux runs.
        self.iov_words = memoryview(self._iovs).cast("B").cast("P")
        # The kernel writes lengths into the headers that it is given; this puts them back in one copy.
        self.pristine_headers = bytes(self.headers)
        self.raw_headers = memoryview(self._headers).cast("B")


class BatchSocket:
    """A bound UDP socket, read and written in batches. Owned by one thread."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a bound, non-blocking UDP socket."""
        self._socket = sock
        self._fd = sock.fileno()
        self._family = sock.family
        name_bytes, name_padded = (16, 16) if sock.family == socket.AF_INET else (28, 32)
        control_bytes = _ask_for_packet_info(sock, sock.getsockname()[0])
        self._name_padded = name_padded
        self._in = _Slots(RECEIVE_SLOT_BYTES, name_bytes, name_padded, control_bytes)
        self._out = _Slots(SEND_SLOT_BYTES, name_bytes, name_padded, control_bytes)
        self.send_failures = 0
        """Datagrams that the kernel refused to send; to the peer they are lost, as any datagram may be."""

    @property
    def route_bytes(self) -> int:
        """Length of this socket's routes."""
        return self._in.route_bytes

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._fd

    def receive(self) -> list[Datagram]:
        """The datagrams that wait, at most `BATCH`; empty where none does. Never blocks."""
        slots = self._in
        slots.raw_headers[:] = slots.pristine_headers
        count = _recvmmsg(self._fd, slots.address, BATCH, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return []
        data, routes, lengths = slots.data, slots.routes, slots.headers
        route_bytes = slots.route_bytes
        batch = []
        start, route_start, word = 0, 0, _LENGTH_WORD
        for _ in range(count):
            batch.append(
                (
                    data[start : start + lengths[word]].tobytes(),
                    routes[route_start : route_start + route_bytes].tobytes(),
                )
            )
            start += RECEIVE_SLOT_BYTES
            route_start += route_bytes
            word += _HEADER_WORDS
        return batch

    def send(self, datagrams: Sequence[Datagram]) -> None:
        """Send each datagram to the peer of its route, from our address in it. What the kernel refuses is counted."""
        for first in range(0, len(datagrams), BATCH):
            self._send_batch(datagrams[first : first + BATCH])

    def _send_batch(self, datagrams: Sequence[Datagram]) -> None:
        slots = self._out
        data, routes, iov_words, route_bytes = slots.data, slots.routes, slots.iov_words, slots.route_bytes
        start, route_start, word = 0, 0, 1
        count = 0
        for datagram, route in datagrams:
            length = len(datagram)
            if length > SEND_SLOT_BYTES:
                self._send_long(datagram, route)
                continue
            data[start : start + length] = datagram
            routes[route_start : route_start + route_bytes] = route
            iov_words[word] = length
            start += SEND_SLOT_BYTES
            route_start += route_bytes
            word += _IOV_SIZE_WORDS
            count += 1
        sent = 0
        while sent < count:
            done = _sendmmsg(self._fd, slots.address + sent * _HEADER_WORDS * 4, count - sent, socket.MSG_DONTWAIT)
            if done > 0:
                sent += done
                continue
            self.send_failures += 1
            if ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS):
                self.send_failures += count - sent - 1
                return
            sent += 1  # an unreachable peer must not hold up the others

    def _send_long(self, datagram: bytes, route: Route) -> None:
        control = route[self._name_padded :]
        ancillary = []
        if control:
            length, level, kind = struct.unpack_from("@Nii", control)
            ancillary = [(level, kind, control[struct.calcsize("@Nii") : length])]
        try:
            self._socket.sendmsg([datagram], ancillary, socket.MSG_DONTWAIT, self.peer(route))
        except OSError:
            self.send_failures += 1

    def peer(self, route: Route) -> tuple[str, int] | tuple[str, int, int, int]:
        """The peer's address, as Python's socket module writes it."""
        return _socket_address(self._family, route)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _ask_for_packet_info(sock: socket.socket, host: str) -> int:
    """Have the kernel name our address with each datagram where a wildcard leaves it open; the room it takes."""
    if host == "0.0.0.0":
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        return socket.CMSG_SPACE(12)  # struct in_pktinfo
    if host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        return socket.CMSG_SPACE(20)  # struct in6_pktinfo
    return 0


def _socket_address(family: int, route: Route) -> tuple[str, int] | tuple[str, int, int, int]:
    (port,) = struct.unpack_from("!H", route, 2)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, route[4:8]), port
    flow_info, host, scope = struct.unpack_from("=I16sI", route, 4)
    return socket.inet_ntop(socket.AF_INET6, host), port, socket.ntohl(flow_info), scope


def address_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """An address as people write it: `192.0.2.1:5683`, `[2001:db8::1]:5683`."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def peer_host(family: int, route: Route) -> bytes:
    """What of a peer's address nobody can choose at will: an IPv4 address, or an IPv6 network (/64)."""
    if family == socket.AF_INET:
        return route[4:8]
    address = route[8:24]
    return address[12:] if address.startswith(_V4_MAPPED) else address[:8]


def bind_group(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind `count` sockets to one address, among which the kernel shares out the peers by their address.

    The first is bound alone, so that a port which anyone else holds is an error, even somebody who would share it.
    Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    group: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            group.append(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            _grow_receive_buffer(sock)
            _ask_for_packet_info(sock, host)  # now: what arrives before a worker reads must have it too
            if len(group) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        for sock in group:
            sock.close()
        raise
    return group


def _grow_receive_buffer(sock: socket.socket) -> None:
    option = _SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER_BYTES)
    except PermissionError:  # root in a container without CAP_NET_ADMIN
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
