"""Keystores are made once: each call of keytool starts a virtual machine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.credentials.stores import Stores, make_stores


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Keystores as keytool makes them."""
    return make_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
