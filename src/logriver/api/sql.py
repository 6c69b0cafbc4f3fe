"""`/api/v1/sql`: a user's SQL over the records."""

import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field, model_validator
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.errors import BadRequest
from logriver.search.sql import Sql


class SqlParameters(parameters.Parameters):
    """A statement."""

    query: Annotated[str, Field(description="a SELECT over the table `logs`")]

    @model_validator(mode="before")
    @classmethod
    def _is_there(cls, given: Mapping[str, object]) -> Mapping[str, object]:
        if "query" not in given:
            raise BadRequest("the body has no parameter 'query'", hint='send {"query": "SELECT .. FROM logs"}')
        return given


def router(sql: Sql) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["search"])

    @routes.post(
        "/api/v1/sql",
        summary="A SELECT over the table `logs`, read-only",
        openapi_extra=parameters.described(SqlParameters),
    )
    async def post_sql(given: Annotated[SqlParameters, Depends(parameters.in_body(SqlParameters))]) -> Response:
        started = clock.monotonic()
        answer, hint = await sql.answer(given.query)
        columns = [{"name": name, "type": kind} for name, kind in zip(answer.columns, answer.types, strict=True)]
        stats = {
            "elapsed_ms": round(1000 * (clock.monotonic() - started), 3),
            "rows_read": answer.rows_read,
            "bytes_read": answer.bytes_read,
        }
        content = {"columns": columns, "rows": answer.rows, "hint": hint, "stats": stats}
        return _answer({**content, **answers.incomplete(answer.incomplete)})

    return routes


def _answer(content: dict[str, object]) -> Response:
    try:
        return answers.json(content)
    except OverflowError:
        # msgspec writes no integer beyond 64 bits; the engine has some of 256.
        return Response(json.dumps(content), media_type="application/json")
