"""The socket beneath an MQTT connection, and its TLS handshake without a thread."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

MOST_INCOMING_BYTES: Final = 128 << 10
"""Largest packet that is taken from the server; one that sends more is not listened to any longer."""


class Wire:
    """The socket as paho has it: remembers how it failed, and takes no packet that is too large."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.error: OSError | None = None
        """How it failed first."""

    def recv(self, buffer_size: int) -> bytes:
        """Raises OSError, as a socket does."""
        if buffer_size > MOST_INCOMING_BYTES:  # paho asks for all the rest of a packet
            self.error = OSError(errno.EMSGSIZE, f"the server sent a packet of more than {MOST_INCOMING_BYTES} bytes")
            raise self.error
        try:
            return self._sock.recv(buffer_size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.error = error
            raise

    def send(self, buffer: bytes | bytearray) -> int:
        """Raises OSError, as a socket does, but pretends to block the first time that it fails."""
        try:
            return self._sock.send(buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            if self.error is not None:
                raise
            self.error = error
            raise BlockingIOError from None  # so that it is read first what the server said, and why it left

    def close(self) -> None:
        """As a socket does."""
        self._sock.close()

    def fileno(self) -> int:
        """As a socket does."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket does."""
        self._sock.setblocking(flag)

    def pending(self) -> int:
        """Bytes that the kernel has handed over to TLS already, so that it will not tell of them again."""
        return self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0


async def shake_hands(sock: ssl.SSLSocket) -> None:
    """Complete the TLS handshake of a socket that does not block. Raises OSError, of which ssl.SSLError is one."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(loop.add_reader, loop.remove_reader, sock.fileno())
        except ssl.SSLWantWriteError:
            await _ready(loop.add_writer, loop.remove_writer, sock.fileno())
        else:
            return


async def _ready(add: Callable[..., object], remove: Callable[[int], object], descriptor: int) -> None:
    """Wait until a socket can be read, or written."""
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
