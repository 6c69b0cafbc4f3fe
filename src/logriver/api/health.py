"""`/health` (the process answers) and `/ready` (it can do its work, or why not).

Whoever watches often asks by HEAD, which HTTP has for every address that can be read.
"""

from collections.abc import Callable, Sequence

from fastapi import APIRouter
from starlette.responses import Response

from logriver.api import answers


def router(ready: Callable[[], Sequence[str]]) -> APIRouter:
    """The routes; `ready` is `ServerState.not_ready`."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health", summary="200 as long as the process answers")
    @routes.head("/health", include_in_schema=False)
    async def get_health() -> Response:
        return answers.json({"status": "ok"})

    @routes.get("/ready", summary="200 when records can be taken and stored, else 503 with the reasons")
    @routes.head("/ready", include_in_schema=False)
    async def get_ready() -> Response:
        problems = list(ready())
        return answers.json({"ready": not problems, "problems": problems}, 503 if problems else 200)

    return routes
