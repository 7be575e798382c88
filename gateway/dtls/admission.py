"""Which hosts may begin handshakes: not too many in a second, and none for a while after too many that failed.

Asked only about addresses that a cookie has proved, so that nobody can use up another's share.
"""

from collections import Counter, OrderedDict

from gateway.dtls.config import Config

FAILURE_WINDOW_S = 60.0
"""Failures are counted within this time."""

MOST_HOSTS = 10_000
"""Hosts whose failures are remembered; the one whose first failure is longest ago goes first."""


class _Record:
    """The failures of one host."""

    __slots__ = ("failures", "locked_until_s", "since_s")

    def __init__(self, now_s: float) -> None:
        self.since_s = now_s
        self.failures = 0
        self.locked_until_s = 0.0


class Admission:
    """The handshakes that hosts began, and those that failed."""

    __slots__ = ("_begun", "_begun_in", "_config", "_records")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._begun: Counter[bytes] = Counter()
        self._begun_in = 0
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def reconfigure(self, config: Config) -> None:
        """Go by other limits from now on."""
        self._config = config

    def refusal(self, address: bytes, now_s: float) -> str:
        """Count one more handshake that an address wants to begin; why it must not, or an empty text."""
        host = self._config.host_of(address)
        record = self._records.get(host)
        if record is not None and now_s < record.locked_until_s:
            return "locked out"
        if int(now_s) != self._begun_in:
            self._begun_in = int(now_s)
            self._begun.clear()
        self._begun[host] += 1
        return "too many handshakes" if self._begun[host] > self._config.handshakes_per_second else ""

    def failed(self, address: bytes, now_s: float) -> bool:
        """Count a handshake that failed by its credentials; whether its host is locked out from now on."""
        if not self._config.lockout_failures:
            return False
        host = self._config.host_of(address)
        record = self._records.get(host)
        if record is None or now_s - record.since_s >= FAILURE_WINDOW_S or 0 < record.locked_until_s <= now_s:
            record = self._records[host] = _Record(now_s)
            self._records.move_to_end(host)
            if len(self._records) > MOST_HOSTS:
                self._records.popitem(last=False)
        record.failures += 1
        is_too_many = record.failures == self._config.lockout_failures
        if is_too_many:
            record.locked_until_s = now_s + self._config.lockout_s
        return is_too_many
