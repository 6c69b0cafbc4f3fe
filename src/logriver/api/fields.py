"""`/api/v1/fields`: the fields that records have, and their values."""

from typing import Annotated

import pydantic
from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.search.fields import SAMPLE_ROWS, Field, FieldList
from logriver.search.values import MAX_LIMIT, FieldValues, ValuesRequest

_DEFAULT_LIMIT = 10


class ValuesParameters(parameters.SearchParameters):
    """What values can be asked for with."""

    limit: Annotated[
        int,
        parameters.whole_number("limit", _DEFAULT_LIMIT, MAX_LIMIT),
        pydantic.Field(ge=1, le=MAX_LIMIT, description="values"),
    ] = _DEFAULT_LIMIT


def router(fields: FieldList, values: FieldValues) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["fields"])

    @routes.get("/api/v1/fields", summary=f"Fields of the newest {SAMPLE_ROWS} records that match")
    async def get_fields(given: Annotated[parameters.SearchParameters, Query()]) -> Response:
        started = clock.monotonic()
        found = await fields.sample(given.q, given.times)
        content = {"fields": list(map(_field, found.fields)), "sampled": found.sampled, "complete": found.complete}
        return answers.measured(content, found.cost, started)

    @routes.get(f"/api/v1/fields/{parameters.FIELD}/values", summary="The most frequent values of a field, with counts")
    async def get_values(name: str, given: Annotated[ValuesParameters, Query()]) -> Response:
        started = clock.monotonic()
        found = await values.top(ValuesRequest(name, given.q, given.times, given.limit))
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
