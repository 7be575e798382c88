"""JavaScript as it is written, with the places in the user's text that its calls stand for."""

import json
from bisect import bisect_right

from gateway.converters.tbel.syntax import Node


class Writer:
    """Generated code is ASCII, so a column is a character for us and for the engine."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._line = 1
        self._column = 1
        self._marks: dict[int, list[tuple[int, int, int]]] = {}

    @property
    def javascript(self) -> str:
        return "".join(self._parts)

    @property
    def places(self) -> "Places":
        return Places(self._marks)

    def write(self, *texts: str) -> None:
        """Text without a line end in it."""
        for text in texts:
            self._parts.append(text)
            self._column += len(text)

    def end_line(self) -> None:
        self._parts.append("\n")
        self._line += 1
        self._column = 1

    def mark(self, node: Node) -> None:
        """What is written next stands for the node, if it fails."""
        self._marks.setdefault(self._line, []).append((self._column, node.line, node.column))


class Places:
    """Where in the user's text a line and column of the generated code are."""

    __slots__ = ("_marks",)

    def __init__(self, marks: dict[int, list[tuple[int, int, int]]]) -> None:
        self._marks = marks

    def at(self, line: int, column: int) -> tuple[int, int] | None:
        """Line and column in the user's text of the last thing that begins there or before; None off their lines."""
        marks = self._marks.get(line)
        if not marks:
            return None
        found = max(0, bisect_right(marks, (column, 1 << 30, 0)) - 1)
        return marks[found][1:]


def quoted(text: str) -> str:
    """A JavaScript text in ASCII."""
    return json.dumps(text)
