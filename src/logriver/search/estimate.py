"""How much a SELECT would read, without running it: the engine looks at its indexes alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from logriver.search.scheduler import QueryScheduler
from logriver.store.base import Param


@dataclass(frozen=True, slots=True)
class Estimate:
    """At most so many rows, in so many parts and marks (runs of about `store/ddl.py`: `GRANULE_ROWS` rows)."""

    rows: int
    parts: int
    marks: int


async def estimate(scheduler: QueryScheduler, call: str, sql: str, params: Mapping[str, Param]) -> Estimate:
    """What `sql` would read of the log table at most."""
    answer = await scheduler.ask(call, f"EXPLAIN ESTIMATE {sql}", params)
    # One row for a table, of database, table, parts, rows and marks; none where the indexes leave nothing.
    counts = [[int(str(count)) for count in row[2:5]] for row in answer.rows]
    parts, rows, marks = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return Estimate(rows, parts, marks)
