"""How many records can be found."""

from collections.abc import Callable

from logriver.columns import TABLE
from logriver.search.desk import Desk


class Status:
    """Counts of the store, for the status call."""

    def __init__(self, desk: Desk, mark: Callable[[], int]) -> None:
        self._desk = desk
        self._mark = mark

    async def stored(self) -> int:
        """Records that a search can find now: those up to the visible mark.

        All that are there less those above the mark: the first is in the parts' headers, the second in the newest
        parts, so the count does not read what is old.
        """
        above = f"SELECT count() FROM {TABLE} WHERE _seq > {{mark:UInt64}}"
        sql = f"SELECT (SELECT count() FROM {TABLE}) - ({above})"
        answer = await self._desk.ask("status", sql, {"mark": self._mark()})
        return int(str(answer.rows[0][0]))
