"""Rate limits in ThingsBoard's form (`10:1,300:60`), counted by each worker for itself."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from gateway.errors import RateLimitedError
from gateway.model import DeviceReport
from gateway.settings import RateLimit

TRACKED_NAMES = 100_000
"""Most devices whose rate is known; the one that was quiet longest is forgotten first."""


class _Buckets:
    """One token bucket per limit, for each name. A bucket holds `count` and refills evenly over its seconds."""

    def __init__(self, limits: tuple[RateLimit, ...], clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, list[float]]] = OrderedDict()

    def wait_s(self, name: str) -> float:
        """Take one token of each bucket and give 0, or take none and give the time until there is one."""
        now_s = self._clock()
        since_s, levels = self._levels.pop(name, (now_s, [float(limit.count) for limit in self._limits]))
        passed_s = now_s - since_s
        levels = [
            min(float(limit.count), level + passed_s * limit.count / limit.seconds)
            for limit, level in zip(self._limits, levels, strict=True)
        ]
        wait_s = max(
            (1 - level) * limit.seconds / limit.count for limit, level in zip(self._limits, levels, strict=True)
        )
        if wait_s <= 0:
            levels = [level - 1 for level in levels]
        self._levels[name] = now_s, levels
        if len(self._levels) > TRACKED_NAMES:
            self._levels.popitem(last=False)
        return max(0.0, wait_s)


class RateLimiter:
    """Refuses what an integration or a device sends beyond its rate."""

    def __init__(
        self,
        *,
        per_integration: tuple[RateLimit, ...],
        per_device: tuple[RateLimit, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._integrations = _Buckets(per_integration, clock) if per_integration else None
        self._devices = _Buckets(per_device, clock) if per_device else None

    @property
    def active(self) -> bool:
        """Whether there is any limit at all."""
        return self._integrations is not None or self._devices is not None

    def admit_integration(self, name: str) -> None:
        """Count an uplink of an integration; raises RateLimitedError where it is one too many."""
        if self._integrations is not None:
            _refuse_for(self._integrations.wait_s(name), f"integration {name}")

    def admit_devices(self, reports: Iterable[DeviceReport]) -> None:
        """Count an uplink for each device in it; raises RateLimitedError where it is one too many for any."""
        if self._devices is not None:
            for name in {report.name for report in reports}:
                _refuse_for(self._devices.wait_s(name), f"device {name}")


def _refuse_for(wait_s: float, who: str) -> None:
    if wait_s > 0:
        raise RateLimitedError(f"{who} sends more than it may", max_age_s=math.ceil(wait_s))
