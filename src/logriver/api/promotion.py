"""`/api/v1/fields/{name}/promotion`: a column of its own for a field that is often asked for."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.store.materialized import Materialization


def router(promotion: Materialization) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["fields"])

    @routes.post(
        f"/api/v1/fields/{parameters.FIELD}/promotion", summary="Give a field a column of its own, which is faster"
    )
    async def post_promotion(name: str) -> Response:
        by = await run_in_threadpool(promotion.promote, name)
        return answers.json({"field": name, "promoted": True, "by": by})

    @routes.delete(f"/api/v1/fields/{parameters.FIELD}/promotion", summary="Take that back")
    async def delete_promotion(name: str) -> Response:
        await run_in_threadpool(promotion.demote, name)
        return answers.json({"field": name, "promoted": False, "by": None})

    return routes
