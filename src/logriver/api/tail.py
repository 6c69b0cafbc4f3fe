"""`/api/v1/tail`: what arrives, as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import parameters
from logriver.api.export import StreamAnswer
from logriver.errors import LogriverError
from logriver.search import cursor as cursors
from logriver.search.tail import Batch, Tail

_RETRY_MS = 1_000
# Proxies must not keep or collect it.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class TailParameters(parameters.TextParameters):
    """What a tail can be asked with."""

    after: Annotated[str, Field(description="the last `id:` that was seen; also `Last-Event-ID`")] = ""


def router(tail: Tail, idle_seconds: float) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["search"])

    @routes.get(
        "/api/v1/tail",
        summary="Records that match a search text as they arrive, as server-sent events",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def get_tail(request: Request, given: Annotated[TailParameters, Query()]) -> Response:
        seen = request.headers.get("last-event-id") or given.after
        batches = tail.follow(given.q, cursors.decode_tail(seen) if seen else None)
        return StreamAnswer(_events(batches), "text/event-stream", idle_seconds, _HEADERS, _error_event)

    return routes


async def _events(batches: AsyncGenerator[Batch, None]) -> AsyncGenerator[bytes, None]:
    """Each batch as text; one without documents carries only the cursor, and a comment keeps the connection open."""
    async with aclosing(batches):
        # Asked for before anything is sent: whoever is turned away hears it as a status.
        start = await anext(batches)
        yield b"retry: %d\nid: %s\n\n" % (_RETRY_MS, _id(start.end))
        async for batch in batches:
            events = [b"id: %s\ndata: %s\n\n" % (_id(cursor), document) for cursor, document in batch.documents]
            yield b"".join(events) or b": \nid: %s\n\n" % _id(batch.end)


def _id(cursor: cursors.TailCursor) -> bytes:
    return cursors.encode(cursor).encode()


def _error_event(error: LogriverError) -> bytes:
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode(error.answer())
