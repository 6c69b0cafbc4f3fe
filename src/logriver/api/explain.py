"""`/api/v1/explain`: what a search text means and what it would read."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.search.explain import Explain


def router(explain: Explain) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/explain", summary="Canonical text, SQL, and what would be read")
    async def get_explain(given: Annotated[parameters.SearchParameters, Query()]) -> Response:
        found = await explain.explain(given.q, given.times)
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
