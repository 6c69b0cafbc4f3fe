"""Statistics: a search text with a `| stats` or `| top` pipe, as a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from logriver import clock
from logriver.columns import TABLE
from logriver.errors import QueryTooExpensive
from logriver.query.language import parser
from logriver.query.language.tree import Search
from logriver.query.pipes.statistic import Statistic, exact_bytes, statistic
from logriver.query.pipes.stats import MAX_GROUPS
from logriver.query.sql.binding import Condition
from logriver.search import zone
from logriver.search.cost import Cost
from logriver.search.estimate import estimate
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.search.unknown_fields import fields_of
from logriver.store.base import QueryResult
from logriver.watermark import Watermark

MAX_ROWS = 10_000
"""Rows of one table."""


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """What is asked; `tz` is the zone in which `bin` counts days."""

    text: str
    times: TimeRange = ANY_TIME
    tz: ZoneInfo = zone.UTC


@dataclass(frozen=True, slots=True)
class Table:
    """Names of the columns, rows of numbers, texts, times (RFC 3339) and None.

    `complete` is whether these are all rows, `exact` whether percentiles and `uniq` are. `fields` are those that the
    figures are about.
    """

    columns: list[str]
    rows: list[list[object]]
    complete: bool
    exact: bool
    fields: list[str]
    cost: Cost


class Statistics:
    """Answers statistics; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def table(self, request: StatsRequest) -> Table:
        """The result. Raises `BadQuery`, `QueryTooExpensive` for too many groups, and as `QueryScheduler.ask` does."""
        search = parser.parse(request.text)
        cost = Cost()
        exact = await self._exact(search, request.times, cost)
        condition = self._condition(search, request.times)
        made = statistic(search, condition, request.tz.key, exact, MAX_ROWS)
        answer = cost.add(await self._ask(made, condition))
        return Table(
            columns=[name for name, _ in made.columns],
            rows=[_row(row, made) for row in answer.rows[:MAX_ROWS]],
            complete=len(answer.rows) <= MAX_ROWS,
            exact=exact,
            fields=fields_of(search.pipes),
            cost=cost,
        )

    def sql(self, search: Search, times: TimeRange, tz: ZoneInfo) -> tuple[str, Condition]:
        """The SELECT of a table and what is bound in it, not run. Raises `BadQuery`."""
        condition = self._condition(search, times)
        return statistic(search, condition, tz.key, True, MAX_ROWS).sql, condition

    def _condition(self, search: Search, times: TimeRange) -> Condition:
        return filter_sql(search.where, times, self._watermark(), self._materialized())

    async def _exact(self, search: Search, times: TimeRange, cost: Cost) -> bool:
        """Whether there are few enough rows to keep what exact figures need."""
        bytes_each = exact_bytes(search.pipes)
        if not bytes_each:
            return True
        condition = self._condition(search, times)
        sql = f"SELECT 1 FROM {TABLE} WHERE {condition.sql}"
        looked_at = await estimate(self._scheduler, "stats", sql, condition.params)
        return bytes_each * looked_at.rows <= self._scheduler.query_memory_bytes

    async def _ask(self, made: Statistic, condition: Condition) -> QueryResult:
        try:
            return await self._scheduler.ask("stats", made.sql, condition.params)
        except QueryTooExpensive as error:
            if "GROUP BY" not in error.message:
                raise
            raise QueryTooExpensive(
                f"the statistic has more than {MAX_GROUPS} groups",
                hint="group by a field with fewer values, or narrow the time range or the words",
            ) from None


def _row(row: Sequence[object], made: Statistic) -> list[object]:
    return [
        clock.to_text(int(str(value))) if kind == "time" and value is not None else value
        for value, (_, kind) in zip(row, made.columns, strict=True)
    ]
