"""The files of this machine as others may ask for them: by whom, and as the bytes that an agent's channel carries."""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

import msgspec

from logriver.errors import BadRequest, Forbidden
from logriver.files import timed
from logriver.files.answers import FileAnswers
from logriver.files.request import FileSearchRequest, ListRequest, LogRequest, decode

Kind = Literal["logs", "timed", "list", "search"]
"""Lines; the same as blocks with their times, see `timed.py`; a listing as JSON; the events of `found_events.py`."""


class AskedFiles:
    """Answers by `files`. Where the roots were not `chosen` by anybody, root reads for nobody without a token."""

    def __init__(self, files: FileAnswers, *, chosen: bool) -> None:
        self._files = files
        self._needs_token = os.geteuid() == 0 and not chosen

    async def answer(self, kind: str, request: bytes, has_token: bool) -> AsyncGenerator[bytes, None]:
        """The answer to a request, in pieces; `kind` is one of `Kind`, unless another version asks.

        Raises as `FileAnswers` does, `BadRequest` for what is no request, `Forbidden` for a caller without a token.
        """
        if self._needs_token and not has_token:
            hint = "show the token, or name the directories that may be read with --files-root"
            raise Forbidden("root reads files only for callers with a token", hint=hint)
        if kind == "list":
            yield msgspec.json.encode(await self._files.list(decode(request, ListRequest)))
            return
        async with aclosing(self._stream(kind, request)) as pieces:
            async for piece in pieces:
                yield piece

    def _stream(self, kind: str, request: bytes) -> AsyncGenerator[bytes, None]:
        match kind:
            case "logs":
                return self._files.logs(decode(request, LogRequest))
            case "timed":
                return timed.blocks(self._files.logs(decode(request, LogRequest)))
            case "search":
                return self._files.search(decode(request, FileSearchRequest))
            case _:
                raise BadRequest(f"there is no request called {kind[:60]!r}")
