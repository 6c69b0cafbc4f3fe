"""`/api/v1/search`: rows that match a search text."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.errors import BadRequest
from logriver.search.cursor import Order
from logriver.search.search import MAX_LIMIT, Question, Search

_ORDERS: dict[str, Order] = {"asc": "asc", "desc": "desc"}
_DEFAULT_LIMIT = "100"


def router(search: Search) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    async def answer(request: Request) -> Response:
        started = clock.monotonic()
        question = _question(await parameters.read(request))
        page = await search.page(question)
        return answers.json(
            {
                "rows": [msgspec.Raw(document) for document in page.documents],
                "cursor": page.cursor,
                "hint": None,
                "stats": {
                    "matched": None,
                    "elapsed_ms": round(1000 * (clock.monotonic() - started), 3),
                    "rows_read": page.rows_read,
                    "bytes_read": page.bytes_read,
                },
            }
        )

    # FastAPI reads the parameters below only to describe and document them; `parameters.read` knows all their places.
    @routes.get("/api/v1/search", summary="Rows that match a search text, newest first")
    async def get_search(
        request: Request,
        q: Annotated[str, Query(description="search text; also `query`")] = "",
        from_: Annotated[str, Query(alias="from", description="first time, inclusive; also `start`")] = "",
        to: Annotated[str, Query(description="last time, exclusive; also `end`")] = "",
        limit: Annotated[str, Query(description=f"rows, 1 to {MAX_LIMIT}")] = _DEFAULT_LIMIT,
        order: Annotated[str, Query(description="`desc` (newest first) or `asc`")] = "desc",
        cursor: Annotated[str, Query(description="the cursor of the page before")] = "",
    ) -> Response:
        return await answer(request)

    body = {"type": "object", "properties": {name: {"type": "string"} for name in _NAMES}}
    described = {"requestBody": {"content": {"application/json": {"schema": body}}}}

    @routes.post("/api/v1/search", summary="The same, with the parameters in the body", openapi_extra=described)
    async def post_search(request: Request) -> Response:
        return await answer(request)

    return routes


_NAMES = ("q", "from", "to", "limit", "order", "cursor")


def _question(given: dict[str, str]) -> Question:
    order = given.get("order") or "desc"
    if order not in _ORDERS:
        raise BadRequest(f"parameter 'order' is 'asc' or 'desc', not {order[:60]!r}")
    return Question(
        text=parameters.text_of(given),
        times=parameters.times_of(given),
        limit=_limit(given.get("limit") or _DEFAULT_LIMIT),
        order=_ORDERS[order],
        cursor=given.get("cursor", ""),
    )


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequest(f"parameter 'limit' is a number from 1 to {MAX_LIMIT}, not {text[:60]!r}")
    return int(text)
