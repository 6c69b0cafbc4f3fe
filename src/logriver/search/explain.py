"""What a search text means and costs, without asking it: its canonical text, its SQL, and what that would read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.query.language import parser, text
from logriver.query.language.tree import Search
from logriver.query.sql.binding import Condition
from logriver.search import zone
from logriver.search.estimate import Estimate, estimate
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.stats import Statistics
from logriver.search.time_range import TimeRange
from logriver.store.base import Param
from logriver.watermark import Watermark


@dataclass(frozen=True, slots=True)
class Explanation:
    """The text as Logriver reads it, the SELECT with the values that are bound in it, and what it reads at most."""

    text: str
    sql: str
    params: Mapping[str, Param]
    reads: Estimate
    bytes: int


class Explain:
    """Explains search texts."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._statistics = Statistics(scheduler, watermark, materialized)

    async def explain(self, query: str, times: TimeRange) -> Explanation:
        """What `query` means. Raises `BadQuery`, and what `QueryScheduler.ask` raises."""
        search = parser.parse(query)
        sql, condition = self._select(search, times)
        narrowed = filter_sql(search.where, times, self._watermark(), self._materialized())
        records = f"SELECT 1 FROM {TABLE} WHERE {narrowed.sql}"
        reads = await estimate(self._scheduler, "explain", records, narrowed.params)
        return Explanation(text.search_text(search), sql, condition.params, reads, await self._bytes(sql, reads.rows))

    def _select(self, search: Search, times: TimeRange) -> tuple[str, Condition]:
        if any(pipe.makes_table for pipe in search.pipes):
            return self._statistics.sql(search, times, zone.UTC)
        condition = filter_sql(search.where, times, self._watermark(), self._materialized())
        return f"SELECT * FROM {TABLE} WHERE {condition.sql} ORDER BY timestamp DESC, _node DESC, _seq DESC", condition

    async def _bytes(self, sql: str, rows: int) -> int:
        """What so many rows have in the columns that the SQL reads, by the columns' average over the table."""
        sizes = (
            f"SELECT name, data_uncompressed_bytes / (SELECT count() FROM {TABLE}) FROM system.columns "
            f"WHERE database = currentDatabase() AND table = '{TABLE}' AND data_uncompressed_bytes > 0"
        )
        answer = await self._scheduler.ask("explain", sizes, {})
        read = set(re.findall(r"\w+", sql.partition(" ORDER BY ")[0]))
        return round(sum(float(str(size)) for name, size in answer.rows if name in read) * rows)
