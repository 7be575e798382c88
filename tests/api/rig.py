"""The API as its clients see it, on a data directory of its own, without a server around it."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from gateway.api.app import make_app
from gateway.command_socket import serving
from gateway.delivery import Delivery
from gateway.metrics import Metrics
from gateway.model import Converter, Integration, Language, Role
from gateway.operations.users import add_user, create_token
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue

PREFIX = "/api/v1"
PATIENCE_S = 20.0

DECODER = """
var text = String.fromCharCode.apply(null, payload);
if (text == "bad") throw new Error("I don't like it");
return {deviceName: text, attributes: {site: metadata.site}, telemetry: {t: 1}};
"""
"""A JavaScript decoder whose device is called as the payload says."""


class Api:
    """An app with an admin and a viewer."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.data_dir = folder / "data"
        self.settings = Settings(_env_file=None, gateway_data_dir=self.data_dir, **settings)
        with self.catalogue() as catalogue:
            add_user(catalogue, "ada", Role.ADMIN, None)
            self._tokens = {
                role: create_token(catalogue, "ada", role.value, role, days=1).token
                for role in (Role.ADMIN, Role.VIEWER)
            }
        self.app = make_app(self.settings, console=False)

    def catalogue(self) -> Catalogue:
        """Its catalogue, to be closed."""
        return Catalogue(self.data_dir)

    def headers(self, role: Role = Role.ADMIN) -> dict[str, str]:
        """What a script of that role sends."""
        return {"Authorization": f"Bearer {self._tokens[role]}"}

    def call(self, method: str, path: str, *, role: Role = Role.ADMIN, **request: Any) -> httpx.Response:
        """One request; `path` is below /api/v1."""

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, PREFIX + path, headers=self.headers(role), **request)

        return asyncio.run(call())

    def ok(self, method: str, path: str, **request: Any) -> Any:
        """A request that is to succeed; gives the answer's JSON, None where it has no content."""
        response = self.call(method, path, **request)
        assert response.is_success, (response.status_code, response.text)
        assert response.headers["cache-control"] == "no-store"
        return response.json() if response.content else None

    def get(self, path: str, **query: Any) -> Any:
        """What is there, for a viewer."""
        return self.ok("GET", path, role=Role.VIEWER, params=query)

    def problem(self, method: str, path: str, status: int, **request: Any) -> Any:
        """A request that is to fail so; gives the problem document."""
        response = self.call(method, path, **request)
        assert response.status_code == status, (response.status_code, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        document = response.json()
        assert document["status"] == status
        assert document["detail"]
        return document

    def fields(self, method: str, path: str, **request: Any) -> list[str]:
        """A form that is to be refused; gives the names of the fields that are wrong."""
        return [error["field"] for error in self.problem(method, path, 422, **request)["errors"]]

    def integration(self, name: str = "meters", source: str = DECODER, **fields: Any) -> Integration:
        """An integration with a converter of its own, both of this name."""
        integration = Integration(name, name, f"key-{name}", **fields)
        with self.catalogue() as catalogue:
            catalogue.add_converter(Converter(name, Language.JAVASCRIPT, source))
            catalogue.add_integration(integration)
        return integration

    @contextlib.contextmanager
    def delivery(self) -> Iterator[None]:
        """The part of a running gateway that writes the device store, and its command socket."""
        delivery = Delivery(self.settings, on_delivered=lambda worker, batch: None, new_metrics=Metrics)
        delivery.start()
        ready, loop = threading.Event(), asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with serving(self.data_dir, delivery.commands):
                ready.set()
                await stop.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            assert ready.wait(PATIENCE_S)
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()
            delivery.stop(PATIENCE_S)
