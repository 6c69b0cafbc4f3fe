"""The desk where every question to the store waits its turn.

The store's calls block, so they run on threads; at most `max_queries` at one time, a few more wait, the rest is told to
come back. Every use case asks through here, so this is the place for limits and for cancelling.
"""

from collections.abc import Mapping

import anyio
import anyio.to_thread

from logriver import clock, metrics
from logriver.errors import Overloaded
from logriver.store.base import Answer, Limits, Param, Store

WAITING_PER_SLOT = 4


class Desk:
    """Hands questions to `store`, a few at a time."""

    def __init__(self, store: Store, max_queries: int, query_timeout_seconds: float) -> None:
        self._store = store
        self._slots = anyio.CapacityLimiter(max_queries)
        self._max_waiting = max_queries * WAITING_PER_SLOT
        self._limits = Limits(seconds=query_timeout_seconds)

    async def ask(self, call: str, sql: str, params: Mapping[str, Param]) -> Answer:
        """Run a SELECT; `call` names the asking use case in the metrics.

        Raises `Overloaded` when too many wait, and what `Store.query` raises. A caller that is cancelled while it waits
        gives its place up; a query that runs is waited for, because its slot is not free before it ends.
        """
        if self._slots.statistics().tasks_waiting >= self._max_waiting:
            metrics.turned_away.labels(reason="queries").inc()
            raise Overloaded("too many queries are waiting", hint="ask again in a moment, or ask for less")
        started = clock.monotonic()
        answer = await anyio.to_thread.run_sync(self._store.query, sql, params, self._limits, limiter=self._slots)
        metrics.queries.labels(call=call).inc()
        metrics.query_seconds.observe(clock.monotonic() - started)
        return answer
