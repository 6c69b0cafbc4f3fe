"""Rows that match a search text, a page at a time, up to the visible mark."""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.query import escaping, parser
from logriver.query.sql import Condition, condition
from logriver.search import cursor as cursors
from logriver.search import documents
from logriver.search.cursor import Cursor, Order
from logriver.search.desk import Desk

MAX_LIMIT = 10_000
"""Rows of one page."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a search text, the times it covers (`to_ns` exclusive, None is open), and which page."""

    text: str = ""
    from_ns: int | None = None
    to_ns: int | None = None
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

    def __init__(self, desk: Desk, mark: Callable[[], int], promoted: frozenset[str]) -> None:
        self._desk = desk
        self._mark = mark
        self._promoted = promoted

    async def page(self, question: Question) -> Page:
        """One page. With a cursor, times and order are the first page's, whatever the question says.

        Raises `BadQuery` and `BadRequest` for words and cursors that cannot be read, and what `Desk.ask` raises.
        """
        wanted = condition(parser.parse(question.text), self._promoted)
        after = cursors.decode(question.cursor) if question.cursor else None
        place = after or Cursor(self._mark(), question.from_ns, question.to_ns, question.order, 0, "", 0)
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
    conditions = [f"({wanted.sql})", "_seq <= {mark:UInt64}"]
    wanted.params |= {"mark": place.mark, "limit": limit}
    if place.from_ns is not None:
        conditions.append(f"timestamp >= {_time('from')}")
        wanted.params["from"] = place.from_ns
    if place.to_ns is not None:
        conditions.append(f"timestamp < {_time('to')}")
        wanted.params["to"] = place.to_ns
    if after:
        beyond = "<" if place.order == "desc" else ">"
        # The first condition alone is what the primary key is read by.
        conditions.append(f"timestamp {beyond}= {_time('time')}")
        conditions.append(f"(timestamp, _node, _seq) {beyond} ({_time('time')}, {{node:String}}, {{seq:UInt64}})")
        wanted.params |= {"time": place.time_ns, "node": escaping.parameter(place.node), "seq": place.seq}
    columns = ", ".join(documents.COLUMNS)
    order = ", ".join(f"{key} {place.order}" for key in ("timestamp", "_node", "_seq"))
    return f"SELECT {columns} FROM {TABLE} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {{limit:UInt64}}"


def _time(param: str) -> str:
    return f"fromUnixTimestamp64Nano({{{param}:Int64}}, 'UTC')"
