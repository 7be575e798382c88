"""Shapes in JSON of an uplink in the quarantine, and of what became of it when it was run again."""

import json
from typing import TYPE_CHECKING

from gateway.errors import GatewayError
from gateway.model import DeviceReport, JsonValue, StoredReport
from gateway.presentation.payload_view import PayloadView, view_payload

if TYPE_CHECKING:
    from gateway.storage.quarantine import QuarantinedUplink


def as_json(one: "QuarantinedUplink") -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    uplink = one.uplink
    shown = view_of(one)
    return {
        "id": one.id,
        "received_ts": uplink.received_ms,
        "integration": uplink.integration,
        "principal": _principal(one),
        "principal_type": uplink.principal.kind if uplink.principal else None,
        "payload_format": shown.format,
        "payload": shown.text,
        "payload_hex": uplink.payload.hex(),
        "metadata": dict(uplink.metadata),
        "error": uplink.error,
        "sink": one.sink,
    }


def view_of(one: "QuarantinedUplink") -> PayloadView:
    """What came in; of a report that a receiver refused, the report as converters return it."""
    if one.sink is None:
        return view_payload(one.uplink.payload, one.uplink.metadata.get("Option:content-format", ""))
    from gateway.converters.trial import reports_as_json  # with all that converters need; few want it

    (report,) = reports_as_json([DeviceReport(*one.report[3:])], received_ms=-1)
    return PayloadView("json", json.dumps(report, ensure_ascii=False))


def _principal(one: "QuarantinedUplink") -> str | None:
    if one.sink is not None:
        return one.report.principal
    return one.uplink.principal.name if one.uplink.principal else None


def outcome_as_json(
    one: "QuarantinedUplink", outcome: list[StoredReport] | GatewayError, was_there: bool
) -> dict[str, JsonValue]:
    """The shape that scripts rely on, of an uplink that was run again: its reports, or why it makes none."""
    failed = isinstance(outcome, GatewayError)
    return {
        "id": one.id,
        "integration": one.uplink.integration,
        "sink": one.sink,
        "names": [] if isinstance(outcome, GatewayError) else [report.name for report in outcome],
        "error": outcome.message if isinstance(outcome, GatewayError) else None,
        "was_there": failed or was_there,
    }
