"""`/api/v1/patterns`: templates of the messages that match."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.search.patterns import MAX_LIMIT, Pattern, PatternList, PatternsRequest

_DEFAULT_LIMIT = 100


class PatternsParameters(parameters.SearchParameters):
    """What patterns can be asked for with."""

    limit: Annotated[
        int,
        parameters.whole_number("limit", _DEFAULT_LIMIT, MAX_LIMIT),
        Field(ge=1, le=MAX_LIMIT, description="patterns"),
    ] = _DEFAULT_LIMIT


def router(patterns: PatternList) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.get("/api/v1/patterns", summary="Templates of messages, the most frequent first")
    async def get_patterns(given: Annotated[PatternsParameters, Query()]) -> Response:
        started = clock.monotonic()
        asked = PatternsRequest(given.q, given.times, given.limit)
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
