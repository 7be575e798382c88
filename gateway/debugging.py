"""Debug events: what went into a converter, and what came out. ThingsBoard's debug mode of an integration.

An integration that is not debugged has nothing of this in its uplinks' way. Events wait in a bounded queue until the
worker hands them on; what finds no room is counted and gone, and no uplink ever waits for its event.
"""

import json
import logging
import time
from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from typing import Final

import orjson

from gateway.coap.endpoint import Handler, Ticket
from gateway.converters.decoder import BoundDecoder
from gateway.converters.results import reports_of
from gateway.errors import GatewayError
from gateway.integrations.debug_mode import mode_at
from gateway.metrics import EVENTS_DROPPED_TOTAL, Metrics
from gateway.model import Code, DebugMode, DeviceReport, Integration, JsonValue, Outcome, Principal

WAITING_EVENTS: Final = 500
"""Most events of a worker that wait to be handed on."""

WAITING_BYTES: Final = 4 << 20
"""Most bytes of such events."""

IN_BYTES: Final = 8 << 10
"""Of a longer payload, an event has no more than this beginning, in bytes."""

OUT_CHARACTERS: Final = 16 << 10
"""Of a longer output of a decoder, an event has no more than this beginning, in characters of JSON."""

METADATA_CHARACTERS: Final = 16 << 10
"""Of longer metadata, an event has none, in characters of JSON."""

_NOTHING: Final = object()

_log = logging.getLogger(__name__)


class DebugEvents:
    """The events of one worker, on their way to who keeps them. They are JSON objects, ready-made:

    `{"ts", "integration", "peer", "principal", "payload", "payload_bytes", "metadata", "out", "error", "duration_us",
    "names"}`, the payload in Base64, `out` and `metadata` as JSON text, `names` those of the devices and assets in it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: deque[bytes] = deque()
        self._bytes = 0

    def has_room(self) -> bool:
        """Whether one more may come; counts it as lost where not."""
        if len(self._waiting) < WAITING_EVENTS and self._bytes < WAITING_BYTES:
            return True
        self._metrics.count(EVENTS_DROPPED_TOTAL, "worker")
        return False

    def add(self, event: bytes) -> None:
        """Let an event wait."""
        self._waiting.append(event)
        self._bytes += len(event)

    def take(self, most_bytes: int) -> list[bytes]:
        """The oldest that wait, at least one if there is any, and no more than fit into `most_bytes`."""
        taken: list[bytes] = []
        while self._waiting and (not taken or len(self._waiting[0]) <= most_bytes):
            event = self._waiting.popleft()
            self._bytes -= len(event)
            most_bytes -= len(event)
            taken.append(event)
        return taken


class Watch:
    """Looks over the shoulder of one route's handler, and records what its integration's debug mode asks for."""

    def __init__(
        self, events: DebugEvents, integration: Integration, principal: Principal | None, metadata: Mapping[str, str]
    ) -> None:
        self._events = events
        self._integration = integration
        self._principal = principal.name if principal else None
        self._metadata = json_text(dict(metadata), METADATA_CHARACTERS, cut=False)
        self._result: object = _NOTHING
        self._reports: list[DeviceReport] = []
        self._error: str | None = None
        self._duration_ns = 0

    def read(self, result: JsonValue, received_ms: int) -> list[DeviceReport]:
        """What a decoder's result is read with, so that it is seen as the decoder returned it."""
        self._result = result
        return reports_of(result, received_ms)

    def timed(self, decode: BoundDecoder) -> BoundDecoder:
        """The decoder with its time, its reports and its failure noted."""

        def decode_timed(payload: bytes, received_ms: int) -> list[DeviceReport]:
            began_ns = time.perf_counter_ns()
            try:
                self._reports = decode(payload, received_ms)
            except GatewayError as error:
                self._error = error.message
                raise
            finally:
                self._duration_ns = time.perf_counter_ns() - began_ns
            return self._reports

        return decode_timed

    def around(self, handle: Handler) -> Handler:
        """The handler with its events."""

        def handle_watched(payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
            self._result, self._reports, self._error, self._duration_ns = _NOTHING, [], None, 0
            outcome = handle(payload, received_ms, ticket)
            try:
                self._record(payload, received_ms, ticket, outcome)
            except Exception:  # noqa: BLE001  an uplink must not fail because its event does
                _log.exception("an event could not be recorded")
            self._result, self._reports = _NOTHING, []
            return outcome

        return handle_watched

    def _record(self, payload: bytes, received_ms: int, ticket: Ticket, outcome: Outcome | None) -> None:
        error = self._error
        if error is None and outcome is not None and outcome.code is not Code.CREATED:
            error = outcome.diagnostic or outcome.code.dotted
        if error is None and mode_at(self._integration, received_ms) is not DebugMode.ALL:
            return
        if not self._events.has_room():
            return
        event = {
            "ts": received_ms,
            "integration": self._integration.name,
            "peer": ticket.peer(),
            "principal": self._principal,
            "payload": b64encode(payload[:IN_BYTES]).decode(),
            "payload_bytes": len(payload),
            "metadata": self._metadata,
            "out": None if self._result is _NOTHING else json_text(self._result, OUT_CHARACTERS, cut=True),
            "error": error,
            "duration_us": self._duration_ns // 1000,
            "names": list(dict.fromkeys(report.name for report in self._reports[:100])),
        }
        self._events.add(orjson.dumps(event))


def json_text(value: JsonValue, most_characters: int, *, cut: bool) -> str:
    """A value as JSON; what JSON does not have, as Python shows it. Too long a text is cut, or left out."""
    try:
        text = orjson.dumps(value, default=repr).decode()
    except TypeError:  # numbers beyond 64 bits, keys that are no texts, halves of surrogate pairs, endless nesting
        try:
            text = json.dumps(value, default=repr)
        except (TypeError, ValueError, RecursionError):
            text = json.dumps(repr(value))
    if len(text) <= most_characters:
        return text
    return text[: most_characters - 1] + "…" if cut else "{}"
