"""The interop matrix: what was tried with which foreign peer, and what came of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .credentials import Credentials

DOCUMENT = Path(__file__).parents[2] / "docs" / "dtls.md"
BEGIN = "<!-- interop matrix: made by scripts/interop --write -->"
END = "<!-- end of interop matrix -->"

_HEADINGS = ("peer", "version", "our role", "cipher suite", "client authentication", "resumption", "besides", "result")
_VERSION, _RESULT = 1, 7


class Row(NamedTuple):
    """What is tried."""

    peer: str
    role: str
    """Ours: server or client."""
    suite: str
    authentication: str
    """How the client proves who it is."""
    resumption: str = "–"
    besides: str = "–"
    """What else this try shows."""


@dataclass(frozen=True)
class Lab:
    """What a case works with."""

    credentials: Credentials
    folder: Path
    """For the case's own files."""


Run: TypeAlias = Callable[[Lab], None]


@dataclass(frozen=True)
class Case:
    """A row, and the way to find out: `run` raises where peer and engine do not get on as the row says."""

    row: Row
    run: Run
    result: str = "ok"
    """What the matrix says where `run` does not raise."""

    def __str__(self) -> str:
        return " ".join(part for part in self.row if part != "–").replace(" ", "-")


def markdown(results: Iterable[tuple[Row, str]], versions: Mapping[str, str]) -> str:
    """The matrix as a table. `versions`: of each peer."""
    rows = [(row.peer, versions[row.peer], *row[1:], result) for row, result in results]
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows_in_document() -> list[Row]:
    """The rows that the documentation shows, whatever their versions and results."""
    rows = []
    for line in _between_markers(DOCUMENT.read_text()).splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append(Row(*(cell for at, cell in enumerate(cells) if at not in (_VERSION, _RESULT))))
    return rows


def write_into_document(table: str) -> None:
    """Replace the matrix in the documentation."""
    before, begin, rest = DOCUMENT.read_text().partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{DOCUMENT} has no place for the matrix")
    DOCUMENT.write_text(f"{before}{begin}\n{table}\n{end}{after}")


def _between_markers(text: str) -> str:
    return text.partition(f"{BEGIN}\n")[2].partition(END)[0].strip()
