"""What the load generator is told, and what it tells of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

LOST_AFTER_S = 3.0
"""A request that has no response after this counts as unanswered. It is not sent again."""


@dataclass(frozen=True, slots=True)
class Dtls:
    """How requests are secured: by sessions with a pre-shared key, PSK_WITH_AES_128_CCM_8."""

    identity: str
    key: str
    """In hexadecimal."""
    connection_id: bool
    """Whether records carry a connection ID of the server's."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to send to whom, how much of it, and whose CPU time to watch."""

    host: str
    port: int
    confirmable: bool
    method: int
    tails: list[str]
    """Options and payload of each request, in hexadecimal."""
    expected_code: int
    sockets: int
    window: int
    """Requests under way per socket while saturating."""
    paced_rate: int
    """Requests per second."""
    warm_up_s: float
    paced_s: float
    saturated_s: float
    watched: list[int]
    """Process IDs."""
    dtls: Dtls | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what the benchmark wrote."""
        dtls = document.pop("dtls")
        return cls(**document, dtls=Dtls(**dtls) if dtls else None)


@dataclass(slots=True)
class Phase:
    """What happened between two points of time."""

    seconds: float = 0.0
    sent: int = 0
    succeeded: int = 0
    """Requests that had the expected response within the phase."""
    succeeded_after: int = 0
    """Those whose response came when no more were sent; they count for no throughput."""
    other: Counter[str] = field(default_factory=Counter)
    """Responses that are no success, by code or kind."""
    acknowledged_first: int = 0
    """Empty ACKs: the response came separately."""
    unanswered: int = 0
    p50_us: float = 0.0
    p99_us: float = 0.0
    cpu_s: list[float] = field(default_factory=list)
    """CPU time of each watched process."""
    generator_cpu_s: float = 0.0
    machine_cpu_s: float = 0.0
    """CPU time that anything on this machine took, or that its host withheld."""
    resident_bytes: list[int] = field(default_factory=list)
    """Memory of each watched process at the end."""


@dataclass(slots=True)
class Load:
    """What a job gave."""

    paced: Phase
    saturated: Phase
    succeeded: int
    """Requests with the expected response in all, warm-up included."""

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what the load generator wrote."""
        return cls(Phase(**document["paced"]), Phase(**document["saturated"]), document["succeeded"])
