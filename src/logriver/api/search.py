"""`/api/v1/search`: rows that match a search text, a page at a time or all in one stream."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator, Field
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

_DEFAULT_LIMIT = "100"
MAX_EXPORT_ROWS = MAX_SEQ
_STREAMS: dict[int | str, dict[str, Any]] = {200: {"content": {media_type: {} for media_type in MEDIA_TYPES}}}


def _order(given: object) -> object:
    order = given or "desc"
    if order not in ("asc", "desc"):
        raise BadRequest(f"parameter 'order' is 'asc' or 'desc', not {str(order)[:60]!r}")
    return order


class SearchParameters(parameters.SearchParameters):
    """What a search can be asked with."""

    limit: Annotated[
        str, Field(description=f"rows, 1 to {MAX_LIMIT}, {_DEFAULT_LIMIT} when absent; of a stream any number, or all")
    ] = ""
    order: Annotated[Order, BeforeValidator(_order), Field(description="`desc` (newest first) or `asc`")] = "desc"
    cursor: Annotated[str, Field(description="the cursor of the page before")] = ""


def router(
    search: Search, export: Export, hints: Hints, unknown: UnknownFields, export_idle_seconds: float
) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    async def answer(request: Request, asked: SearchParameters) -> Response:
        started = clock.monotonic()
        media_type = media_type_of(request)
        if media_type is not None:
            return file_answer(export.stream(_export_request(asked, media_type)), media_type, export_idle_seconds)
        given = _search_request(asked)
        page = await search.page(given)
        is_empty = not page.documents and not given.cursor
        hint = await hints.hint(given.text, given.times) if is_empty else of_what_is_found(given.text)
        message = hint.message if hint else await unknown.hint_of_chosen(given.text, page.documents)
        return _answer(page, message, hint.query if hint else None, started)

    @routes.get("/api/v1/search", summary="Rows that match a search text, newest first", responses=_STREAMS)
    async def get_search(request: Request, asked: Annotated[SearchParameters, Query()]) -> Response:
        return await answer(request, asked)

    @routes.post(
        "/api/v1/search",
        summary="The same, with the parameters in the body",
        openapi_extra=parameters.described(SearchParameters),
        responses=_STREAMS,
    )
    async def post_search(
        request: Request, asked: Annotated[SearchParameters, Depends(parameters.posted(SearchParameters))]
    ) -> Response:
        return await answer(request, asked)

    return routes


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


def _search_request(asked: SearchParameters) -> SearchRequest:
    return SearchRequest(
        text=asked.q,
        times=asked.times,
        limit=parameters.number_of("limit", asked.limit or _DEFAULT_LIMIT, MAX_LIMIT),
        order=asked.order,
        cursor=asked.cursor,
    )


def _export_request(asked: SearchParameters, media_type: str) -> ExportRequest:
    if asked.cursor:
        raise BadRequest("a stream has no pages", hint="leave 'cursor' out, or accept application/json")
    return ExportRequest(
        text=asked.q,
        times=asked.times,
        order=asked.order,
        limit=parameters.number_of("limit", asked.limit, MAX_EXPORT_ROWS) if asked.limit else None,
        media_type=media_type,
    )
