"""`/api/v1/suggest`: completions of a search text that is being typed."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver.api import answers
from logriver.search.suggest import Suggestions


def router(suggestions: Suggestions) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/suggest", summary="How a search text can go on at the cursor")
    async def get_suggest(
        q: Annotated[str, Query(description="the text so far, finished or not")] = "",
        at: Annotated[int | None, Query(ge=0, description="the cursor, in characters; the end if absent")] = None,
    ) -> Response:
        completion, items = await suggestions.at(q, len(q) if at is None else at)
        return answers.json(
            {
                "start": completion.start,
                "end": completion.end,
                "kind": completion.kind,
                "items": [{"text": item.text, "detail": item.detail} for item in items],
            }
        )

    return routes
