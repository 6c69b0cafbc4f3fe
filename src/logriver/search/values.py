"""The values that a field has, the most frequent first, over all records that match."""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.errors import BadQuery
from logriver.query.language import parser
from logriver.query.sql import field_sql
from logriver.search.cost import Cost
from logriver.search.desk import Desk
from logriver.search.scope import ANY_TIME, Times, where
from logriver.watermark import Watermark

MAX_LIMIT = 1_000
MAX_COUNTED = 200_000
"""Different values that are counted; of a field with more, those that come later are passed over."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the `limit` most frequent values of `field`."""

    field: str
    text: str = ""
    times: Times = ANY_TIME
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Values:
    """Values as text with their counts, how many different ones there are, and how many records have one.

    Of a list each element is a value.

    `complete` is whether all were counted; if not, `distinct` and `records` are at least that many.
    """

    counts: list[tuple[str, int]]
    distinct: int
    records: int
    complete: bool
    cost: Cost


class FieldValues:
    """Counts values; `promoted` are the keys of fields that have columns in the store."""

    def __init__(self, desk: Desk, watermark: Callable[[], Watermark], promoted: Callable[[], frozenset[str]]) -> None:
        self._desk = desk
        self._watermark = watermark
        self._promoted = promoted

    async def top(self, question: Question) -> Values:
        """The most frequent values. Raises `BadQuery` for a field that holds times, and what `Desk.ask` raises."""
        wanted = where(parser.parse(question.text).where, question.times, self._watermark(), self._promoted())
        value = field_sql.value(question.field, wanted)
        if value.kind == "time":
            raise BadQuery(f"the values of {question.field[:60]!r} are times", hint="a histogram counts times")
        key = field_sql.Value("key", value.kind, value.empty_is_none)
        counted = (
            f"SELECT {key.text} AS key_text, records, sum(records) OVER () AS all_records "
            f"FROM (SELECT {value.sql} AS key, count() AS records FROM {TABLE} WHERE {wanted.sql} GROUP BY key "
            f"SETTINGS max_rows_to_group_by = {MAX_COUNTED}, group_by_overflow_mode = 'any') "
            f"WHERE isNotNull({key.nullable})"
        )
        each = field_sql.each_value(question.field, "key_text")
        sql = (
            f"SELECT {each} AS text, sum(records) AS found, count() OVER (), any(all_records) FROM ({counted}) "
            f"GROUP BY text ORDER BY found DESC, text LIMIT {wanted.bind(question.limit, 'UInt64')}"
        )
        cost = Cost()
        rows = cost.add(await self._desk.ask("values", sql, wanted.params)).rows
        distinct, records = (int(str(count)) for count in rows[0][2:]) if rows else (0, 0)
        counts = [(str(text), int(str(count))) for text, count, *_ in rows]
        return Values(counts, distinct, records, distinct < MAX_COUNTED, cost)
