"""The catalogue, as whoever changes it opens it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.command_socket import ask
from gateway.errors import GatewayError
from gateway.storage.catalogue import Catalogue


@contextlib.contextmanager
def open_catalogue(data_dir: Path, on_late: Callable[[str], None] = lambda why: None) -> Iterator[Catalogue]:
    """The catalogue, for one thread. What is changed in the block is in force at its end, where a gateway runs.

    Where a part of that is too busy or can't, that does not undo the change, which is stored and followed later:
    `on_late` is told why. Raises what `Catalogue` does.
    """
    with Catalogue(data_dir) as catalogue:
        try:
            yield catalogue
        finally:
            if catalogue.is_changed:
                _have_followed(data_dir, "follow_catalogue", on_late)


def follow_files(data_dir: Path, on_late: Callable[[str], None] = lambda why: None) -> None:
    """Have a running gateway go by what certificates, trust stores and revocation lists are now; else as above."""
    _have_followed(data_dir, "follow_files", on_late)


def _have_followed(data_dir: Path, command: str, on_late: Callable[[str], None]) -> None:
    try:
        ask(data_dir, command)
    except GatewayError as error:
        on_late(error.message)
