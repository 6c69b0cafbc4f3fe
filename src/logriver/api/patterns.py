"""`/api/v1/patterns`: templates of the messages that match."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.api.described import From, Text, To
from logriver.search.patterns import MAX_LIMIT, Pattern, PatternList, PatternsRequest

_DEFAULT_LIMIT = 100


def router(patterns: PatternList) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/patterns", summary="Templates of messages, the most frequent first")
    async def get_patterns(
        request: Request,
        q: Text = "",
        from_: From = "",
        to: To = "",
        limit: Annotated[str, Query(description=f"patterns, 1 to {MAX_LIMIT}")] = "100",
    ) -> Response:
        started = clock.monotonic()
        given = await parameters.read(request)
        limit_given = parameters.number_of(given, "limit", _DEFAULT_LIMIT, MAX_LIMIT)
        asked = PatternsRequest(parameters.text_of(given), parameters.times_of(given), limit_given)
        found = await patterns.patterns(asked)
        content = {"patterns": list(map(_pattern, found.patterns)), "records": found.records, "sampled": found.sampled}
        return answers.measured(content, found.cost, started)

    return routes


def _pattern(pattern: Pattern) -> dict[str, object]:
    return {
        "pattern": pattern.template,
        "count": pattern.count,
        "first_seen": clock.to_text(pattern.first_ns),
        "last_seen": clock.to_text(pattern.last_ns),
        "example": pattern.example,
        "query": pattern.query,
    }
