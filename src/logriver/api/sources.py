"""`/api/v1/sources`: which bytes of which followed file are committed, and the records of a part of one."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from logriver.api import answers, parameters
from logriver.api.export import StreamAnswer
from logriver.api.source_list import FollowedSource, SourceList
from logriver.errors import BadRequest, Unavailable
from logriver.record import SearchedSink
from logriver.search.export import NDJSON
from logriver.search.source_lines import MAX_SPAN_BYTES, SourceLines, SourceLinesRequest

MAX_LIMIT = 10_000
_DEFAULT_LIMIT = 1_000
_SEARCHABLE_SECONDS = 10.0
_MAX_OFFSET = 2**63

Part = Annotated[str, Query(description="only sources with this in their path")]
Exactly = Annotated[str, Query(description="only the source that has this path")]
Limit = Annotated[str, Query(description=f"sources, 1 to {MAX_LIMIT}")]
Cursor = Annotated[str, Query(description="the cursor of the page before")]

_decode_key = msgspec.json.Decoder(tuple[str, str]).decode


def router(
    sources: SourceList, lines: SourceLines, sink: SearchedSink, acknowledged: Callable[[], int], idle_seconds: float
) -> APIRouter:
    """The routes. `acknowledged` as in `ServerState`; who takes no lines for `idle_seconds` is cut off."""
    routes = APIRouter(tags=["sources"])

    @routes.get("/api/v1/sources", summary="Followed files: bytes committed without a gap, gaps, lag, last event")
    async def get_sources(
        q: Part = "", source: Exactly = "", limit: Limit = str(_DEFAULT_LIMIT), cursor: Cursor = ""
    ) -> Response:
        most = parameters.number_of("limit", limit or str(_DEFAULT_LIMIT), MAX_LIMIT)
        found = [one for one in sources.all() if q in one.path and source in ("", one.path)]
        after = _place(cursor)
        rest = [one for one in found if after is None or one.key > after]
        page = rest[:most]
        content: dict[str, object] = {
            "sources": [one.shown() for one in page],
            "total": len(found),
            "cursor": _cursor(page[-1]) if len(rest) > most else None,
        }
        if source:
            content["searchable"] = msgspec.to_builtins(await lines.searchable(source))
        return answers.json(content)

    @routes.get("/api/v1/sources/lines", summary="The records of a part of a file: offsets, times and hashes")
    async def get_lines(
        source: Annotated[str, Query(description="the path of the source")] = "",
        start: Annotated[str, Query(description="offset of the first byte")] = "0",
        end: Annotated[str, Query(description=f"offset behind the last, at most {MAX_SPAN_BYTES} more")] = "",
    ) -> Response:
        asked = SourceLinesRequest(source, _offset("start", start), _offset("end", end))
        if not source or not 0 <= asked.end - asked.start <= MAX_SPAN_BYTES:
            raise BadRequest(
                f"bytes {asked.start} to {asked.end} of {source[:60]!r} cannot be asked for",
                hint=f"name the source, and at most {MAX_SPAN_BYTES} bytes of it",
            )
        if not await sink.wait_searchable(acknowledged(), _SEARCHABLE_SECONDS):
            raise Unavailable("what is acknowledged is not searchable yet")
        return StreamAnswer(lines.stream(asked), NDJSON, idle_seconds, {})

    return routes


def _offset(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_MAX_OFFSET)) or int(text) > _MAX_OFFSET:
        raise BadRequest(f"parameter {name!r} is an offset in bytes, not {text[:60]!r}")
    return int(text)


def _cursor(source: FollowedSource) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(source.key)).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, str] | None:
    if not cursor:
        return None
    try:
        return _decode_key(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise BadRequest(f"parameter 'cursor' is none that was given: {cursor[:60]!r}") from None
