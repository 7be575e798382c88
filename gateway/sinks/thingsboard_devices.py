"""Which devices ThingsBoard was told of in an MQTT session, and when they were last heard of."""

from collections import OrderedDict
from typing import Final

MOST_DEVICES: Final = 100_000
"""Most devices that are remembered; who is forgotten is told of once more when it is heard of again."""


class ConnectedDevices:
    """In the order in which they were heard of. Times are seconds on a monotonic clock."""

    def __init__(self, most: int = MOST_DEVICES) -> None:
        self._heard_s: OrderedDict[str, float] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._heard_s)

    def hear(self, device: str, now_s: float) -> bool:
        """Note that there is something of a device; whether it is connected."""
        if device not in self._heard_s:
            return False
        self._heard_s[device] = now_s
        self._heard_s.move_to_end(device)
        return True

    def add(self, device: str, now_s: float) -> None:
        """A device is connected."""
        self._heard_s[device] = now_s
        self._heard_s.move_to_end(device)
        if len(self._heard_s) > self._most:
            self._heard_s.popitem(last=False)

    def remove(self, device: str) -> None:
        """A device is not connected, or no longer."""
        self._heard_s.pop(device, None)

    def silent_since(self, then_s: float, most: int) -> list[str]:
        """Devices that were not heard of since then, `most` at the most."""
        found: list[str] = []
        for device, heard_s in self._heard_s.items():
            if heard_s > then_s or len(found) == most:
                break
            found.append(device)
        return found
