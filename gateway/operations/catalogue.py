"""The catalogue, as whoever changes it opens it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gateway.command_socket import ask
from gateway.errors import UnavailableError
from gateway.storage.catalogue import Catalogue


@contextlib.contextmanager
def open_catalogue(data_dir: Path) -> Iterator[Catalogue]:
    """The catalogue, for one thread. What is changed in the block is in force at its end, where a gateway runs.

    Raises what `Catalogue` does.
    """
    with Catalogue(data_dir) as catalogue:
        yield catalogue
        is_changed = catalogue.is_changed
    if is_changed:
        with contextlib.suppress(UnavailableError):  # it is stored; those that are too busy follow later by themselves
            ask(data_dir, "follow_catalogue")
