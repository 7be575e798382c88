"""Uplinks of the quarantine, chosen, and run again through today's converters; refused reports, for their sinks."""

from collections.abc import Iterator, Sequence, Set
from typing import Final

from gateway.converters import Decoder
from gateway.errors import GatewayError, NotFoundError, UsageError
from gateway.integrations.identity import writable_by
from gateway.model import Converter, FailedUplink, Integration, StoredReport
from gateway.operations.converters import Limits, compile_for
from gateway.pipeline import URI, held_to
from gateway.storage.quarantine import QuarantinedUplink, QuarantineView

PORTION_UPLINKS: Final = 200
"""Most uplinks that are replayed or deleted in one transaction."""

PORTION_BYTES: Final = 1 << 20
"""Most bytes of such uplinks."""


class TodaysConverters:
    """Converters as they are now, each compiled when it is first needed."""

    def __init__(self, limits: Limits, integrations: Sequence[Integration], converters: Sequence[Converter]) -> None:
        self._limits = limits
        self._by_name = {integration.name: integration for integration in integrations}
        self._by_path = {integration.path: integration for integration in integrations}
        self._converters = {converter.name: converter for converter in converters}
        self._decoders: dict[str, Decoder | GatewayError] = {}
        keys = {converter.name: frozenset(converter.update_only_keys) for converter in converters}
        self.update_only = {one.name: keys[one.converter] for one in integrations if keys[one.converter]}

    def convert(self, one: QuarantinedUplink) -> list[StoredReport] | GatewayError:
        """The reports that an uplink makes today, or why it makes none."""
        uplink = one.uplink
        try:
            integration = self._integration_of(uplink)
            decode = self._decoder(integration.converter).bind(uplink.metadata)
            writable = writable_by(integration, uplink.principal)
            if writable is not None:
                assert uplink.principal is not None
                decode = held_to(decode, writable, uplink.principal)
            reports = decode(uplink.payload, uplink.received_ms)
        except GatewayError as error:
            return error
        principal = uplink.principal.name if uplink.principal else None
        return [StoredReport(integration.name, uplink.received_ms, principal, *report) for report in reports]

    def _integration_of(self, uplink: FailedUplink) -> Integration:
        """The one that the uplink would come to today. Where none has that endpoint, the one of that name."""
        path = uplink.metadata.get(URI, "").partition("?")[0]
        found = self._by_path.get(tuple(path.split("/")[1:])) or self._by_name.get(uplink.integration)
        if found is None:
            missing = f"there is no integration named {uplink.integration} any more, and none with its endpoint"
            raise NotFoundError(f"{missing}; it can be replayed once one has that name")
        return found

    def _decoder(self, name: str) -> Decoder:
        if name not in self._decoders:
            try:
                self._decoders[name] = compile_for(self._converters[name], self._limits)
            except GatewayError as error:
                self._decoders[name] = error
        decoder = self._decoders[name]
        if isinstance(decoder, GatewayError):
            raise decoder
        return decoder


def reports_of(
    one: QuarantinedUplink, converters: TodaysConverters, sinks: Set[str]
) -> list[StoredReport] | GatewayError:
    """What becomes of an uplink today; of a report that a receiver refused, the report itself. `sinks` are on."""
    return converters.convert(one) if one.sink is None else refused_report(one, sinks)


def refused_report(one: QuarantinedUplink, sinks: Set[str]) -> list[StoredReport] | GatewayError:
    """A report that a receiver refused, for its sink, if that is among those that are on."""
    if one.sink not in sinks:
        return NotFoundError(f"the sink {one.sink}, which it is for, is not on")
    return [one.report]


def selected(
    view: QuarantineView, ids: Sequence[int] | None, integration: str | None, *, all: bool, after: int = 0
) -> Iterator[list[QuarantinedUplink]]:
    """What was chosen, in portions; behind the id `after` where it is not chosen by ids.

    What comes into the quarantine meanwhile is not part of it. Raises UsageError for no choice and for several,
    NotFoundError for an id that is not there.
    """
    if [bool(ids), integration is not None, all].count(True) != 1:
        raise UsageError("say which uplinks: give ids, or --integration NAME, or --all")
    if ids:
        chosen = [view.uplink(id) for id in dict.fromkeys(ids)]
        for start in range(0, len(chosen), PORTION_UPLINKS):
            yield chosen[start : start + PORTION_UPLINKS]
        return
    last = view.last_id()
    while portion := view.uplinks(integration=integration, after=after, limit=PORTION_UPLINKS, bytes=PORTION_BYTES):
        yield [one for one in portion if one.id <= last]
        after = portion[-1].id
        if after >= last:
            return
