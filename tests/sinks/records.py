"""Records, and who asks for them, as tests of sinks want them."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.metrics import Metrics
from gateway.model import JsonValue, StoredReport
from gateway.settings import Settings
from gateway.sinks.sink import Record

SPOOL = "0123456789abcdef0123456789abcdef"
RECEIVED_MS = 1_785_000_000_000


def settings_of(**values: Any) -> Settings:
    """Settings with these values, and the defaults for all others, whatever the environment says."""
    return Settings(_env_file=None, **values)


def record(number: int = 0, **changes: Any) -> Record:
    """A record of a device; `changes` are fields of its report."""
    report = StoredReport(
        integration="demo",
        received_ms=RECEIVED_MS + number,
        principal=None,
        kind="device",
        name=f"SN-{number:03}",
        type="default",
        customer=None,
        group=None,
        attributes={},
        telemetry=[(RECEIVED_MS + number, {"temperature": 25.7})],
    )
    return Record(SPOOL, 1, number, report._replace(**changes))


def records(count: int, **changes: Any) -> list[Record]:
    """Records of as many devices."""
    return [record(number, **changes) for number in range(count)]


def ids(found: Sequence[Record]) -> list[str]:
    """The names of records."""
    return [one.id for one in found]


def ids_in(lines: bytes) -> list[str]:
    """The names of the records in a file of JSON lines; each line must be whole."""
    assert not lines or lines.endswith(b"\n")
    return [json.loads(line)["id"] for line in lines.splitlines()]


class Taken:
    """Remembers what was said to be taken; it may not go back."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def __call__(self, count: int) -> None:
        assert count >= self.count
        self.steps.append(count)

    @property
    def count(self) -> int:
        """How many records are taken."""
        return self.steps[-1] if self.steps else 0


class CountingHost:
    """A host for sinks that have nothing to keep."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def count(self, metric: str, *labels: str, by: int = 1) -> None:
        """Add to a metric."""
        self.metrics.count(metric, *labels, by=by)

    def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
        """No receiver of such sinks has any."""
        raise AssertionError(device)

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """No receiver of such sinks makes any."""
        raise AssertionError(device)
