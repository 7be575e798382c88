"""A record as JSON, for sinks that speak no protocol of their own: ThingsBoard's words, as converters return them."""

import orjson

from gateway.model import JsonValue
from gateway.sinks.sink import Record


def as_json(record: Record) -> bytes:
    """One object, without a line break in it; `docs/sinks.md` says what it holds."""
    report = record.report
    made: dict[str, JsonValue] = {
        "id": record.id,
        "integration": report.integration,
        "receivedTs": report.received_ms,
    }
    if report.principal is not None:
        made["principal"] = report.principal
    made[f"{report.kind}Name"] = report.name
    made[f"{report.kind}Type"] = report.type
    if report.customer is not None:
        made["customerName"] = report.customer
    if report.group is not None:
        made["groupName"] = report.group
    made["attributes"] = report.attributes
    made["telemetry"] = [{"ts": ts, "values": values} for ts, values in report.telemetry]
    return orjson.dumps(made)
