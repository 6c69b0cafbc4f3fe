"""`/api/v1/sql`: a user's SQL over the records."""

import json

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.errors import BadRequest
from logriver.search.sql import Sql

_QUERY = {"type": "string", "description": "a SELECT over the table `logs`"}
_BODY = {"type": "object", "properties": {"query": _QUERY}, "required": ["query"]}
_DESCRIBED = {"requestBody": {"content": {"application/json": {"schema": _BODY}}, "required": True}}


def router(sql: Sql) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["search"])

    @routes.post("/api/v1/sql", summary="A SELECT over the table `logs`, read-only", openapi_extra=_DESCRIBED)
    async def post_sql(request: Request) -> Response:
        started = clock.monotonic()
        given = await parameters.body(request)
        if "query" not in given:
            raise BadRequest("the body has no parameter 'query'", hint='send {"query": "SELECT .. FROM logs"}')
        answer, hint = await sql.answer(given["query"])
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
