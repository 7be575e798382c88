"""docs/api.md names every route."""

import re
from pathlib import Path

import pytest

from gateway.api.app import PREFIX
from tests.api.test_every_route import GUARDED, OPEN, Way

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize(
    "way", [*GUARDED, *(Way("GET" if "login" not in path else "POST", path) for path in sorted(OPEN))], ids=" ".join
)
def test_a_route_has_its_line(way: Way) -> None:
    path = re.sub(r":path\}", "}", way.path).removeprefix(PREFIX)
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|") and f"{path}`" in line]
    assert any(way.method in line.partition(f"{path}`")[0] for line in lines), way
