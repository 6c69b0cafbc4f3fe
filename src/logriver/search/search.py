"""Rows that match a search text, a page at a time in both directions, up to the watermark."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from logriver import clock
from logriver.columns import TABLE
from logriver.errors import BadRequest
from logriver.query.language import parser
from logriver.query.language.text import search_text
from logriver.query.language.tree import Query
from logriver.query.pipes.row_pipes import RowPipes, order_by, row_pipes
from logriver.query.sql import watermark_sql
from logriver.query.sql.conditions import Condition
from logriver.search import cursor as cursors
from logriver.search import documents
from logriver.search.cursor import Cursor, Order
from logriver.search.filter_sql import filter_sql, time
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.store.base import QueryResult
from logriver.watermark import Watermark

MAX_LIMIT = 10_000
"""Rows of one page."""

_KEY = "(timestamp, _node, _seq)"

Row = list[object]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked: a search text, the times it covers, and which page."""

    text: str = ""
    times: TimeRange = ANY_TIME
    limit: int = 100
    order: Order = "desc"
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Documents (JSON), the cursors of the next page (None after the last) and of newer records, and the cost.

    `newer` is None where rows are sorted or limited by pipes. `late` of a page that it led to is how many records came
    since that sort inside of what was shown, and are not in it. `incomplete` as in `QueryResult`.
    """

    documents: list[bytes]
    cursor: str | None
    newer: str | None
    late: int
    rows_read: int
    bytes_read: int
    incomplete: tuple[str, ...]


class Search:
    """Answers requests for rows; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def page(self, request: SearchRequest) -> Page:
        """One page. With a cursor, times and order are the first page's, whatever the request says.

        Raises `BadQuery` and `BadRequest` for words and cursors that cannot be read, and what `QueryScheduler.ask`
        raises.
        """
        search = parser.parse(request.text)
        pipes = row_pipes(search)
        asked = cursors.checksum(search_text(search))
        if not request.cursor:
            times = request.times
            begin = (self._watermark(), times.from_ns, times.to_ns, request.order, clock.MIN_TIME_NS, "", 0)
            cursor = Cursor(*begin, asked=asked)
        else:
            cursor = cursors.decode(request.cursor)
            cursor = msgspec.structs.replace(cursor, watermark=cursor.watermark.of_nodes(self._watermark()))
            if cursor.asked != asked:
                hint = "give the search text that its page was asked with, or leave the cursor out"
                raise BadRequest("the cursor is of another search text", hint=hint)
        if cursor.newer:
            return await self._newer_page(search.where, pipes, cursor, request.limit)
        return await self._next_page(search.where, pipes, cursor, request)

    async def _next_page(self, query: Query, pipes: RowPipes, cursor: Cursor, request: SearchRequest) -> Page:
        limit = request.limit if pipes.limit is None else min(request.limit, max(0, pipes.limit - cursor.shown))
        # One row more than was asked for shows whether there is another page.
        answer = await self._rows(query, pipes, cursor, request, limit + 1)
        rows = answer.rows[:limit]
        shown = cursor.shown + len(rows)
        more = len(answer.rows) > limit and (pipes.limit is None or shown < pipes.limit)
        newest = (rows[:1] if cursor.order == "desc" else rows[-1:]) or None
        return Page(
            documents=[documents.document(row, pipes.fields) for row in rows],
            cursor=_leading(cursor, rows[-1], shown=shown) if more else None,
            newer=None if pipes.sort or pipes.limit is not None else _leading(cursor, newest and newest[0], newer=True),
            late=0,
            rows_read=answer.rows_read,
            bytes_read=answer.bytes_read,
            incomplete=answer.incomplete,
        )

    async def _rows(
        self, query: Query, pipes: RowPipes, cursor: Cursor, request: SearchRequest, limit: int
    ) -> QueryResult:
        """The rows behind the cursor, up to its watermark.

        Hardly ever is one above it, and to look at the number of each record takes a quarter of a page's time. So the
        watermark is a condition only where rows are skipped unseen, or when one that came is above it.
        """
        offset = cursor.shown if pipes.sort else 0
        for watermark in (cursor.watermark,) if offset else (None, cursor.watermark):
            condition = filter_sql(query, TimeRange(cursor.from_ns, cursor.to_ns), watermark, self._materialized())
            if request.cursor and not pipes.sort:
                _only_beyond(condition, cursor, cursor.order)
            sql = _sql(condition, order_by(pipes, cursor.order, condition), limit, offset)
            answer = await self._scheduler.ask("search", sql, condition.params)
            if all(cursor.watermark.covers(*_number(row)) for row in answer.rows):
                break
        return answer

    async def _newer_page(self, query: Query, pipes: RowPipes, cursor: Cursor, limit: int) -> Page:
        """The records next to the cursor on its newer side, up to a fresh watermark, in their order."""
        if pipes.sort or pipes.limit is not None:
            raise BadRequest("a sorted or limited answer has no newer page")
        times, watermark = TimeRange(cursor.from_ns, cursor.to_ns), cursor.watermark.higher(self._watermark())
        cursor = msgspec.structs.replace(cursor, watermark=cursor.watermark.of_nodes(watermark))
        condition = filter_sql(query, times, watermark, self._materialized())
        _only_beyond(condition, cursor, "asc")
        answer = await self._scheduler.ask(
            "search", _sql(condition, order_by(pipes, "asc", condition), limit, 0), condition.params
        )
        rows = answer.rows if cursor.order == "asc" else answer.rows[::-1]
        fresh = msgspec.structs.replace(cursor, watermark=watermark)
        return Page(
            documents=[documents.document(row, pipes.fields) for row in rows],
            # To what was shown before: with the watermark that it was shown by.
            cursor=_leading(cursor, rows[-1], shown=1) if rows and cursor.order == "desc" else None,
            newer=_leading(fresh, answer.rows[-1] if rows else None, newer=True),
            late=await self._late(query, times, cursor, watermark),
            rows_read=answer.rows_read,
            bytes_read=answer.bytes_read,
            incomplete=answer.incomplete,
        )

    async def _late(self, query: Query, times: TimeRange, cursor: Cursor, watermark: Watermark) -> int:
        """Records that came after the cursor's watermark and sort before it."""
        late = filter_sql(query, times, watermark, self._materialized())
        _only_beyond(late, cursor, "desc")
        late.sql += f" AND {watermark_sql.above(cursor.watermark, late.bind)}"
        answer = await self._scheduler.ask("search", f"SELECT count() FROM {TABLE} WHERE {late.sql}", late.params)
        return int(str(answer.rows[0][0]))


def _leading(cursor: Cursor, row: Row | None, shown: int = 0, newer: bool = False) -> str:
    """A cursor to what is beyond `row`; without one, beyond the cursor itself."""
    if row is not None:
        node, seq = _number(row)
        cursor = msgspec.structs.replace(cursor, time_ns=int(str(row[documents.TIME])), node=node, seq=seq)
    return cursors.encode(msgspec.structs.replace(cursor, shown=shown, newer=newer))


def _number(row: Row) -> tuple[str, int]:
    """The node of a record and its number there."""
    return str(row[documents.NODE]), int(str(row[documents.SEQ]))


def _only_beyond(condition: Condition, cursor: Cursor, order: Order) -> None:
    """Narrow to what comes after the cursor in that order."""
    beyond = "<" if order == "desc" else ">"
    cursor_time = time(condition, cursor.time_ns)
    key = f"({cursor_time}, {condition.bind(cursor.node)}, {condition.bind(cursor.seq, 'UInt64')})"
    # The first condition alone is what the primary key is read by.
    condition.sql += f" AND timestamp {beyond}= {cursor_time} AND {_KEY} {beyond} {key}"


def _sql(condition: Condition, order: str, limit: int, skip: int) -> str:
    columns = ", ".join(documents.COLUMNS)
    rows = f"LIMIT {condition.bind(limit, 'UInt64')}" + (f" OFFSET {condition.bind(skip, 'UInt64')}" if skip else "")
    return f"SELECT {columns} FROM {TABLE} WHERE {condition.sql} ORDER BY {order} {rows}"
