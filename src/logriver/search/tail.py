"""The live tail: each record that matches, once, in the order of `_seq`, within a second.

A tail is no more than its cursor, the watermark up to which it has looked: nothing is kept for it, so it goes on after
a restart of either side, and whoever reads slowly just asks later. It asks the store only when the watermark moved.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from logriver import clock, metrics
from logriver.columns import TABLE
from logriver.errors import Overloaded
from logriver.query.language import parser
from logriver.query.language.tree import Search as Parsed
from logriver.query.pipes.row_pipes import chosen_fields
from logriver.query.sql import watermark_sql
from logriver.search import documents
from logriver.search.cursor import TailCursor
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME
from logriver.watermark import Watermark

QUIET_SECONDS = 15.0
"""After so long without a record there is an empty batch."""
# The watermark is looked at so often; blocks of a steady stream come a little less often than it may be asked for them.
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 0.2
_MOST_ROWS = 2_000
# Numbers that one query covers: what lies far behind is caught up with step by step.
_WINDOW = 100_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents (JSON), each with the cursor behind it, and the cursor behind all that was looked at."""

    documents: list[tuple[TailCursor, bytes]]
    end: TailCursor


class Tail:
    """Follows what arrives; at most `most` at one time. `stopping` says that the server ends.

    `acknowledged` is the highest number of each node that is on disk.
    """

    def __init__(
        self,
        scheduler: QueryScheduler,
        watermark: Callable[[], Watermark],
        materialized: Callable[[], frozenset[str]],
        acknowledged: Callable[[], Watermark],
        most: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._acknowledged = acknowledged
        self._most = most
        self._stopping = stopping
        self._open = 0

    def follow(self, text: str, after: TailCursor | None) -> AsyncGenerator[Batch, None]:
        """Batches of what matches `text` and comes after the cursor; without one, after now. Ends with the server.

        Raises `BadQuery` at once, `Overloaded` when it is asked for the first batch, which is empty.
        """
        search = parser.parse(text)
        fields = chosen_fields(search, "tail")
        start = self._start(after)
        # Only to find what is wrong with the values now.
        filter_sql(search.where, ANY_TIME, start, self._materialized())
        return self._batches(search, fields, start)

    def _start(self, after: TailCursor | None) -> Watermark:
        now = self._watermark()
        if after is None:
            return now
        # What is ahead of all that was ever given out, or knows no node, is of a data directory that is no more.
        is_ours = any(node in now for node in after.watermark)
        start = after.watermark.of_nodes(now)
        return start if is_ours and not start.is_ahead_of(self._acknowledged()) else now

    async def _batches(self, search: Parsed, fields: tuple[str, ...], at: Watermark) -> AsyncGenerator[Batch, None]:
        with self._counted():
            yield Batch([], TailCursor(at))
            told = clock.monotonic()
            ask_at = 0.0
            while not self._stopping():
                far_behind = False
                now = clock.monotonic()
                if self._watermark().is_ahead_of(at) and now >= ask_at:
                    batch = await self._next(search, fields, at)
                    end = batch.end.watermark
                    far_behind = end.is_ahead_of(at) and self._watermark().is_ahead_of(_window_after(end))
                    ask_at = now if far_behind else now + _ASK_SECONDS
                    at = end
                    if batch.documents:
                        told = clock.monotonic()
                        yield batch
                if clock.monotonic() - told > QUIET_SECONDS:
                    told = clock.monotonic()
                    yield Batch([], TailCursor(at))
                if not far_behind:
                    await asyncio.sleep(_LOOK_SECONDS)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._open >= self._most:
            metrics.turned_away.labels(reason="tails").inc()
            raise Overloaded("too many live tails are open", retry_after_seconds=5)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _next(self, search: Parsed, fields: tuple[str, ...], at: Watermark) -> Batch:
        """What matches among the numbers next to `at`; nothing, as if it were not there yet, while all are busy."""
        now = self._watermark()
        at = at.of_nodes(now)
        end = Watermark({node: min(now[node], seq + _WINDOW) for node, seq in at.items()})
        condition = filter_sql(search.where, ANY_TIME, end, self._materialized())
        sql = (
            f"SELECT {', '.join(documents.COLUMNS)} FROM {TABLE} "
            f"WHERE {condition.sql} AND {watermark_sql.above(at, condition.bind)} "
            f"AND {watermark_sql.below(end, condition.bind)} ORDER BY _seq, _node LIMIT {_MOST_ROWS}"
        )
        try:
            answer = await self._scheduler.ask("tail", sql, condition.params)
        except Overloaded:
            return Batch([], TailCursor(at))
        found = []
        for row in answer.rows:
            # Of each node the numbers rise, so what is behind a record is all of its node up to it.
            at = at.moved(str(row[documents.NODE]), int(str(row[documents.SEQ])))
            found.append((TailCursor(at), documents.line(row, fields)))
        return Batch(found, found[-1][0] if len(found) == _MOST_ROWS else TailCursor(end))


def _window_after(at: Watermark) -> Watermark:
    return Watermark({node: seq + _WINDOW for node, seq in at.items()})
