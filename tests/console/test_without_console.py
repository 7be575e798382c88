"""A gateway without the extra `console`."""

from collections.abc import Callable
from pathlib import Path

from tests.api.conftest import Served, make_served

__all__ = ["make_served"]

BLOCKED = "import sys\nsys.modules.update(dict.fromkeys(('nicegui', 'httpx')))\n"
"""As where neither is installed."""


def test_it_serves_its_api_and_has_no_console(make_served: Callable[..., Served], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    served = make_served(PYTHONPATH=str(tmp_path))
    served.start()
    browser = served.browser()
    assert browser.get("/api/v1/me").json()["user"] == "admin"
    assert browser.get("/console/").status_code == 404
    assert "Traceback" not in served.log
