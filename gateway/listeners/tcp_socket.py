"""The TCP socket of the REST API."""

import socket
from typing import Final

BACKLOG: Final = 256
"""Most connections that wait to be taken, such as while the API's process is started again."""


def listen_tcp(host: str, port: int) -> socket.socket:
    """A socket that listens; on `::` for IPv4 too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of before in TIME_WAIT are no matter
        sock.bind((host, port))
        sock.listen(BACKLOG)  # at once: while it is bound alone, another could bind the same
    except OSError:
        sock.close()
        raise
    return sock
