"""The query scheduler: every query of the store waits its turn here.

The store's calls block, so they run on threads; at most `max_queries` at one time, a few more wait, the rest is asked
to come back. Exports have slots of their own: they take as long as their reader does. Every use case asks through here,
so this is the place for limits and for cancelling: whoever is cancelled while it asks ends its query.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio
from prometheus_client import Counter

from logriver import clock, metrics
from logriver.errors import Overloaded, QueryTooExpensive
from logriver.store.base import Chunks, Limits, Param, QueryResult, Store
from logriver.store.stop import Stop
from logriver.threads import Owner

WAITING_PER_SLOT = 4
_KILL_AGAIN_SECONDS = 0.05
# The engine looks at its limit of time, and whether a query was ended, between blocks and not within one call of a
# function. A query that is still there so long after it should have ended is left to itself, and keeps a slot.
_GRACE_SECONDS = 5.0

_queries_turned_away = metrics.turned_away.labels(reason="queries")
_exports_turned_away = metrics.turned_away.labels(reason="exports")

Convert = Callable[[Chunks], Chunks]
"""Turns the store's output into what is sent, on the export's own thread."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all queries together, and each of them, may use."""

    queries: int
    exports: int
    query_seconds: float
    query_memory_bytes: int


class QueryScheduler:
    """Hands queries to `store`, a few at a time. On one event loop."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        # What users write themselves may not end when it should: searches keep half of the slots, and get back the one
        # of a statement that is left to itself.
        statements = max(1, bounds.queries // 2)
        self._statements = _Slots("statements", statements, bounds.query_seconds, _queries_turned_away)
        self._queries = _Slots("queries", bounds.queries, bounds.query_seconds, _queries_turned_away)
        self._exports = _Slots("exports", bounds.exports, bounds.query_seconds, _exports_turned_away)
        self._event_loop = Owner("the slots of queries")
        # Each may need a second thread, to be ended by; those left to themselves keep theirs.
        self._threads = ThreadPoolExecutor(2 * (bounds.queries + bounds.exports) + statements, "query")

    @property
    def query_memory_bytes(self) -> int:
        """What one query may use."""
        return self._bounds.query_memory_bytes

    async def ask(
        self, call: str, sql: str, params: Mapping[str, Param], result_rows: int = 0, is_statement: bool = False
    ) -> QueryResult:
        """Run a SELECT; `call` names the asking use case in the metrics; more than `result_rows` rows are too many.

        `is_statement`: a user wrote it. Raises `Overloaded` when too many wait, and what `Store.query` raises. A caller
        that is cancelled leaves the queue or ends its query; it returns when its slot is free.
        """
        self._event_loop.check()
        async with AsyncExitStack() as slots:
            held = await slots.enter_async_context((self._statements if is_statement else self._queries).one())
            if is_statement:
                await slots.enter_async_context(self._queries.one())
            started = clock.monotonic()
            stop = Stop()
            limits = Limits(self._bounds.query_seconds, self._bounds.query_memory_bytes, result_rows, stop)
            latest = self._bounds.query_seconds + _GRACE_SECONDS
            answer = await self._run(stop, lambda: self._store.query(sql, params, limits), held, latest)
            metrics.queries.labels(call=call).inc()
            metrics.query_seconds.observe(clock.monotonic() - started)
            return answer

    async def stream(
        self, call: str, sql: str, params: Mapping[str, Param], format: str, convert: Convert | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Run a SELECT for as long as somebody takes its output, in `format`, as `convert` makes it.

        Raises as `ask` does, also midway. Close it: that ends the query.
        """
        self._event_loop.check()
        async with self._exports.one():
            stop = Stop()
            limits = replace(Limits(memory_bytes=self._bounds.query_memory_bytes, stop=stop), seconds=0)
            written = self._store.stream(sql, params, format, limits)
            pieces = convert(written) if convert else written
            try:
                while piece := await self._run(stop, lambda: next(pieces, b"")):
                    yield piece
                metrics.queries.labels(call=call).inc()
            finally:
                with anyio.CancelScope(shield=True):
                    await asyncio.get_running_loop().run_in_executor(self._threads, _close, pieces, written)

    async def _run(
        self, stop: Stop, call: Callable[[], _Result], held: "_Slot | None" = None, seconds: float | None = None
    ) -> _Result:
        """`call` on a thread. If cancelled: end it, and be cancelled when it has returned.

        With `seconds`, what does not return in that time or does not end is left and keeps the slot that is `held`.
        """
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            await asyncio.wait([running], timeout=seconds)
            if running.done():
                return running.result()
        except asyncio.CancelledError:
            metrics.queries_cancelled.inc()
            with anyio.CancelScope(shield=True):
                await self._end(running, stop, held, math.inf if seconds is None else _GRACE_SECONDS)
            raise
        # It was to end at its limit: telling it once more would change nothing.
        await self._end(running, stop, held, 0)
        raise QueryTooExpensive(
            "the query does not end at its limit of time",
            hint="leave out functions and patterns that look at long texts again and again",
        )

    async def _end(self, running: "asyncio.Future[_Result]", stop: Stop, held: "_Slot | None", seconds: float) -> None:
        """Have it ended, for so long; nobody is left to hear what it raises."""
        running.add_done_callback(_forget)
        deadline = clock.monotonic() + seconds
        while not running.done() and clock.monotonic() < deadline:
            await asyncio.get_running_loop().run_in_executor(self._threads, stop.kill)
            await asyncio.wait([running], timeout=_KILL_AGAIN_SECONDS)
        if held:
            held.until = running


def _forget(running: "asyncio.Future[_Result]") -> None:
    if not running.cancelled():
        running.exception()


def _close(pieces: Chunks, written: Chunks) -> None:
    pieces.close()
    written.close()


@dataclass(slots=True)
class _Slot:
    """A slot that is taken, `until` that is done where it is said."""

    until: "asyncio.Future[Any] | None" = None


class _Slots:
    """`count` slots for what is called `name`; four times as many may wait, each at most `wait_seconds`."""

    def __init__(self, name: str, count: int, wait_seconds: float, turned_away: Counter) -> None:
        self._name = name
        self._limiter = anyio.CapacityLimiter(count)
        self._most_waiting = count * WAITING_PER_SLOT
        self._wait_seconds = wait_seconds
        self._turned_away = turned_away

    @asynccontextmanager
    async def one(self) -> AsyncIterator[_Slot]:
        """A slot inside of the block, and beyond it for what the slot is given. Raises `Overloaded`."""
        if self._limiter.statistics().tasks_waiting >= self._most_waiting:
            raise self._overloaded(f"too many {self._name} are waiting")
        holder = object()
        with anyio.move_on_after(self._wait_seconds) as waiting:
            await self._limiter.acquire_on_behalf_of(holder)
        if waiting.cancelled_caught:
            raise self._overloaded(f"the {self._name} before this one take too long")
        slot = _Slot()
        try:
            yield slot
        finally:
            if slot.until is None or slot.until.done():
                self._limiter.release_on_behalf_of(holder)
            else:
                slot.until.add_done_callback(lambda _: self._limiter.release_on_behalf_of(holder))

    def _overloaded(self, message: str) -> Overloaded:
        self._turned_away.inc()
        return Overloaded(message, hint="ask again in a moment, or ask for less")
