"""`/api/v1/search`: rows that match a search text, a page at a time or all in one stream."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from logriver import clock
from logriver.api import answers, parameters
from logriver.api.export import file_answer, media_type_of
from logriver.errors import BadRequest
from logriver.record import MAX_SEQ
from logriver.search.cursor import Order
from logriver.search.export import MEDIA_TYPES, Export, ExportRequest
from logriver.search.hints import Hints, of_what_is_found
from logriver.search.search import MAX_LIMIT, Page, Search, SearchRequest
from logriver.search.unknown_fields import UnknownFields

_ORDERS: dict[str, Order] = {"asc": "asc", "desc": "desc"}
_DEFAULT_LIMIT = "100"
MAX_EXPORT_ROWS = MAX_SEQ
_STREAMS: dict[int | str, dict[str, Any]] = {200: {"content": {media_type: {} for media_type in MEDIA_TYPES}}}


def router(
    search: Search, export: Export, hints: Hints, unknown: UnknownFields, export_idle_seconds: float
) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    async def answer(request: Request) -> Response:
        started = clock.monotonic()
        given = await parameters.read(request)
        media_type = media_type_of(request)
        if media_type is not None:
            return file_answer(export.stream(_export_request(given, media_type)), media_type, export_idle_seconds)
        asked = _search_request(given)
        page = await search.page(asked)
        is_empty = not page.documents and not asked.cursor
        hint = await hints.hint(asked.text, asked.times) if is_empty else of_what_is_found(asked.text)
        message = hint.message if hint else await unknown.hint_of_chosen(asked.text, page.documents)
        return _answer(page, message, hint.query if hint else None, started)

    # FastAPI reads the parameters below only to describe and document them; `parameters.read` knows all their places.
    @routes.get("/api/v1/search", summary="Rows that match a search text, newest first", responses=_STREAMS)
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

    @routes.post(
        "/api/v1/search",
        summary="The same, with the parameters in the body",
        openapi_extra=described,
        responses=_STREAMS,
    )
    async def post_search(request: Request) -> Response:
        return await answer(request)

    return routes


_NAMES = ("q", "from", "to", "limit", "order", "cursor")


def _answer(page: Page, hint: str | None, hint_query: str | None, started: float) -> Response:
    return answers.json(
        {
            "rows": [msgspec.Raw(document) for document in page.documents],
            "cursor": page.cursor,
            "newer": page.newer,
            "late": page.late,
            "hint": hint,
            "hint_query": hint_query,
            **answers.incomplete(page.incomplete),
            "stats": {
                "matched": None,
                "elapsed_ms": round(1000 * (clock.monotonic() - started), 3),
                "rows_read": page.rows_read,
                "bytes_read": page.bytes_read,
            },
        }
    )


def _search_request(given: dict[str, str]) -> SearchRequest:
    return SearchRequest(
        text=parameters.text_of(given),
        times=parameters.times_of(given),
        limit=_limit(given.get("limit") or _DEFAULT_LIMIT, MAX_LIMIT),
        order=_order(given),
        cursor=given.get("cursor", ""),
    )


def _export_request(given: dict[str, str], media_type: str) -> ExportRequest:
    if given.get("cursor"):
        raise BadRequest("a stream has no pages", hint="leave 'cursor' out, or accept application/json")
    limit = given.get("limit")
    return ExportRequest(
        text=parameters.text_of(given),
        times=parameters.times_of(given),
        order=_order(given),
        limit=_limit(limit, MAX_EXPORT_ROWS) if limit else None,
        media_type=media_type,
    )


def _order(given: dict[str, str]) -> Order:
    order = given.get("order") or "desc"
    if order not in _ORDERS:
        raise BadRequest(f"parameter 'order' is 'asc' or 'desc', not {order[:60]!r}")
    return _ORDERS[order]


def _limit(text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not 1 <= int(text) <= most:
        raise BadRequest(f"parameter 'limit' is a number from 1 to {most}, not {text[:60]!r}")
    return int(text)
