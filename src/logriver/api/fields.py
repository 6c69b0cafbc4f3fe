"""`/api/v1/fields`: the fields that records have, and their values."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.api.described import From, Text, To
from logriver.search.fields import SAMPLE_ROWS, Field, FieldList
from logriver.search.values import MAX_LIMIT, FieldValues, ValuesRequest

_DEFAULT_LIMIT = 10


def router(fields: FieldList, values: FieldValues) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["fields"])

    @routes.get("/api/v1/fields", summary=f"Fields of the newest {SAMPLE_ROWS} records that match")
    async def get_fields(request: Request, q: Text = "", from_: From = "", to: To = "") -> Response:
        started = clock.monotonic()
        given = await parameters.read(request)
        found = await fields.sample(parameters.text_of(given), parameters.times_of(given))
        content = {"fields": list(map(_field, found.fields)), "sampled": found.sampled, "complete": found.complete}
        return answers.measured(content, found.cost, started)

    @routes.get(f"/api/v1/fields/{parameters.FIELD}/values", summary="The most frequent values of a field, with counts")
    async def get_values(
        request: Request,
        name: str,
        q: Text = "",
        from_: From = "",
        to: To = "",
        limit: Annotated[str, Query(description=f"values, 1 to {MAX_LIMIT}")] = "10",
    ) -> Response:
        started = clock.monotonic()
        given = await parameters.read(request)
        most = parameters.number_of(given, "limit", _DEFAULT_LIMIT, MAX_LIMIT)
        found = await values.top(ValuesRequest(name, parameters.text_of(given), parameters.times_of(given), most))
        content = {
            "field": name,
            "values": [{"value": value, "count": count} for value, count in found.counts],
            "distinct": found.distinct,
            "records": found.records,
            "complete": found.complete,
        }
        return answers.measured(content, found.cost, started)

    return routes


def _field(field: Field) -> dict[str, object]:
    return {
        "name": field.name,
        "type": field.types[0],
        "types": field.types,
        "share": field.share,
        "promoted": field.materialized,
        "column": field.column,
    }
