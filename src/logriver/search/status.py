"""How many records can be found."""

from collections.abc import Callable

from logriver.columns import TABLE
from logriver.query.sql import watermark_sql
from logriver.query.sql.binding import Condition
from logriver.search.scheduler import QueryScheduler
from logriver.watermark import Watermark


class Status:
    """Counts of the store, for the status call."""

    def __init__(self, scheduler: QueryScheduler, watermark: Callable[[], Watermark]) -> None:
        self._scheduler = scheduler
        self._watermark = watermark

    async def stored(self) -> int:
        """Records that a search can find now: those up to the watermark.

        All that are there less those above it: the first is in the parts' headers, the second in the newest
        parts, so the count does not read what is old.
        """
        made = Condition()
        above = f"SELECT count() FROM {TABLE} WHERE {watermark_sql.above(self._watermark(), made.bind)}"
        answer = await self._scheduler.ask("status", f"SELECT (SELECT count() FROM {TABLE}) - ({above})", made.params)
        return int(str(answer.rows[0][0]))
