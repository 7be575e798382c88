"""Ports for servers that tests start as processes: given out before they are bound.

The kernel would give the same port to another socket meanwhile, such as a client's of a test beside this one. So these
are of a range from which it gives out none by itself, a part of it for each of the processes that tests run in.
"""

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 10_000
_PER_PROCESS: Final = 2_000
_PROCESSES: Final = 9
"""scripts/test has at most eight; and one for tests that are run without."""

_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw8").removeprefix("gw")
_begin = _FIRST + int(_worker) % _PROCESSES * _PER_PROCESS
_ports = itertools.cycle(range(_begin, _begin + _PER_PROCESS))
for _ in range(os.getpid() * 37 % _PER_PROCESS):  # so that the next run does not meet what is left of this one
    next(_ports)


def free_port(host: str = "127.0.0.1") -> int:
    """A UDP port that nobody holds."""
    return _free(socket.SOCK_DGRAM, host)


def free_tcp_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody holds."""
    return _free(socket.SOCK_STREAM, host)


def _free(kind: socket.SocketKind, host: str) -> int:
    for port in itertools.islice(_ports, _PER_PROCESS):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as sock:
            try:
                sock.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {_begin} on is free")
