"""Which sinks there are. A new one is a file beside this one, and a line here."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from gateway.settings import Settings
from gateway.sinks.sink import Host, Sink

Maker: TypeAlias = Callable[[Settings, Host], Sink | None]
"""Makes a sink; None where the settings don't ask for it. Raises ConfigurationError."""


def _thingsboard(settings: Settings, host: Host) -> Sink | None:
    from gateway.sinks.thingsboard import make

    return make(settings, host)


def _http(settings: Settings, host: Host) -> Sink | None:
    from gateway.sinks.http import make

    return make(settings, host)


def _jsonl(settings: Settings, host: Host) -> Sink | None:
    from gateway.sinks.jsonl import make

    return make(settings, host)


MAKERS: Final[Mapping[str, Maker]] = {"thingsboard": _thingsboard, "http": _http, "jsonl": _jsonl}
"""By their names. Each imports its module only when it is asked: who has no such sink should not pay for it."""


def make_sinks(settings: Settings, host_of: Callable[[str], Host]) -> Iterator[Sink]:
    """The sinks that the settings ask for; `host_of` gives each its host, by its name. Raises ConfigurationError."""
    for name, make in MAKERS.items():
        sink = make(settings, host_of(name))
        if sink is not None:
            yield sink
