"""What happens to a request: routed to its integration, converted, stored durably, answered."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from gateway.coap.endpoint import Handler, Ticket
from gateway.converters import BoundDecoder, Decoder, compile_converter
from gateway.converters.blocking import watched
from gateway.debugging import DebugEvents, Watch
from gateway.errors import BadRequestError, ConverterError, ForbiddenError, GatewayError, UnavailableError
from gateway.integrations.debug_mode import mode_at
from gateway.integrations.identity import writable_by
from gateway.integrations.rates import RateLimiter
from gateway.integrations.registry import Registry
from gateway.logs import about
from gateway.metrics import (
    CONVERSION_ERRORS_TOTAL,
    CONVERSION_SECONDS,
    FORBIDDEN_TOTAL,
    QUARANTINED_TOTAL,
    REQUEST_SECONDS,
    SPOOL_BYTES,
    SPOOL_COMMITS_TOTAL,
    SPOOL_OLDEST_SECONDS,
    UPLINKS_TOTAL,
    Histogram,
    Metrics,
)
from gateway.model import Code, Converter, DebugMode, DeviceReport, Integration, Outcome, Principal, Request, Security
from gateway.refusal_log import RefusalLog
from gateway.settings import Settings, parse_rate_limits
from gateway.storage import failed_uplinks
from gateway.storage.spool import Spool
from gateway.storage.spool_batch import Batch

RETRY_AFTER_S = 5
"""Max-Age of a 5.03: when a device may try again."""

MEASURED = 17
"""Conversions of what arrived in one millisecond of so many are measured. A prime: what comes by the clock must not
miss those milliseconds for ever."""

URI = "Option:uri"
"""What a converter is told under this name is the path of the request, with its query: where the uplink came to."""

_CREATED = Outcome(Code.CREATED)
_EMPTY = BadRequestError("the payload is empty").outcome
_FULL = UnavailableError("the gateway's spool is full, try again later", max_age_s=RETRY_AFTER_S).outcome
_STOPPING = UnavailableError("the gateway is shutting down", max_age_s=RETRY_AFTER_S).outcome
_TOO_LATE = UnavailableError("storing takes too long, try again later", max_age_s=RETRY_AFTER_S).outcome
_NOT_STORED = UnavailableError("the uplink could not be stored, try again later", max_age_s=RETRY_AFTER_S).outcome

_log = logging.getLogger(__name__)


class _Refusal:
    """The ticket of an uplink that its converter failed on: once that is stored, it is answered with the failure."""

    __slots__ = ("_outcome", "_ticket", "acknowledge", "peer")

    def __init__(self, ticket: Ticket, outcome: Outcome) -> None:
        self._ticket = ticket
        self._outcome = outcome
        self.acknowledge = ticket.acknowledge
        self.peer = ticket.peer

    def complete(self, outcome: Outcome) -> None:
        self._ticket.complete(self._outcome if outcome is _CREATED else outcome)


class Pipeline:
    """One worker's way from a request to a durable report. Everything but the commit happens in the caller."""

    def __init__(self, settings: Settings, spool_path: Path, *, share: int, metrics: Metrics) -> None:
        """To be made in a running loop. `share` is the number of workers that divide the spool's bound.

        Raises ConfigurationError or UnavailableError where the spool can't be opened.
        """
        self._settings = settings
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._request_seconds = {one: metrics.histogram(REQUEST_SECONDS, one.name.lower()) for one in Security}
        self._registry = Registry()
        self._decoders: dict[Converter, Decoder] = {}
        self._by_name: dict[str, Decoder | ConverterError] = {}
        self._limits = RateLimiter(
            per_integration=parse_rate_limits(settings.gateway_integration_rate_limit),
            per_device=parse_rate_limits(settings.gateway_device_rate_limit),
        )
        self.events = DebugEvents(metrics)
        """The debug events of this worker, on their way out."""
        self.refusals = RefusalLog()
        self._debugging_ends_ms: float = math.inf
        self._keeps_failed = settings.gateway_quarantine_rows > 0
        self._stopping = False
        self._acknowledge_after_s = settings.coap_piggyback_timeout / 1000
        self._give_up_after_s = settings.coap_timeout / 1000
        self._deadline_timer: asyncio.TimerHandle | None = None
        self.spool: Spool[Ticket] = Spool(
            spool_path,
            loop=self._loop,
            max_bytes=settings.gateway_spool_max_bytes // share,
            commit_batch=settings.gateway_commit_batch,
            commit_interval_s=settings.gateway_commit_interval_ms / 1000,
            on_committed=self._committed,
        )

    def load(self, integrations: Iterable[Integration], converters: Iterable[Converter]) -> None:
        """Serve these from the next request on. Converters that did not change keep their compiled state."""
        decoders: dict[Converter, Decoder] = {}
        by_name: dict[str, Decoder | ConverterError] = {}
        for converter in converters:
            decoder = self._decoders.get(converter)
            try:
                if decoder is None:
                    decoder = compile_converter(
                        converter,
                        time_limit_ms=self._settings.gateway_javascript_time_limit_ms,
                        memory_limit_bytes=self._settings.gateway_javascript_memory_limit_bytes,
                    )
                    budget_ms = self._settings.gateway_python_time_budget_ms
                    decoder = watched(decoder, converter, python_budget_ms=budget_ms, metrics=self._metrics)
            except GatewayError as error:
                about_it = about(converter=converter.name, error=error.message)
                _log.error("converter %s can't be used", converter.name, extra=about_it)
                by_name[converter.name] = ConverterError(f"the converter can't be used: {error.message}")
            else:
                decoders[converter] = by_name[converter.name] = decoder
        self._decoders, self._by_name = decoders, by_name
        self._registry = Registry(integrations)
        self._find_end_of_debugging()

    def has_debugging_ended(self) -> bool:
        """Whether a debug mode has ended by itself since this was last asked, and handlers are to be forgotten."""
        if time.time_ns() // 1_000_000 < self._debugging_ends_ms:
            return False
        self._find_end_of_debugging()
        return True

    def _find_end_of_debugging(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        ends = [i.debug_until_ms for i in self._registry.integrations.values() if mode_at(i, now_ms) is DebugMode.ALL]
        self._debugging_ends_ms = min(ends, default=math.inf)

    def endpoints(self) -> Sequence[tuple[str, ...]]:
        """The paths of all endpoints; the same object for as long as they don't change."""
        return self._registry.paths

    def resolve(self, request: Request) -> Handler:
        """What handles the payloads of such requests. Raises the GatewayError that answers them."""
        integration = self._registry.find(request)
        decoder = self._by_name[integration.converter]
        writable = self._writable(integration, request)
        metadata = metadata_of(request, integration)
        watch = None
        if mode_at(integration, time.time_ns() // 1_000_000) is not DebugMode.OFF:
            watch = Watch(self.events, integration, request.principal, metadata)
        if isinstance(decoder, ConverterError):
            decode = _failing(decoder)
        else:
            decode = decoder.bind(metadata) if watch is None else decoder.bind(metadata, read=watch.read)
        if watch is not None:
            decode = watch.timed(decode)
        if writable is not None:
            assert request.principal is not None
            decode = held_to(decode, writable, request.principal)
        handle = self._handler(integration, request.principal, metadata, decode)
        return handle if watch is None else watch.around(handle)

    def _writable(self, integration: Integration, request: Request) -> Callable[[str], bool] | None:
        """Which names may be written; None: any. Raises ForbiddenError where an identity is needed and missing."""
        try:
            return writable_by(integration, request.principal)
        except ForbiddenError:
            self._metrics.count(FORBIDDEN_TOTAL, integration.name)
            raise

    def _handler(
        self, of: Integration, whose: Principal | None, metadata: Mapping[str, str], decode: BoundDecoder
    ) -> Handler:
        integration = of.name
        decode_measured = measured(decode, self._metrics.histogram(CONVERSION_SECONDS, of.converter))
        principal = whose.name if whose else None
        append, dumps = self.spool.append, orjson.dumps
        limits = self._limits if self._limits.active else None

        def handle(payload: bytes, received_ms: int, ticket: Ticket) -> Outcome | None:
            if not payload:
                return self._refuse(integration, _EMPTY, ticket, whose)
            try:
                if limits is None:
                    reports = (decode if received_ms % MEASURED else decode_measured)(payload, received_ms)
                else:
                    limits.admit_integration(integration)
                    reports = (decode if received_ms % MEASURED else decode_measured)(payload, received_ms)
                    limits.admit_devices(reports)
            except ConverterError as error:
                self._metrics.count(CONVERSION_ERRORS_TOTAL, integration)
                self._log_refusal(integration, error.outcome, ticket, whose, warn=True)
                record = failed_uplinks.encode(integration, received_ms, whose, payload, metadata, error.message)
                return self._set_aside(record, integration, error.outcome, ticket)
            except ForbiddenError as error:
                self._metrics.count(FORBIDDEN_TOTAL, integration)
                return self._refuse(integration, error.outcome, ticket, whose)
            except GatewayError as error:
                return self._refuse(integration, error.outcome, ticket, whose)
            if not reports:
                return self._answered(integration, _CREATED)
            if len(reports) == 1:  # as a rule; the join would cost a tenth of a conversion
                text = dumps((integration, received_ms, principal, *reports[0]))
            else:
                text = b",".join([dumps((integration, received_ms, principal, *report)) for report in reports])
            if not append(text, integration, ticket):
                return self._refuse(integration, _STOPPING if self._stopping else _FULL, ticket, whose)
            if self._deadline_timer is None:
                self._watch_deadlines()
            return None

        return handle

    def _set_aside(self, record: bytes, integration: str, outcome: Outcome, ticket: Ticket) -> Outcome | None:
        """Have an uplink that its converter failed on stored for the quarantine, and then answered with `outcome`."""
        if self._stopping:
            return self._answered(integration, _STOPPING)
        if not self._keeps_failed:
            return self._answered(integration, outcome)
        if not self.spool.append_failed(record, integration, _Refusal(ticket, outcome)):
            self._metrics.count(QUARANTINED_TOTAL, integration, "no room")
            return self._answered(integration, outcome)
        if self._deadline_timer is None:
            self._watch_deadlines()
        return None

    def measure(self) -> None:
        """Say how the spool stands. To be called now and then."""
        oldest_ms = self.spool.oldest_ms
        age_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        self._metrics.set(SPOOL_BYTES, value=self.spool.bytes)
        self._metrics.set(SPOOL_OLDEST_SECONDS, value=round(age_s, 3))

    async def close(self) -> None:
        """Answer 5.03 from now on, commit what was accepted, close the spool."""
        self._stopping = True
        await self.spool.close()
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()

    # -- outcomes --------------------------------------------------------------------------------

    def _answered(self, integration: str, outcome: Outcome) -> Outcome:
        arrived_s, security = self.spool.arrival
        self._request_seconds[security].observe(time.monotonic() - arrived_s)
        self._metrics.count(UPLINKS_TOTAL, integration, outcome.code.dotted)
        return outcome

    def _refuse(self, integration: str, outcome: Outcome, ticket: Ticket, whose: Principal | None) -> Outcome:
        self._log_refusal(integration, outcome, ticket, whose)
        return self._answered(integration, outcome)

    def _log_refusal(
        self, integration: str, outcome: Outcome, ticket: Ticket, whose: Principal | None, *, warn: bool = False
    ) -> None:
        if self.refusals.admits():
            self.refusals.refused(outcome, peer=ticket.peer(), principal=whose, integration=integration, warn=warn)

    def _committed(self, batch: Batch[Ticket]) -> None:
        if not batch.given_up:
            self._complete(batch, _CREATED if batch.error is None else _NOT_STORED)
        for integration, uplinks in Counter(batch.failed).items():
            self._metrics.count(
                QUARANTINED_TOTAL, integration, "kept" if batch.error is None else "not stored", by=uplinks
            )
        self._metrics.count(SPOOL_COMMITS_TOTAL, "ok" if batch.error is None else "failed")

    def _complete(self, batch: Batch[Ticket], outcome: Outcome) -> None:
        if outcome is not _CREATED:
            for ticket in batch.tickets:
                self._log_refusal("", outcome, ticket, None)
        for ticket in batch.tickets:
            ticket.complete(outcome)
        answered_s = time.monotonic()
        ends = (*(first for first, _, _ in batch.arrivals[1:]), len(batch.tickets))
        for (first, arrived_s, security), end in zip(batch.arrivals, ends, strict=True):
            self._request_seconds[security].observe(answered_s - arrived_s, by=end - first)
        for integration, uplinks in Counter(batch.sources).items():
            self._metrics.count(UPLINKS_TOTAL, integration, outcome.code.dotted, by=uplinks)
        code = Code.BAD_REQUEST if outcome is _CREATED else outcome.code
        for integration, uplinks in Counter(batch.failed).items():
            self._metrics.count(UPLINKS_TOTAL, integration, code.dotted, by=uplinks)

    def _watch_deadlines(self) -> None:
        """Acknowledge what waits longer than the piggyback time-out, give up what waits longer than COAP_TIMEOUT.

        One timer serves all that waits: batches are in order of time.
        """
        self._deadline_timer = None
        now_s = time.monotonic()
        next_s: list[float] = []
        for batch in self.spool.waiting:
            waited_s = now_s - batch.since_s
            if batch.given_up:
                continue
            if waited_s >= self._give_up_after_s:
                batch.sealed = batch.given_up = True
                self._complete(batch, _TOO_LATE)
            elif waited_s >= self._acknowledge_after_s:
                batch.sealed = True  # what comes now has a deadline of its own
                for ticket in batch.tickets:
                    ticket.acknowledge()
                next_s.append(self._give_up_after_s - waited_s)
            else:
                next_s.append(min(self._acknowledge_after_s, self._give_up_after_s) - waited_s)
                break
        if next_s:
            # Something may come in the meantime, and have its first deadline before all that waits now.
            self._deadline_timer = self._loop.call_later(min(*next_s, self._acknowledge_after_s), self._watch_deadlines)


def metadata_of(request: Request, integration: Integration) -> Mapping[str, str]:
    """What a converter is told besides the payload: ThingsBoard's keys, then the integration's own.

    An option that the request does not have is an empty text.
    """
    uri = "/" + "/".join(request.path)
    if request.query:
        uri += "?" + "&".join(request.query)
    return {
        "Option:content-format": "" if request.content_format is None else str(request.content_format),
        URI: uri,
        "Option:location-path": "/".join(request.location_path),
        "Option:location-query": "&".join(request.location_query),
        "integrationName": integration.name,
        **integration.metadata,
        **_identity_of(request.principal),
    }


def _identity_of(principal: Principal | None) -> Mapping[str, str]:
    """What a converter is told of who sent it. Nothing of the integration's own can stand in its place."""
    if principal is None:
        return {}
    about = {"principal": principal.name, "principalType": principal.kind}
    if principal.kind == "psk":
        return about | {"pskIdentity": principal.name}
    return about | {
        "certificateSubject": principal.subject or "",
        "certificateFingerprint": principal.fingerprint or "",
    }


def measured(decode: BoundDecoder, histogram: Histogram) -> BoundDecoder:
    """The decoder with its time taken."""

    def decode_measured(payload: bytes, received_ms: int) -> list[DeviceReport]:
        begun_s = time.perf_counter()
        try:
            return decode(payload, received_ms)
        finally:
            histogram.observe(time.perf_counter() - begun_s)

    return decode_measured


def _failing(error: ConverterError) -> BoundDecoder:
    """What stands for a converter that can't be used."""

    def decode(payload: bytes, received_ms: int) -> list[DeviceReport]:
        raise ConverterError(error.message, hint=error.hint)

    return decode


def held_to(decode: BoundDecoder, writable: Callable[[str], bool], principal: Principal) -> BoundDecoder:
    """The decoder with its reports held to the names that a principal may write."""

    def decode_own(payload: bytes, received_ms: int) -> list[DeviceReport]:
        reports = decode(payload, received_ms)
        for report in reports:
            if not writable(report.name):
                raise ForbiddenError(f'"{principal.name}" may not write as "{report.name}"')
        return reports

    return decode_own
