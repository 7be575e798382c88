"""Lists, which are bounded: how many are asked for, and how it goes on behind them."""

from collections.abc import Iterable
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from gateway.model import Converter, Integration

LIMIT_MAX: Final = 1_000
"""Most items in one answer."""

ID_MAX: Final = (1 << 63) - 1
"""Largest id that a database has."""

Item = TypeVar("Item")
Named = TypeVar("Named", Converter, Integration)

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most items in the answer")]
Offset = Annotated[int, Query(ge=0, le=ID_MAX, description="How many to pass over; `next` of the answer before")]
Search = Annotated[str, Query(max_length=255, description="Only those whose name contains this")]


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    total: int | None = Field(description="How many there are in all; null where nobody counts them")
    next: int | None = Field(description="What to ask with for the following ones; null where there are none")


def named_like(search: str, items: Iterable[Named]) -> list[Named]:
    """Those whose name contains it, upper and lower case alike; no character in it is special."""
    wanted = search.casefold()
    return [one for one in items if wanted in one.name.casefold()]


def page_of(items: list[Item], *, offset: int, total: int) -> Page[Item]:
    """The page that begins with number `offset` of `total`."""
    end = offset + len(items)
    return Page(items=items, total=total, next=end if items and end < total else None)
