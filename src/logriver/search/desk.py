"""The desk where every question to the store waits its turn.

The store's calls block, so they run on threads; at most `max_queries` at one time, a few more wait, the rest is told to
come back. Exports have slots of their own: they take as long as their reader does. Every use case asks through here, so
this is the place for limits and for cancelling: whoever is cancelled while it asks ends its query.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
from prometheus_client import Counter

from logriver import clock, metrics
from logriver.errors import Overloaded
from logriver.store.base import Answer, Limits, Param, Pieces, Store
from logriver.store.stop import Stop

WAITING_PER_SLOT = 4
_KILL_AGAIN_SECONDS = 0.05

_queries_turned_away = metrics.turned_away.labels(reason="queries")
_exports_turned_away = metrics.turned_away.labels(reason="exports")

Shape = Callable[[Pieces], Pieces]
"""Turns the store's output into what is sent, on the export's own thread."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all questions together, and each of them, may use."""

    queries: int
    exports: int
    query_seconds: float
    query_memory_bytes: int


class Desk:
    """Hands questions to `store`, a few at a time."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._queries = _Slots("queries", bounds.queries, bounds.query_seconds, _queries_turned_away)
        self._exports = _Slots("exports", bounds.exports, bounds.query_seconds, _exports_turned_away)
        # Each may need a second thread, to be ended by.
        self._threads = ThreadPoolExecutor(2 * (bounds.queries + bounds.exports), "query")

    @property
    def query_memory_bytes(self) -> int:
        """What one query may use."""
        return self._bounds.query_memory_bytes

    async def ask(self, call: str, sql: str, params: Mapping[str, Param], result_rows: int = 0) -> Answer:
        """Run a SELECT; `call` names the asking use case in the metrics; more than `result_rows` rows are too many.

        Raises `Overloaded` when too many wait, and what `Store.query` raises. A caller that is cancelled gives its
        place in the queue up or ends its query; it returns when its slot is free.
        """
        async with self._queries.one():
            started = clock.monotonic()
            stop = Stop()
            limits = Limits(self._bounds.query_seconds, self._bounds.query_memory_bytes, result_rows, stop)
            answer = await self._run(stop, lambda: self._store.query(sql, params, limits))
            metrics.queries.labels(call=call).inc()
            metrics.query_seconds.observe(clock.monotonic() - started)
            return answer

    async def stream(
        self, call: str, sql: str, params: Mapping[str, Param], format: str, shape: Shape | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Run a SELECT for as long as somebody takes its output, in `format`, as `shape` makes it.

        Raises as `ask` does, also midway. Close it: that ends the query.
        """
        async with self._exports.one():
            stop = Stop()
            limits = replace(Limits(memory_bytes=self._bounds.query_memory_bytes, stop=stop), seconds=0)
            written = self._store.stream(sql, params, format, limits)
            pieces = shape(written) if shape else written
            try:
                while piece := await self._run(stop, lambda: next(pieces, b"")):
                    yield piece
                metrics.queries.labels(call=call).inc()
            finally:
                with anyio.CancelScope(shield=True):
                    await asyncio.get_running_loop().run_in_executor(self._threads, _close, pieces, written)

    async def _run(self, stop: Stop, call: Callable[[], _Result]) -> _Result:
        """`call` on a thread. If cancelled: end it, and be cancelled when it has returned."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            metrics.queries_cancelled.inc()
            with anyio.CancelScope(shield=True):
                while not running.done():
                    await asyncio.get_running_loop().run_in_executor(self._threads, stop.kill)
                    await asyncio.wait([running], timeout=_KILL_AGAIN_SECONDS)
            # Nobody is left to hear what it raised.
            running.exception()
            raise


def _close(pieces: Pieces, written: Pieces) -> None:
    pieces.close()
    written.close()


class _Slots:
    """`count` places for what is called `name`; four times as many may wait, each at most `wait_seconds`."""

    def __init__(self, name: str, count: int, wait_seconds: float, turned_away: Counter) -> None:
        self._name = name
        self._places = anyio.CapacityLimiter(count)
        self._most_waiting = count * WAITING_PER_SLOT
        self._wait_seconds = wait_seconds
        self._turned_away = turned_away

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place inside of the block. Raises `Overloaded`."""
        if self._places.statistics().tasks_waiting >= self._most_waiting:
            raise self._overloaded(f"too many {self._name} are waiting")
        holder = object()
        with anyio.move_on_after(self._wait_seconds) as waiting:
            await self._places.acquire_on_behalf_of(holder)
        if waiting.cancelled_caught:
            raise self._overloaded(f"the {self._name} before this one take too long")
        try:
            yield
        finally:
            self._places.release_on_behalf_of(holder)

    def _overloaded(self, message: str) -> Overloaded:
        self._turned_away.inc()
        return Overloaded(message, hint="ask again in a moment, or ask for less")
