"""ThingsBoard's `updateOnlyKeys` on the way to a sink: values that stay the same are not sent again.

The device view compares with what it stores; here it is what the sink was given that counts, in memory. Where that is
forgotten, after a failure or beyond the bound, a value is sent once more: better twice than never.
"""

from collections.abc import Callable
from typing import Final

from gateway.model import JsonValue, StoredReport
from gateway.storage.update_only import Known, UpdateOnly, changed_samples, is_news

MOST_DEVICES: Final = 100_000
"""Most devices whose values are remembered."""


class News:
    """What a sink was told of each device's update-only keys."""

    def __init__(self, update_only: Callable[[], UpdateOnly]) -> None:
        self._update_only = update_only
        self._attributes: dict[tuple[str, str], dict[str, Known]] = {}
        self._telemetry: dict[tuple[str, str], dict[str, Known]] = {}

    def of(self, report: StoredReport) -> StoredReport:
        """The report without what is no news."""
        update_only = self._update_only()
        if not update_only or report.integration not in update_only:
            return report
        keys = update_only[report.integration]
        device = (report.kind, report.name)
        if device not in self._telemetry and len(self._telemetry) >= MOST_DEVICES:
            self.forget()
        known = self._attributes.setdefault(device, {})
        attributes: dict[str, JsonValue] = {}
        for key, value in report.attributes.items():
            if key in keys:
                if not is_news(report.received_ms, value, known.get(key)):
                    continue
                known[key] = (report.received_ms, value)
            attributes[key] = value
        telemetry = changed_samples(report.telemetry, keys, self._telemetry.setdefault(device, {}))
        return report._replace(attributes=attributes, telemetry=telemetry)

    def forget(self) -> None:
        """What was given may not have arrived."""
        self._attributes.clear()
        self._telemetry.clear()
