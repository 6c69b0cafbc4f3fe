"""The distinct values of a field, for a list to choose from, up to the watermark.

Everything is read once; after that only what was added since the last question, found by its `_seq`, so a question
costs the same however many records there are. Once retention removes a slice, everything is read again.
"""

from collections.abc import Callable

import anyio

from logriver.columns import TABLE
from logriver.query.language.tree import Everything
from logriver.query.sql import watermark_sql
from logriver.query.sql.conditions import Condition
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME
from logriver.watermark import Watermark

MAX_VALUES = 10_000
MAX_VALUE_BYTES = 256
"""Longer values are nothing to choose from a list and are left out."""


class Distinct:
    """Keeps the values of one field, the first `MAX_VALUES` that it meets.

    `value` gives SQL for the field's text; empty and NULL count as absent.
    """

    def __init__(
        self,
        scheduler: QueryScheduler,
        watermark: Callable[[], Watermark],
        materialized: Callable[[], frozenset[str]],
        value: Callable[[Condition], str],
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._value = value
        self._one_at_a_time = anyio.Lock()
        self._first_slice = 0
        self._seen = Watermark()
        self._values: dict[str, None] = {}

    async def values(self) -> list[str]:
        """All values, those met first before later ones. Raises what `QueryScheduler.ask` raises."""
        async with self._one_at_a_time:
            await self._forget_what_was_removed()
            watermark = self._watermark()
            if watermark.is_ahead_of(self._seen) and len(self._values) < MAX_VALUES:
                added = await self._added(watermark)
                self._values.update(dict.fromkeys(added[: MAX_VALUES - len(self._values)]))
                self._seen = watermark
            return list(self._values)

    async def _forget_what_was_removed(self) -> None:
        # The least partition is known to the engine without reading a row.
        answer = await self._scheduler.ask("distinct", f"SELECT min(_slice) FROM {TABLE}", {})
        first_slice = int(str(answer.rows[0][0]))
        if first_slice != self._first_slice:
            self._first_slice, self._seen, self._values = first_slice, Watermark(), {}

    async def _added(self, watermark: Watermark) -> list[str]:
        """New values among the records after `_seen` and up to `watermark`, in order of the alphabet."""
        scope = filter_sql(Everything(), ANY_TIME, watermark, self._materialized())
        value = self._value(scope)
        counts = f"value != '' AND length(value) <= {MAX_VALUE_BYTES}"
        sql = (
            f"SELECT arraySort(groupUniqArrayIf({MAX_VALUES})(assumeNotNull(value), ifNull({counts}, 0))) "
            f"FROM (SELECT {value} AS value FROM {TABLE} "
            f"WHERE {scope.sql} AND {watermark_sql.above(self._seen.of_nodes(watermark), scope.bind)})"
        )
        answer = await self._scheduler.ask("distinct", sql, scope.params)
        found: list[str] = answer.rows[0][0]  # type: ignore[assignment]
        return [value for value in found if value not in self._values]
