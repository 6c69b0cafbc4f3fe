"""The live tail: each record that matches, once, in the order of `_seq`, within a second.

A tail is no more than its cursor, the number up to which it has looked: nothing is kept for it, so it goes on after a
restart of either side, and whoever reads slowly just asks later. It asks the store only when the visible mark moved.
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
from logriver.search import documents
from logriver.search.cursor import TailCursor
from logriver.search.desk import Desk
from logriver.search.scope import ANY_TIME, where

QUIET_SECONDS = 15.0
"""After so long without a record there is an empty batch."""
# The mark is looked at so often; blocks of a steady stream come a little less often than it may be asked for them.
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

    `acknowledged` is the highest number on disk.
    """

    def __init__(
        self,
        desk: Desk,
        mark: Callable[[], int],
        promoted: Callable[[], frozenset[str]],
        acknowledged: Callable[[], int],
        most: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._mark = mark
        self._promoted = promoted
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
        # What is ahead of all that was ever given out is of a data directory that is no more.
        start = after.seq if after is not None and after.seq <= self._acknowledged() else self._mark()
        # Only to find what is wrong with the values now.
        where(search.where, ANY_TIME, start, self._promoted())
        return self._batches(search, fields, start)

    async def _batches(self, search: Parsed, fields: tuple[str, ...], seq: int) -> AsyncGenerator[Batch, None]:
        with self._counted():
            yield Batch([], TailCursor(seq))
            told = clock.monotonic()
            ask_at = 0.0
            while not self._stopping():
                far_behind = False
                now = clock.monotonic()
                if self._mark() > seq and now >= ask_at:
                    batch = await self._next(search, fields, seq)
                    far_behind = batch.end.seq > seq and self._mark() - batch.end.seq >= _WINDOW
                    ask_at = now if far_behind else now + _ASK_SECONDS
                    seq = batch.end.seq
                    if batch.documents:
                        told = clock.monotonic()
                        yield batch
                if clock.monotonic() - told > QUIET_SECONDS:
                    told = clock.monotonic()
                    yield Batch([], TailCursor(seq))
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

    async def _next(self, search: Parsed, fields: tuple[str, ...], seq: int) -> Batch:
        """What matches among the numbers next to `seq`; nothing, as if it were not there yet, while all are busy."""
        end = min(self._mark(), seq + _WINDOW)
        wanted = where(search.where, ANY_TIME, end, self._promoted())
        sql = (
            f"SELECT {', '.join(documents.COLUMNS)} FROM {TABLE} "
            f"WHERE {wanted.sql} AND _seq > {wanted.bind(seq, 'UInt64')} AND _seq <= {wanted.bind(end, 'UInt64')} "
            f"ORDER BY _seq LIMIT {_MOST_ROWS}"
        )
        try:
            answer = await self._desk.ask("tail", sql, wanted.params)
        except Overloaded:
            return Batch([], TailCursor(seq))
        found = [(TailCursor(int(str(row[documents.SEQ]))), documents.line(row, fields)) for row in answer.rows]
        return Batch(found, found[-1][0] if len(found) == _MOST_ROWS else TailCursor(end))
