"""`/api/v1/fields/{name}/promotion`: a column of its own for a field that is often asked for."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from logriver.api import answers
from logriver.store.promotion import Promotion


def router(promotion: Promotion) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["fields"])

    # A name may hold any character, slashes too.
    @routes.post("/api/v1/fields/{name:path}/promotion", summary="Give a field a column of its own, which is faster")
    async def post_promotion(name: str) -> Response:
        by = await run_in_threadpool(promotion.promote, name)
        return answers.json({"field": name, "promoted": True, "by": by})

    @routes.delete("/api/v1/fields/{name:path}/promotion", summary="Take that back")
    async def delete_promotion(name: str) -> Response:
        await run_in_threadpool(promotion.demote, name)
        return answers.json({"field": name, "promoted": False, "by": None})

    return routes
