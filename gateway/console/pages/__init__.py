"""The console's pages, a module each."""

import importlib
from typing import Final

PAGES: Final = (
    "overview",
    "integrations",
    "converters",
    "converter",
    "devices",
    "device",
    "events",
    "quarantine",
    "security",
    "delivery",
)
"""Their modules."""


def register() -> None:
    """Have NiceGUI know all of them."""
    for name in PAGES:
        importlib.import_module(f"{__name__}.{name}")
