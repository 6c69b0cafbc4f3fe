"""Rows that match a search text, a page at a time, up to the visible mark."""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.query import parser
from logriver.query.sql import Condition
from logriver.search import cursor as cursors
from logriver.search import documents
from logriver.search.cursor import Cursor, Order
from logriver.search.desk import Desk
from logriver.search.scope import ANY_TIME, Times, time, where

MAX_LIMIT = 10_000
"""Rows of one page."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a search text, the times it covers, and which page."""

    text: str = ""
    times: Times = ANY_TIME
    limit: int = 100
    order: Order = "desc"
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Documents (JSON), the cursor of the next page (None after the last), and the cost."""

    documents: list[bytes]
    cursor: str | None
    rows_read: int
    bytes_read: int


class Search:
    """Answers questions for rows; `promoted` are the keys of fields that have columns in the store."""

    def __init__(self, desk: Desk, mark: Callable[[], int], promoted: Callable[[], frozenset[str]]) -> None:
        self._desk = desk
        self._mark = mark
        self._promoted = promoted

    async def page(self, question: Question) -> Page:
        """One page. With a cursor, times and order are the first page's, whatever the question says.

        Raises `BadQuery` and `BadRequest` for words and cursors that cannot be read, and what `Desk.ask` raises.
        """
        after = cursors.decode(question.cursor) if question.cursor else None
        times = question.times
        place = after or Cursor(self._mark(), times.from_ns, times.to_ns, question.order, 0, "", 0)
        query = parser.parse(question.text).where
        wanted = where(query, Times(place.from_ns, place.to_ns), place.mark, self._promoted())
        # One row more than wanted tells whether there is another page.
        sql = _sql(wanted, place, after is not None, question.limit + 1)
        answer = await self._desk.ask("search", sql, wanted.params)
        rows = answer.rows[: question.limit]
        more = len(answer.rows) > question.limit
        return Page(
            documents=[documents.document(row) for row in rows],
            cursor=cursors.encode(_after(rows[-1], place)) if more else None,
            rows_read=answer.rows_read,
            bytes_read=answer.bytes_read,
        )


def _after(row: list[object], place: Cursor) -> Cursor:
    time_ns, node, seq = row[documents.TIME], row[documents.NODE], row[documents.SEQ]
    return Cursor(place.mark, place.from_ns, place.to_ns, place.order, int(str(time_ns)), str(node), int(str(seq)))


def _sql(wanted: Condition, place: Cursor, after: bool, limit: int) -> str:
    conditions = [wanted.sql]
    if after:
        beyond = "<" if place.order == "desc" else ">"
        place_time = time(wanted, place.time_ns)
        key = f"({place_time}, {wanted.bind(place.node)}, {wanted.bind(place.seq, 'UInt64')})"
        # The first condition alone is what the primary key is read by.
        conditions += [f"timestamp {beyond}= {place_time}", f"(timestamp, _node, _seq) {beyond} {key}"]
    columns = ", ".join(documents.COLUMNS)
    order = ", ".join(f"{key} {place.order}" for key in ("timestamp", "_node", "_seq"))
    rows = wanted.bind(limit, "UInt64")
    return f"SELECT {columns} FROM {TABLE} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {rows}"
