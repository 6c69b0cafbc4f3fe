"""`/metrics`: the counters, in Prometheus's text format."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from logriver.metrics import REGISTRY


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["health"])

    @routes.get("/metrics", summary="Counters and times for Prometheus", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes
