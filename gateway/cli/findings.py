"""A line of a report: what was looked at, how it is, and what to do."""

from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    """How a check ended."""

    OK = "√"
    WARNING = "~"
    FAILED = "x"


class Finding(NamedTuple):
    """One line of the report."""

    mark: Mark
    text: str
    cure: str = ""
