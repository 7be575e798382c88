"""The console's own files in the browser: style sheets, scripts, its sign."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"

PREFIX: Final = "/console"
"""Where the console is in the application."""

CACHED_S: Final = 86_400
"""How long a browser keeps a file; its address changes with its contents."""


def url(name: str) -> str:
    """A file's address."""
    return f"{PREFIX}/assets/{name}?{_digest(name)}"


def log_in_page() -> str:
    """The log-in page, which needs nothing of NiceGUI."""
    page = (FOLDER / "login.html").read_text()
    for name in ("favicon.svg", "base.css", "login.css", "theme.js", "login.js"):
        page = page.replace(f"{PREFIX}/assets/{name}", url(name))
    return page


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
