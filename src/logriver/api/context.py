"""`/api/v1/context`: the lines around one."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver import clock
from logriver.api import answers
from logriver.search.context import MAX_LINES, Context

Lines = Annotated[int, Query(ge=0, le=MAX_LINES)]


def router(context: Context) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/context", summary="The lines around one, of the same source, host and service")
    async def get_context(
        id: Annotated[str, Query(description="the `_id` of a record")], before: Lines = 20, after: Lines = 20
    ) -> Response:
        started = clock.monotonic()
        lines = await context.around(id, before, after)
        return answers.json(
            {
                "rows": [msgspec.Raw(document) for document in lines.documents],
                "position": lines.position,
                **answers.incomplete(lines.incomplete),
                "stats": {
                    "elapsed_ms": round(1000 * (clock.monotonic() - started), 3),
                    "rows_read": lines.rows_read,
                    "bytes_read": lines.bytes_read,
                },
            }
        )

    return routes
