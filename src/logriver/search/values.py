"""The values that a field has, the most frequent first, over all records that match."""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.errors import BadQuery
from logriver.query.language import parser
from logriver.query.sql import field_sql
from logriver.search.cost import Cost
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.watermark import Watermark

MAX_LIMIT = 1_000
MAX_COUNTED = 200_000
"""Different values that are counted; of a field with more, those that come later are passed over."""


@dataclass(frozen=True, slots=True)
class ValuesRequest:
    """What is asked: the `limit` most frequent values of `field`."""

    field: str
    text: str = ""
    times: TimeRange = ANY_TIME
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
    """Counts values; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def top(self, request: ValuesRequest) -> Values:
        """The most frequent values. Raises `BadQuery` for a field of times, and as `QueryScheduler.ask` does."""
        condition = filter_sql(parser.parse(request.text).where, request.times, self._watermark(), self._materialized())
        value = field_sql.value(request.field, condition)
        if value.kind == "time":
            raise BadQuery(f"the values of {request.field[:60]!r} are times", hint="a histogram counts times")
        key = field_sql.Value("key", value.kind, value.empty_is_none)
        counted = (
            f"SELECT {key.text} AS key_text, records, sum(records) OVER () AS all_records "
            f"FROM (SELECT {value.sql} AS key, count() AS records FROM {TABLE} WHERE {condition.sql} GROUP BY key "
            f"SETTINGS max_rows_to_group_by = {MAX_COUNTED}, group_by_overflow_mode = 'any') "
            f"WHERE isNotNull({key.nullable})"
        )
        each = field_sql.each_value(request.field, "key_text")
        sql = (
            f"SELECT {each} AS text, sum(records) AS found, count() OVER (), any(all_records) FROM ({counted}) "
            f"GROUP BY text ORDER BY found DESC, text LIMIT {condition.bind(request.limit, 'UInt64')}"
        )
        cost = Cost()
        rows = cost.add(await self._scheduler.ask("values", sql, condition.params)).rows
        distinct, records = (int(str(count)) for count in rows[0][2:]) if rows else (0, 0)
        counts = [(str(text), int(str(count))) for text, count, *_ in rows]
        return Values(counts, distinct, records, distinct < MAX_COUNTED, cost)
