"""What the routes work with: the data directory's stores, and the running gateway by its command socket.

A SQLite connection belongs to one thread, and a dependency of FastAPI may be run in another than the route. So a route
opens what it needs itself, in a `with` block: `with backend.catalogue() as catalogue: …`. Such routes are plain
functions, which FastAPI runs in its threads.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from gateway.api.lockout import Lockout
from gateway.api.streams import Streams
from gateway.command_socket import ask, ask_soon
from gateway.errors import UnavailableError
from gateway.model import JsonValue
from gateway.operations.catalogue import open_catalogue
from gateway.operations.converter_runs import ConverterRuns
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.device_view import DeviceView
from gateway.storage.events import EventView
from gateway.storage.quarantine import QuarantineView
from gateway.storage.sink_store import SinkView


@dataclass(frozen=True)
class Backend:
    """One per app. Its methods raise GatewayError, which the app answers as a problem document."""

    settings: Settings
    lockout: Lockout = field(repr=False)

    @cached_property
    def runs(self) -> ConverterRuns:
        """Where users' code is run: never in the API's own process."""
        return ConverterRuns(self.settings)

    @cached_property
    def streams(self) -> Streams:
        """The streams of server-sent events."""
        return Streams()

    def catalogue(self) -> AbstractContextManager[Catalogue]:
        """The catalogue, for one thread. What is changed in the block is in force at its end."""
        return open_catalogue(self.settings.gateway_data_dir)

    def devices(self) -> DeviceView:
        """The devices, for one thread; to be closed."""
        return DeviceView(self.settings.gateway_data_dir)

    def sinks(self) -> SinkView:
        """What sinks were told for devices, for one thread; to be closed."""
        return SinkView(self.settings.gateway_data_dir)

    def events(self) -> EventView:
        """The debug events, for one thread; to be closed."""
        return EventView(self.settings.gateway_data_dir)

    def quarantine(self) -> QuarantineView:
        """The quarantine, for one thread; to be closed."""
        return QuarantineView(self.settings.gateway_data_dir)

    def ask(self, command: str, of: JsonValue = None) -> JsonValue:
        """Have the running gateway do something; raises the error of its command, UnavailableError where none runs."""
        return _answered(ask(self.settings.gateway_data_dir, command, of))

    async def ask_soon(self, command: str, of: JsonValue = None) -> JsonValue:
        """`ask` for a route that is a coroutine."""
        return _answered(await ask_soon(self.settings.gateway_data_dir, command, of))


def _answered(answer: JsonValue) -> JsonValue:
    if answer is None:
        raise UnavailableError("no gateway runs on this data directory", hint="start it: gateway serve")
    return answer


def _of_app(request: Request) -> Backend:
    backend = request.app.state.backend
    assert isinstance(backend, Backend)
    return backend


BackendOfApp = Annotated[Backend, Depends(_of_app)]
"""As a route's parameter."""
