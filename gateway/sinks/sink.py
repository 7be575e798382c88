"""What a sink is: something that takes records and confirms that it has them.

All that sinks have in common, reading the spools, remembering how far each got, trying again, is the business of
`gateway.sinks.runner`. A sink itself connects, hands over, and says how that failed.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

from gateway.errors import UnavailableError
from gateway.model import JsonValue, StoredReport


class Record(NamedTuple):
    """A report in its place in a spool, which names it: the place stays the same however often the report is sent."""

    spool: str
    """The spool's identity."""
    batch: int
    number: int
    """Which of the batch's reports it is, from 0 on."""
    report: StoredReport

    @property
    def id(self) -> str:
        """A name for it that receivers can tell repetitions by."""
        return f"{self.spool}-{self.batch}-{self.number}"


Taken: TypeAlias = Callable[[int], None]
"""Called with n when the first n records of a call are confirmed, and all of the calls before it; never with less than
before. When it returns, that is on record, and those records will not be sent again: what a sink counts as under way
ends there, not before."""

Clock: TypeAlias = Callable[[], float]
"""Seconds on a monotonic clock."""


class Trouble(StrEnum):
    """Why a sink can't deliver now."""

    UNREACHABLE = "unreachable"
    """Nobody answers there, or the connection was lost."""
    REFUSED = "refused"
    """The receiver does not accept our credentials, or does not let us write."""
    UNTRUSTED = "untrusted"
    """We don't trust the receiver's certificate."""
    SILENT = "silent"
    """It accepts the connection and confirms nothing."""
    BUSY = "busy"
    """It asks us to come again later."""
    MISCONFIGURED = "misconfigured"
    """A file or a setting can't be used."""


class SinkError(UnavailableError):
    """A sink can't deliver now; what is not confirmed will be delivered again. The hint names the cure."""

    def __init__(self, trouble: Trouble, message: str, *, hint: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.trouble = trouble
        self.retry_after_s = retry_after_s
        """When the receiver asks to come again; None: as the sink's runner thinks fit."""


class FailedAtRecord(SinkError):
    """The receiver fails at the first record that is not confirmed, which says nothing of its connections."""


class RefusedRecords(Exception):
    """The receiver will never take some records as they are. Those before are confirmed; nothing is said of the rest.

    Where they are several, it need not be the fault of each: the runner finds out by sending fewer.
    """

    def __init__(self, start: int, end: int, reason: str) -> None:
        super().__init__(reason)
        self.start = start
        self.end = end
        self.reason = reason


class Session(Protocol):
    """A connection to the receiver."""

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        """Hand over the records in their order; returns when all are confirmed.

        Calls may overlap, up to the sink's `overlap`: what a later one hands over comes behind. Raises SinkError where
        the connection is of no more use; RefusedRecords.
        """

    async def closed(self) -> None:
        """Wait until the connection is lost; raises SinkError then."""


class Sink(Protocol):
    """A place that reports go to."""

    name: str
    """As it is called in metrics, in `gateway spool status` and in `sinks.db`."""
    destination: str
    """Where that is, for people: a URL or a path, without secrets."""
    overlap: int
    """How many calls of `deliver` may be under way at a time, at least 1."""
    portion_bytes: int
    """About how many bytes of a spool a call of `deliver` gets."""

    def connect(self) -> AbstractAsyncContextManager[Session]:
        """A session. Entering it raises SinkError."""


class Host(Protocol):
    """What a sink may use of the gateway besides its settings. All may be called in the sink's thread alone."""

    def count(self, metric: str, *labels: str, by: int = 1) -> None:
        """Add to a metric; the sink's name comes first among its labels."""

    def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
        """Remember shared attributes that the receiver set."""

    def keep_rpc(self, device: str, request: JsonValue, received_ms: int) -> None:
        """Remember a remote procedure call that the receiver made."""
