"""Sinks: where reports go, and what waits for them."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Viewer
from gateway.api.backend import BackendOfApp

router = APIRouter(prefix="/sinks", tags=["sinks"])


class LastError(BaseModel):
    """What went wrong last, whether or not it still does."""

    trouble: str
    message: str
    hint: str = Field(description="Its cure")
    ts: int = Field(description="When, in milliseconds since 1970")


class Sink(BaseModel):
    """How a sink is doing."""

    name: str
    destination: str
    state: str = Field(
        description="connected, connecting, stopped, unreachable, refused, untrusted, silent, busy or misconfigured"
    )
    since_ts: int | None = Field(description="Since when, in milliseconds since 1970")
    delivered: int | None = Field(description="Reports that were confirmed since the gateway started")
    refused: int | None = Field(description="Reports that the receiver would not take, since then")
    rate_per_s: float | None = Field(description="Reports confirmed per second, over the last ten")
    waiting_uplinks: int
    waiting_bytes: int
    oldest_ts: int | None = Field(description="When the oldest that waits was received; null where nothing waits")
    last_error: LastError | None


class Sinks(BaseModel):
    """All sinks, the embedded device view first."""

    items: list[Sink]
    total: int
    next: None = None


@router.get("")
async def list_sinks(user: Viewer, backend: BackendOfApp) -> Sinks:
    """Where reports go: state, backlog, last error."""
    items = [Sink.model_validate(one) for one in await backend.ask_soon("sinks")]
    return Sinks(items=items, total=len(items))
