"""The figures for Prometheus."""

from fastapi import APIRouter, Response

from gateway.api.exposition import CONTENT_TYPE, exposition
from gateway.api.overviews import OverviewsOfApp

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus's text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
)
async def metrics(overviews: OverviewsOfApp) -> Response:
    """All figures, in Prometheus's text format; takes no token. `docs/metrics.md` says what each means."""
    snapshot = await overviews.figures()
    return Response(exposition(snapshot.figures), headers={"Content-Type": CONTENT_TYPE})
