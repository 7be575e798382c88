"""A device's shape in JSON."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.model import JsonValue

if TYPE_CHECKING:
    from gateway.storage.device_view import DeviceDetails, DeviceSummary, Sample
    from gateway.storage.sink_store import DownlinkValue


def summary_as_json(device: "DeviceSummary") -> dict[str, JsonValue]:
    """The shape that scripts rely on, of a device in a list."""
    return {
        "name": device.name,
        "kind": device.kind,
        "type": device.type,
        "first_seen_ts": device.first_seen_ts,
        "last_seen_ts": device.last_seen_ts,
    }


def details_as_json(device: "DeviceDetails") -> dict[str, JsonValue]:
    """The shape that scripts rely on, of a device with its values."""
    return summary_as_json(device) | {
        "customer": device.customer,
        "group": device.group,
        "principal": device.principal,
        "attributes": _values_as_json(device.attributes),
        "telemetry": _values_as_json(device.telemetry),
    }


def downlink_as_json(
    shared_attributes: "Mapping[str, DownlinkValue]", last_rpc: "DownlinkValue | None"
) -> dict[str, JsonValue]:
    """The shape that scripts rely on, of what ThingsBoard sent for a device."""
    return {
        "shared_attributes": _values_as_json(shared_attributes),
        "last_rpc": None if last_rpc is None else sample_as_json(last_rpc),
    }


def sample_as_json(sample: "Sample | DownlinkValue") -> dict[str, JsonValue]:
    """The shape that scripts rely on, of one value."""
    return {"ts": sample.ts, "value": sample.value}


def _values_as_json(values: "Mapping[str, Sample | DownlinkValue]") -> dict[str, JsonValue]:
    return {key: sample_as_json(sample) for key, sample in values.items()}
