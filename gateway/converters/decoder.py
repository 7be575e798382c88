"""What a compiled converter looks like to the packet loop, whatever language it is written in."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import DeviceReport, JsonValue

BoundDecoder: TypeAlias = Callable[[bytes, int], list[DeviceReport]]
"""(payload, time of receipt in milliseconds since 1970) → reports; raises ConverterError, and UnavailableError where
the converter is blocked (see `gateway.converters.blocking`).

An empty list is a converter's way to say nothing. The error's message fits a CoAP diagnostic payload.
"""

ResultReader: TypeAlias = Callable[[JsonValue, int], list[DeviceReport]]
"""(what a converter returned, time of receipt in milliseconds since 1970) → reports; raises ConverterError."""


class LimitError(ConverterError):
    """A converter's call ran into its limit of time or memory."""


class Decoder(Protocol):
    """A converter that is compiled in this process. It belongs to one thread."""

    def bind(self, metadata: Mapping[str, str], *, read: ResultReader = reports_of) -> BoundDecoder:
        """The function for the uplinks that come with this metadata. `read` is for who wants to see the results.

        Binding is cheap and leaves nothing behind when the function goes, so there may be one for each route. The
        metadata is taken as it is now; each call of the converter gets a copy of its own.
        """
        ...
