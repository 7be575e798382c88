"""For those who watch over the gateway: does it answer, can it take uplinks, which version is it. Takes no token."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from gateway import __version__
from gateway.api.backend import BackendOfApp
from gateway.errors import UnavailableError

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """It answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether uplinks are taken, and what is in their way."""

    ready: bool
    reasons: list[str]


class Version(BaseModel):
    """Of the gateway."""

    version: str


@router.get("/livez")
async def livez() -> Live:
    """Whether the API's process answers."""
    return Live()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Uplinks are not taken, or not all"}})
async def readyz(backend: BackendOfApp, response: Response) -> Ready:
    """Whether the listeners are up and what they take can be stored; 503 with the reasons where not."""
    try:
        ready = Ready.model_validate(await backend.ask_soon("ready"))
    except UnavailableError as error:
        ready = Ready(ready=False, reasons=[error.message])
    if not ready.ready:
        response.status_code = 503
    return ready


@router.get("/version")
async def version() -> Version:
    """Which version runs."""
    return Version(version=__version__)
