"""`/metrics`: the counters, in Prometheus's text format."""

from collections.abc import Callable, Iterable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from logriver import metrics


def router(behind: Callable[[], Iterable[tuple[str, int, float]]]) -> APIRouter:
    """The route. `behind` gives of each connected follower its name, and how far it is behind in bytes and seconds."""
    routes = APIRouter(tags=["health"])

    @routes.get("/metrics", summary="Counters and times for Prometheus", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        _note_lags(behind())
        return Response(generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


def _note_lags(behind: Iterable[tuple[str, int, float]]) -> None:
    """Followers that are gone have no figure: nobody knows how far behind they are."""
    metrics.followed_lag_bytes.clear()
    metrics.followed_lag_seconds.clear()
    for follower, lag_bytes, lag_seconds in behind:
        metrics.followed_lag_bytes.labels(follower=follower).set(lag_bytes)
        metrics.followed_lag_seconds.labels(follower=follower).set(round(lag_seconds, 3))
