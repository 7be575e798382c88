"""A converter tried on one payload, for people: what it returned, what that makes, how long it takes, what went wrong.

And its example cases: what they make must be what their expected results make. Both are read as reports, so that it
does not matter whether a result is one object or an array of one, or in which order its keys stand.
"""

import difflib
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.converters.decoder import Decoder
from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import ConverterCase, DeviceReport, JsonValue, same_json

CALLS: Final = 20
"""Most calls that a duration is the median of."""

CALLS_NS: Final = 200_000_000
"""How long such calls go on at most, in nanoseconds."""

CASE_RECEIVED_MS: Final = 0
"""The time of receipt of an example case, so that its reports are the same at every run."""

_DEPTH_SHOWN: Final = 64
_PLACE: Final = re.compile(r" \(line (\d{1,9})(?:, column (\d{1,9}))?\)$")
_LINE_END: Final = re.compile("\r\n|[\n\r\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a source something is; lines and columns count from 1."""

    line: int
    column: int | None
    text: str
    """The line itself."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a payload."""

    returned: bool
    """Whether the decoder came to its end."""
    output: JsonValue
    """What it returned, as far as JSON can hold it."""
    reports: tuple[DeviceReport, ...]
    error: ConverterError | None
    """What it failed with, or what is wrong with its result."""
    duration_us: float
    """The median of a few calls, in microseconds."""
    calls: int


@dataclass(frozen=True, slots=True)
class CaseTrial:
    """What became of an example case: passed where nothing is wrong."""

    case: ConverterCase
    wrong: str
    """What is wrong with it, briefly."""
    difference: tuple[str, ...] = ()
    """Lines of a diff, from what was expected to what came."""


def try_payload(decoder: Decoder, payload: bytes, metadata: Mapping[str, str], received_ms: int) -> Trial:
    """Convert a payload, several times where that succeeds."""
    outputs: list[JsonValue] = []

    def read(result: JsonValue, received_ms: int) -> list[DeviceReport]:
        if not outputs:
            outputs.append(as_json(result))
        return reports_of(result, received_ms)

    decode = decoder.bind(metadata, read=read)
    reports: list[DeviceReport] = []
    error: ConverterError | None = None
    durations_ns: list[int] = []
    while not durations_ns or (error is None and len(durations_ns) < CALLS and sum(durations_ns) < CALLS_NS):
        start_ns = time.perf_counter_ns()
        try:
            made = decode(payload, received_ms)
        except ConverterError as failure:
            error = failure
        else:
            reports = reports or made
        durations_ns.append(time.perf_counter_ns() - start_ns)
        if len(durations_ns) == 1:
            decode = decoder.bind(metadata)  # the others are timed as in the packet loop
    return Trial(
        returned=bool(outputs),
        output=outputs[0] if outputs else None,
        reports=tuple(reports),
        error=error,
        duration_us=statistics.median(durations_ns) / 1000,
        calls=len(durations_ns),
    )


def try_case(decoder: Decoder, case: ConverterCase) -> CaseTrial:
    """Convert a case's payload once, and compare."""
    try:
        made = reports_as_json(decoder.bind(case.metadata)(case.payload, CASE_RECEIVED_MS), CASE_RECEIVED_MS)
    except ConverterError as error:
        return CaseTrial(case, error.message)
    if case.expected is None:
        return CaseTrial(case, "")
    try:
        expected = reports_as_json(reports_of(case.expected, CASE_RECEIVED_MS), CASE_RECEIVED_MS)
    except ConverterError as error:
        return CaseTrial(case, f"what is expected is no result: {error.message}")
    if same_json(expected, made):
        return CaseTrial(case, "")
    lines = difflib.unified_diff(_lines(expected), _lines(made), "expected", "got", lineterm="", n=2)
    return CaseTrial(case, "the result is another one", tuple(lines))


def reports_as_json(reports: Sequence[DeviceReport], received_ms: int) -> list[JsonValue]:
    """Reports as a converter would return them, complete; a sample of the time of receipt is without `ts`."""
    return [
        {
            f"{report.kind}Name": report.name,
            f"{report.kind}Type": report.type,
            **({"customerName": report.customer} if report.customer is not None else {}),
            **({"groupName": report.group} if report.group is not None else {}),
            **({"attributes": report.attributes} if report.attributes else {}),
            **(
                {
                    "telemetry": [
                        {"values": values} if ts == received_ms else {"ts": ts, "values": values}
                        for ts, values in report.telemetry
                    ]
                }
                if report.telemetry
                else {}
            ),
        }
        for report in reports
    ]


def place_of(error: ConverterError, source: str) -> Place | None:
    """Where in the source a failure was, where its message names a place there."""
    match = _PLACE.search(error.message)
    if match is None:
        return None
    lines = _LINE_END.split(source)
    line = int(match[1])
    if not 0 < line <= len(lines):
        return None
    return Place(line, int(match[2]) if match[2] else None, lines[line - 1])


def as_json(value: object, levels: int = _DEPTH_SHOWN) -> JsonValue:
    """A value as JSON; what JSON does not have is named in angle brackets."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 63 else "<integer beyond 64 bits>"
    if isinstance(value, float):
        return float(value) if value - value == 0.0 else f"<{float.__repr__(value)}>"
    if levels == 0:
        return "<nested too deeply>"
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else f"<{type(key).__name__}>": as_json(part, levels - 1)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_json(part, levels - 1) for part in value]
    return f"<{type(value).__name__}>"


def _lines(value: JsonValue) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True).splitlines()
