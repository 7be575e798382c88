"""How the gateway does: once, or as a stream."""

from typing import Final

import orjson
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from gateway.api import streams
from gateway.api.backend import BackendOfApp
from gateway.api.overview import Overview
from gateway.api.overviews import OverviewsOfApp
from gateway.api.problems import problem_of
from gateway.errors import GatewayError

router = APIRouter(tags=["overview"])

_STREAM: Final = {
    "description": "Server-sent events: `overview` each second, `problem` where it can't be had",
    "content": {streams.CONTENT_TYPE: {"schema": {"type": "string"}}},
}


@router.get("/overview")
async def get_overview(overviews: OverviewsOfApp) -> Overview:
    """Listeners, uplinks, latency, sessions, spool, sinks, certificates and processes.

    Rates and latency are of the last ten seconds in which somebody has looked; the first who looks finds none.
    """
    return await overviews.current()


@router.get("/stream", response_class=StreamingResponse, responses={200: _STREAM})
async def stream_overview(backend: BackendOfApp, overviews: OverviewsOfApp) -> StreamingResponse:
    """The overview each second, as server-sent events. A stream ends after ten minutes; browsers open it again."""

    async def next_event() -> bytes:
        try:
            return streams.event("overview", (await overviews.next()).model_dump(mode="json"))
        except GatewayError as error:
            return streams.event("problem", orjson.loads(bytes(problem_of(error).body)))

    return backend.streams.respond(next_event)
