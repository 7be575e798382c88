"""Reports and deliveries to store."""

from typing import Literal

from gateway.model import Delivery, JsonValue, StoredReport, Timeseries

SPOOL = "spool-0"


def report(
    name: str,
    telemetry: Timeseries | None = None,
    *,
    received_ms: int = 1_000,
    kind: Literal["device", "asset"] = "device",
    type: str = "default",
    customer: str | None = None,
    group: str | None = None,
    principal: str | None = None,
    attributes: dict[str, JsonValue] | None = None,
) -> StoredReport:
    """A report with what a test does not care for filled in."""
    return StoredReport(
        integration="meters",
        received_ms=received_ms,
        principal=principal,
        kind=kind,
        name=name,
        type=type,
        customer=customer,
        group=group,
        attributes=attributes or {},
        telemetry=telemetry or [],
    )


def delivery(batch_id: int, *reports: StoredReport) -> Delivery:
    """One batch of a spool."""
    return Delivery(batch_id, list(reports))
