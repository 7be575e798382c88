"""A real gateway with its API, as a process."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import httpx
import pytest

from tests.e2e.harness import PATIENCE_S, Gateway, eventually
from tests.ports import free_tcp_port

LISTENS = "the REST API is at"


class Served(Gateway):
    """A gateway that serves its API, and the console."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.http_port = free_tcp_port()
        self._clients: list[httpx.Client] = []
        super().__init__(
            folder, {"GATEWAY_HTTP_ENABLED": "true", "GATEWAY_HTTP_BIND_PORT": str(self.http_port), **settings}
        )

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        """Start it and wait until workers and API listen."""
        seen = self.log.count(LISTENS)
        super().start()
        eventually(lambda: self.log.count(LISTENS) > seen, f"the API listens: {self.log}")

    @cached_property
    def first_password(self) -> str:
        """The password that its first start has left, until somebody logs in."""
        return (self.data_dir / "first-password").read_text().strip()

    def anybody(self) -> httpx.Client:
        """A client that shows nothing."""
        self._clients.append(httpx.Client(base_url=self.url, timeout=PATIENCE_S))
        return self._clients[-1]

    def script(self, role: str = "admin") -> httpx.Client:
        """A client with an API token of that role."""
        token = self.json("token", "create", "test", "--role", role)["token"]
        client = self.anybody()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def browser(self, user: str = "admin", password: str | None = None) -> httpx.Client:
        """A client with the cookie of a log-in, that says where its requests come from as browsers do."""
        client = self.anybody()
        client.headers["Origin"] = self.url
        answer = client.post("/api/v1/login", json={"user": user, "password": password or self.first_password})
        assert answer.status_code == 200, answer.text
        return client

    def kill(self) -> None:
        """End whatever still runs."""
        for client in self._clients:
            client.close()
        super().kill()


@pytest.fixture
def make_served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Makes gateways with an API that end with the test; settings are given by name."""
    made: list[Served] = []

    def make(**settings: str) -> Served:
        folder = tmp_path / f"served-{len(made)}"
        folder.mkdir()
        made.append(Served(folder, settings))
        return made[-1]

    yield make
    for served in made:
        served.kill()


@pytest.fixture
def served(make_served: Callable[..., Served]) -> Served:
    """A gateway with an API, that runs."""
    served = make_served()
    served.start()
    return served
