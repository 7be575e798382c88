"""Devices and assets, and what they have sent."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.api.auth import Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.paging import Limit, Offset, Page, Search, page_of
from gateway.errors import UsageError
from gateway.model import JsonValue
from gateway.presentation.device import details_as_json, downlink_as_json, sample_as_json, summary_as_json
from gateway.storage.aggregation import INTERVALS_MAX, Aggregation

SAMPLES_MAX: Final = 10_000
"""Most samples in one answer."""

TS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999; a device's time is no later."""

Kind = Literal["device", "asset"]

router = APIRouter(prefix="/devices", tags=["devices"])


class HistoryAggregation(StrEnum):
    """ThingsBoard's aggregations."""

    NONE = "none"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"


class Sample(BaseModel):
    """A value and its time."""

    ts: int = Field(description="In milliseconds since 1970")
    value: JsonValue


class DeviceFields(BaseModel):
    """A device or an asset."""

    name: str
    kind: Kind
    type: str
    first_seen_ts: int = Field(description="When its first report was received, in milliseconds since 1970")
    last_seen_ts: int = Field(description="When its last report was received, in milliseconds since 1970")


class DeviceDetails(DeviceFields):
    """A device or an asset with its values."""

    customer: str | None
    group: str | None
    principal: str | None = Field(description="The identity that wrote it last; null over plain CoAP")
    attributes: dict[str, Sample]
    telemetry: dict[str, Sample] = Field(description="The latest value of each key")
    shared_attributes: dict[str, Sample] = Field(description="What ThingsBoard set, with the times of receipt")
    last_rpc: Sample | None = Field(description="The last remote procedure call that ThingsBoard made")


class History(BaseModel):
    """A telemetry key's samples, or what they sum up to, ascending by time."""

    key: str
    agg: HistoryAggregation
    items: list[Sample] = Field(description="Of an aggregation, `ts` is the middle of the interval")
    complete: bool = Field(description="Whether all samples of the time are in it; else only the newest of them")


KindQuery = Annotated[Kind, Query(description="Whether the name is a device's or an asset's")]
Ts = Annotated[int | None, Query(ge=-TS_MAX, le=TS_MAX, description="In milliseconds since 1970")]


@router.get("")
def list_devices(
    user: Viewer, backend: BackendOfApp, search: Search = "", limit: Limit = 100, offset: Offset = 0
) -> Page[DeviceFields]:
    """Devices and assets, by name."""
    with backend.devices() as view:
        devices = view.devices(search=search, limit=limit, offset=offset)
        total = view.count(search=search)
    items = [DeviceFields.model_validate(summary_as_json(device)) for device in devices]
    return page_of(items, offset=offset, total=total)


@router.get("/{name:path}/history")
def show_history(
    user: Viewer,
    backend: BackendOfApp,
    name: str,
    key: Annotated[str, Query(max_length=255, description="The telemetry key")],
    kind: KindQuery = "device",
    start_ts: Ts = None,
    end_ts: Ts = None,
    agg: HistoryAggregation = HistoryAggregation.NONE,
    interval_ms: Annotated[
        int | None, Query(ge=1, le=2 * TS_MAX, description="How long an interval of an aggregation is")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=SAMPLES_MAX, description="Most samples without aggregation")] = 1_000,
) -> History:
    """Samples from `start_ts` on and before `end_ts`; the newest where there are more than `limit`.

    With `agg` what they sum up to, one value for each interval that has any. Only numbers are summed up; everything is
    counted.
    """
    with backend.devices() as view:
        if agg is HistoryAggregation.NONE:
            found = view.history(name, key, kind=kind, start_ms=start_ts, end_ms=end_ts, limit=limit + 1)
            samples = [Sample.model_validate(sample_as_json(sample)) for sample in found[-limit:]]
            return History(key=key, agg=agg, items=samples, complete=len(found) <= limit)
        start_ms, end_ms, step_ms = _intervals(start_ts, end_ts, interval_ms)
        how = Aggregation(agg.value)
        summed = view.aggregated(name, key, how, kind=kind, start_ms=start_ms, end_ms=end_ms, interval_ms=step_ms)
    return History(
        key=key,
        agg=agg,
        items=[Sample(ts=one.ts, value=one.value) for one in summed.values],
        complete=summed.complete,
    )


@router.get("/{name:path}")
def show_device(user: Viewer, backend: BackendOfApp, name: str, kind: KindQuery = "device") -> DeviceDetails:
    """A device: its attributes and the latest value of each telemetry key."""
    with backend.devices() as view:
        shape = details_as_json(view.device(name, kind=kind))
    with backend.sinks() as sinks:
        of_device = kind == "device"
        shape |= downlink_as_json(
            sinks.shared_attributes(name) if of_device else {}, sinks.rpc(name) if of_device else None
        )
    return DeviceDetails.model_validate(shape)


def _intervals(start_ms: int | None, end_ms: int | None, interval_ms: int | None) -> tuple[int, int, int]:
    """Raises UsageError where an aggregation lacks one of them, or has too many intervals."""
    for field, value in (("start_ts", start_ms), ("end_ts", end_ms), ("interval_ms", interval_ms)):
        if value is None:
            raise UsageError(f"an aggregation needs {field}", field=field)
    assert start_ms is not None
    assert end_ms is not None
    assert interval_ms is not None
    if end_ms <= start_ms:
        raise UsageError("end_ts must be after start_ts", field="end_ts")
    if end_ms - start_ms > interval_ms * INTERVALS_MAX:
        least_ms = -(-(end_ms - start_ms) // INTERVALS_MAX)
        raise UsageError(
            f"these are more than {INTERVALS_MAX} intervals",
            hint=f"interval_ms must be at least {least_ms} for this time",
            field="interval_ms",
        )
    return start_ms, end_ms, interval_ms
