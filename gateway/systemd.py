"""What systemd is told of this process (sd_notify(3)): lines of `NAME=value` in datagrams to the socket it names.

Where it names none, nothing is told. Only the process that systemd started may speak: what it was told by is taken out
of the environment, so that its children don't inherit it.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self


class Notifier:
    """The way to the service manager that started this process."""

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        """`address` of the service manager's socket; one that begins with `@` is abstract (unix(7)). Empty: none."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s
        """Within which time it wants to hear a sign of life, again and again, in seconds; None: it does not."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """As systemd says in NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are then gone."""
        address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = environment.pop("WATCHDOG_USEC", "")
        for_us = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        watches = for_us and interval_us.isdecimal() and int(interval_us) > 0
        return cls(address, watchdog_s=int(interval_us) / 1e6 if watches else None)

    def tell(self, **variables: str | int) -> None:
        """Tell it, such as `tell(READY=1)`. Where it can't hear, nothing happens."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in variables.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError:  # it has gone, or does not read: no reason to stop serving devices
            return

    def ready(self, status: str) -> None:
        """It has started, or has reloaded."""
        self.tell(READY=1, STATUS=status)

    def reloading(self) -> None:
        """It reads its configuration anew, until it is ready."""
        self.tell(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)

    def stopping(self) -> None:
        """It is about to end."""
        self.tell(STOPPING=1, STATUS="stopping")

    def alive(self) -> None:
        """It has not got stuck."""
        self.tell(WATCHDOG=1)
