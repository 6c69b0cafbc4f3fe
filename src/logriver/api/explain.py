"""`/api/v1/explain`: what a search text means and what it would read."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.api.described import From, Text, To
from logriver.search.explain import Explain


def router(explain: Explain) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/explain", summary="Canonical text, SQL, and what would be read")
    async def get_explain(request: Request, q: Text = "", from_: From = "", to: To = "") -> Response:
        given = await parameters.read(request)
        found = await explain.explain(parameters.text_of(given), parameters.times_of(given))
        return answers.json(
            {
                "query": found.text,
                "sql": found.sql,
                "parameters": found.params,
                "rows": found.reads.rows,
                "bytes": found.bytes,
                "parts": found.reads.parts,
                "marks": found.reads.marks,
            }
        )

    return routes
