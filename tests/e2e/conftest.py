"""Fixtures of the end-to-end tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import Gateway


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways that end with the test; settings are given by name."""
    made: list[Gateway] = []

    def make(**settings: str) -> Gateway:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(Gateway(folder, settings))
        return made[-1]

    yield make
    for gateway in made:
        gateway.kill()


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that is not started yet."""
    return make_gateway()
