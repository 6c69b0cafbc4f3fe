"""The SELECT of a statistic: a pipe that makes a table of the records, then any pipes, each a SELECT around it."""

from collections.abc import Sequence
from dataclasses import dataclass

from logriver.errors import BadQuery
from logriver.query.language.tree import Search
from logriver.query.pipes.pipe import Pipe
from logriver.query.sql import field_sql
from logriver.query.sql.binding import Condition
from logriver.query.sql.table import STATISTIC_HINT, Table


@dataclass(frozen=True, slots=True)
class Statistic:
    """A SELECT whose columns are `columns`, in their order; those of the kind `time` are nanoseconds."""

    sql: str
    columns: tuple[tuple[str, field_sql.Kind], ...]


def exact_bytes(pipes: Sequence[Pipe]) -> int:
    """What a query needs for each record that is looked at, for its figures to be exact."""
    return sum(pipe.exact_bytes() for pipe in pipes)


def statistic(search: Search, condition: Condition, zone: str, exact: bool, max_rows: int) -> Statistic:
    """The SELECT that the pipes of `search` are over the records of `condition`, whose values are bound there.

    One row over `max_rows` is given where there are more. `zone` is a name of the zone database, for `bin`. Raises
    `BadQuery`.
    """
    if not search.pipes or not search.pipes[0].makes_table:
        with search.at_pipe(0):
            raise BadQuery("statistics begin with the pipe 'stats' or 'top'", hint=STATISTIC_HINT)
    table = Table.of_records(condition, zone, exact)
    for number, pipe in enumerate(search.pipes):
        with search.at_pipe(number):
            table = pipe.on_table(table)
    return Statistic(
        f"SELECT {table.given()} FROM {table.sql}{table.ordered()} LIMIT {condition.bind(max_rows + 1, 'UInt64')}",
        tuple((name, value.kind) for name, value in table.columns.items()),
    )
