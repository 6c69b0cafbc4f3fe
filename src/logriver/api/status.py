"""`/api/v1/status`: what the server holds."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from starlette.responses import Response

from logriver.api import answers
from logriver.search.status import Status


def router(status: Status, snapshot: Callable[[], Mapping[str, object]]) -> APIRouter:
    """The route; `snapshot` is `ServerState.status`."""
    routes = APIRouter(tags=["status"])

    @routes.get("/api/v1/status", summary="Records stored, waiting and lost, rates and problems")
    async def get_status() -> Response:
        # What is waiting first, what was removed last: what is stored or removed between the two then counts as both,
        # never as neither.
        waiting = snapshot()["waiting"]
        stored = await status.stored()
        return answers.json({"stored": stored, **snapshot(), "waiting": waiting})

    return routes
