"""`/api/v1/stats`: a search text with a `| stats` or `| top` pipe, as a table."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.search import zone
from logriver.search.hints import Hints, of_what_is_found
from logriver.search.stats import Statistics, StatsRequest
from logriver.search.unknown_fields import UnknownFields


class StatsParameters(parameters.SearchParameters):
    """What a statistic can be asked with."""

    tz: parameters.Zone = ""


def router(statistics: Statistics, hints: Hints, unknown: UnknownFields) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    async def answer(given: StatsParameters) -> Response:
        started = clock.monotonic()
        asked = StatsRequest(given.q, given.times, zone.checked(given.tz))
        table = await statistics.table(asked)
        # One row of zeros is what figures without groups are of no records.
        is_empty = not table.rows or (len(table.rows) == 1 and not any(table.rows[0]))
        hint = await hints.hint(asked.text, asked.times) if is_empty else of_what_is_found(asked.text)
        message = hint.message if hint else await unknown.hint(table.fields, table.rows)
        content = {
            "columns": table.columns,
            "rows": table.rows,
            "complete": table.complete,
            "exact": table.exact,
            "hint": message,
            "hint_query": hint.query if hint else None,
        }
        return answers.measured(content, table.cost, started)

    @routes.get("/api/v1/stats", summary="The table that a search text with the pipe `stats` or `top` makes")
    async def get_stats(given: Annotated[StatsParameters, Query()]) -> Response:
        return await answer(given)

    @routes.post(
        "/api/v1/stats",
        summary="The same, with the parameters in the body",
        openapi_extra=parameters.described(StatsParameters),
    )
    async def post_stats(given: Annotated[StatsParameters, Depends(parameters.posted(StatsParameters))]) -> Response:
        return await answer(given)

    return routes
