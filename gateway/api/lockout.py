"""Who may not try to log in for a while: users and addresses with too many failures.

Without clock and threads' locks it would be counted wrong: time is an argument, and one lock guards it.
"""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

ENTRIES_MAX: Final = 10_000
"""Most users and addresses that are remembered; the one that failed longest ago goes."""

IPV6_NETWORK_BITS: Final = 64
"""One site's addresses (RFC 4291 §2.5.4) count as one."""


class _Failures(NamedTuple):
    number: int
    last_s: float


class Lockout:
    """Counts failed log-ins; may be used in several threads.

    After `failures` in a row, none of them `lock_s` or longer after the one before, tries are refused until `lock_s`
    after the last that was not.
    """

    def __init__(self, failures: int, lock_s: float, entries_max: int = ENTRIES_MAX) -> None:
        self._failures = failures
        self._lock_s = lock_s
        self._entries_max = entries_max
        self._entries: OrderedDict[str, _Failures] = OrderedDict()
        self._guard = threading.Lock()

    def begin(self, keys: Sequence[str], now_s: float) -> float:
        """Count a try as failed, before it is known: none slips through beside others. Gives 0, or how long to wait.

        A try that is refused does not count.
        """
        with self._guard:
            wait_s = max((self._wait_s(key, now_s) for key in keys), default=0.0)
            if wait_s <= 0:
                for key in keys:
                    self._entries[key] = _Failures(self._count(key, now_s) + 1, now_s)
                    self._entries.move_to_end(key)
                while len(self._entries) > self._entries_max:
                    self._entries.popitem(last=False)
            return max(wait_s, 0.0)

    def succeeded(self, keys: Sequence[str]) -> None:
        """Forget the failures: the try that was begun was right."""
        with self._guard:
            for key in keys:
                self._entries.pop(key, None)

    def _wait_s(self, key: str, now_s: float) -> float:
        if self._count(key, now_s) < self._failures:
            return 0.0
        return self._entries[key].last_s + self._lock_s - now_s

    def _count(self, key: str, now_s: float) -> int:
        failures = self._entries.get(key)
        if failures is None or now_s >= failures.last_s + self._lock_s:
            return 0
        return failures.number


def keys_of(user: str, host: str) -> tuple[str, str]:
    """What the failures of a log-in are counted by: the user's name, and the client's address."""
    return f"user {user}", f"address {_network(host)}"


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host  # a name that a test or an in-process client has
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
    return str(address)
