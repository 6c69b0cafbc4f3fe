"""Streams as answers of `/api/v1/search`: everything that matches, as fast as the client takes it."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from logriver.errors import LogriverError
from logriver.search.export import MEDIA_TYPES, NDJSON

_ENDINGS = {"text/csv": "csv", "application/vnd.apache.arrow.stream": "arrows"}
_ENDINGS |= {"application/vnd.apache.parquet": "parquet", NDJSON: "ndjson"}

log = logging.getLogger(__name__)


def media_type_of(request: Request) -> str | None:
    """The first stream that the client accepts; None where JSON comes before it, or nothing is said."""
    for given in request.headers.get("accept", "").split(","):
        media_type = given.partition(";")[0].strip().lower()
        if media_type in MEDIA_TYPES:
            return media_type
        if media_type in ("application/json", "application/*", "*/*"):
            return None
    return None


class StreamAnswer(Response):
    """Sends `pieces` on. What fails before the first is an ordinary error; later the connection is cut.

    Never ended as if it were complete: `last_words` are sent about the error where the format has space for them, and
    it is cut too. A client that takes nothing for `idle_seconds` is cut off.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        idle_seconds: float,
        headers: Mapping[str, str],
        last_words: Callable[[LogriverError], bytes] | None = None,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._pieces = pieces
        self._idle_seconds = idle_seconds
        self._last_words = last_words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer, as ASGI has it."""
        async with aclosing(self._pieces) as pieces:
            piece = await anext(pieces, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                while piece:
                    await self._send(piece, send)
                    piece = await anext(pieces, b"")
            except LogriverError as error:
                log.warning("a stream ended early: %s", error.message)
                if self._last_words is not None:
                    await self._send(self._last_words(error), send)
                return
            except TimeoutError:
                log.warning("a stream was cut off, its client took nothing for %s s", self._idle_seconds)
                return
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, piece: bytes, send: Send) -> None:
        with anyio.fail_after(self._idle_seconds):
            await send({"type": "http.response.body", "body": piece, "more_body": True})


def file_answer(pieces: AsyncGenerator[bytes, None], media_type: str, idle_seconds: float) -> StreamAnswer:
    """The answer that a browser keeps as a file."""
    headers = {"Content-Disposition": f'attachment; filename="logs.{_ENDINGS[media_type]}"'}
    return StreamAnswer(pieces, media_type, idle_seconds, headers, _error_line if media_type == NDJSON else None)


def _error_line(error: LogriverError) -> bytes:
    return msgspec.json.encode({"error": error.answer()}) + b"\n"
