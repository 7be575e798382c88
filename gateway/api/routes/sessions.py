"""DTLS sessions."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.api.auth import Admin
from gateway.api.backend import BackendOfApp
from gateway.sessions import LIMIT_MAX, SEARCH_CHARACTERS

router = APIRouter(prefix="/sessions", tags=["sessions"])


class Session(BaseModel):
    """A DTLS session."""

    id: str = Field(description="Holds until its worker is started again")
    worker: int
    address: str = Field(description="Where its peer was last heard from")
    principal: str | None = Field(description="Whose it is; null where the peer has shown no identity")
    principal_type: Literal["psk", "x509", "rpk"] | None
    certificate_fingerprint: str | None = Field(description="SHA-256, in hex, of the certificate or raw public key")
    cipher_suite: str
    connection_id: str | None = Field(description="Ours, in hex: what the peer's records carry (RFC 9146)")
    resumed: bool
    established_ts: int = Field(description="In milliseconds since 1970")
    last_heard_ts: int = Field(description="In milliseconds since 1970")
    expires_ts: int = Field(description="When it ends, should nothing more be heard; in milliseconds since 1970")


class Sessions(BaseModel):
    """A portion of the sessions, worker by worker, the oldest first."""

    items: list[Session]
    total: int = Field(description="How many there are in all, whatever is searched for; up to a second old")
    next: str | None = Field(description="What to give as after for those that follow; null where there are none")


@router.get("")
async def list_sessions(
    backend: BackendOfApp,
    search: Annotated[
        str,
        Query(max_length=SEARCH_CHARACTERS, description="Part of principal, address, connection ID or fingerprint"),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    after: Annotated[str, Query(max_length=64, description="The id of the last one of the portion before")] = "",
) -> Sessions:
    """The DTLS sessions that are established."""
    answer = await backend.ask_soon("sessions", {"search": search, "limit": limit, "after": after})
    return Sessions.model_validate(answer)


@router.delete("/{id}")
async def end_session(user: Admin, id: str, backend: BackendOfApp) -> Session:
    """End a session. Its peer is told, and can't resume it; with its credentials it may begin another one."""
    return Session.model_validate(await backend.ask_soon("end_session", {"id": id}))
