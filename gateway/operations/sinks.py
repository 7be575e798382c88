"""The sinks that the settings ask for, for commands that look at them without delivering anything."""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.errors import ConfigurationError
from gateway.model import JsonValue
from gateway.settings import Settings
from gateway.sinks.registry import MAKERS
from gateway.sinks.sink import Sink


class WantedSink(NamedTuple):
    """A sink, or why the settings make none though they ask for it."""

    name: str
    sink: Sink | None
    error: ConfigurationError | None

    @property
    def destination(self) -> str:
        """Where it delivers to; empty where that is not known."""
        return self.sink.destination if self.sink is not None else ""


class ForgetfulHost:
    """A `Host` that keeps nothing: whoever looks at a sink must not write what the gateway writes."""

    def count(self, metric: str, *labels: str, by: int = 1) -> None:
        """Count nothing."""

    def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
        """Keep nothing."""

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """Keep nothing."""


def wanted_sinks(settings: Settings) -> Iterator[WantedSink]:
    """Every sink that is on, whether or not it can be made."""
    for name, make in MAKERS.items():
        try:
            sink = make(settings, ForgetfulHost())
        except ConfigurationError as error:
            yield WantedSink(name, None, error)
        else:
            if sink is not None:
                yield WantedSink(name, sink, None)
