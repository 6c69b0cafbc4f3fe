"""Answers requests for files off the event loop, a bounded number at a time."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from logriver import clock, metrics
from logriver.decode.decoder import MakeDecoder
from logriver.errors import Overloaded
from logriver.file_position import FileKey
from logriver.files import reading
from logriver.files.listing import Listing, entries_of
from logriver.files.request import FileSearchRequest, ListRequest, LogRequest
from logriver.files.roots import Roots
from logriver.files.search import FileSearch
from logriver.threads import ends_within

# A step on a thread ends when it has so much or took so long: what was found is sent, and who left is noticed.
_STEP_BYTES = 262_144
_STEP_SECONDS = 0.01

_turned_away = metrics.turned_away.labels(reason="files")

_Result = TypeVar("_Result")


class FileAnswers:
    """One for a process. At most `max_reads` requests are answered at a time; more are `Overloaded`.

    `stored` gives the keys of the files whose lines are stored: a search over files leaves them out.
    """

    def __init__(
        self, roots: Roots, max_reads: int, stored: Callable[[], Collection[FileKey]], make_decoder: MakeDecoder
    ) -> None:
        self._roots = roots
        self._make_decoder = make_decoder
        self._stored = stored
        self._slots = threading.BoundedSemaphore(max_reads)
        self._threads = ThreadPoolExecutor(max_reads, "files")

    def stop(self, timeout_seconds: float) -> bool:
        """End the threads, which the process would wait for. False where one still reads, from what does not answer."""
        return ends_within(timeout_seconds, "ending the reads of files", self._threads.shutdown)

    async def logs(self, request: LogRequest) -> AsyncGenerator[bytes, None]:
        """Whole lines with their ends, newest first, in pieces that are not empty; reading stops with `aclose`.

        What can be told beforehand is raised before the first piece: `BadRequest`, `Forbidden`, `NotFound`,
        `Unprocessable`, `Overloaded`; afterwards `Unavailable` where the file cannot be read on.
        """
        async with aclosing(self._given(reading.lines(self._roots, request))) as pieces:
            async for piece in pieces:
                yield piece

    async def search(self, request: FileSearchRequest) -> AsyncGenerator[bytes, None]:
        """Events as `search.py` has them, in pieces that are not empty; reading stops with `aclose`.

        Raises `BadQuery`, `Overloaded`.
        """
        found = FileSearch(self._roots, self._stored(), request, self._make_decoder).events()
        async with aclosing(self._given(found)) as pieces:
            async for piece in pieces:
                yield piece

    async def list(self, request: ListRequest) -> Listing:
        """The entries of a directory. Raises `BadRequest`, `Forbidden`, `NotFound`, `Overloaded`."""
        with self._slot() as steps:
            return await steps.run(lambda: entries_of(self._roots, request.path))

    async def _given(self, pieces: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
        """What a generator gives that blocks, without its empty pieces. Raises `Overloaded`, and as that does."""
        with self._slot(pieces.close) as steps:
            while True:
                piece, ended = await steps.run(lambda: _step(pieces))
                if ended:
                    break
                if piece:
                    yield piece
        # The slot is free before the end is sent: who asks again on that is not turned away.
        if piece:
            yield piece

    @contextmanager
    def _slot(self, close: Callable[[], None] = lambda: None) -> Iterator["_Steps"]:
        """A slot to read in. Raises `Overloaded`.

        Free at once when all was read; where that was broken off, when `close` has been called after the last step.
        """
        if not self._slots.acquire(blocking=False):
            _turned_away.inc()
            raise Overloaded("too many files are being read", hint="ask again when one of the others has ended")
        steps = _Steps(self._threads)

        def leave() -> None:
            try:
                close()
            finally:
                self._slots.release()

        try:
            yield steps
        except BaseException:
            steps.then(leave)
            raise
        self._slots.release()


class _Steps:
    """Calls on threads, one after the other. Who waits for one can leave; it goes on to its end."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._last: Future[Any] | None = None

    async def run(self, call: Callable[[], _Result]) -> _Result:
        """The result of a call that blocks."""
        step = self._threads.submit(call)
        self._last = step
        return await asyncio.wrap_future(step)

    def then(self, call: Callable[[], None]) -> None:
        """Make a call after the last one, without waiting for it."""
        if self._last is None:
            self._threads.submit(call)
        else:
            self._last.add_done_callback(lambda _: self._threads.submit(call))


def _step(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """What a step finds, and whether that is the end."""
    until = clock.monotonic() + _STEP_SECONDS
    found, length = [], 0
    for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length >= _STEP_BYTES or clock.monotonic() >= until:
            return b"".join(found), False
    return b"".join(found), True
