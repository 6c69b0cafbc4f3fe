"""What a pipe of a statistic reads and gives: the records, or the result of the pipes before, to select from."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from logriver.columns import TABLE
from logriver.errors import BadQuery
from logriver.query.sql import expression_sql, field_sql
from logriver.query.sql.binding import Condition
from logriver.query.sql.field_sql import Value

MAX_COLUMNS = 100
STATISTIC_HINT = "a statistic is like: error | stats count() by service | sort service | limit 10"


def _aliases() -> Iterator[str]:
    return (f"c{number}" for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Table:
    """`sql` stands after FROM; `columns` are those of the result, by name; `order` of its rows is applied at the end.

    All tables of a statistic share `made`, where values are bound, the `zone` of `bin` and whether figures are `exact`.
    """

    sql: str
    made: Condition
    zone: str
    exact: bool
    is_of_records: bool
    columns: Mapping[str, Value] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    _aliases: Iterator[str] = field(default_factory=_aliases)

    @classmethod
    def of_records(cls, condition: Condition, zone: str, exact: bool) -> Self:
        """The records that fulfil `condition`."""
        return cls(f"{TABLE} WHERE {condition.sql}", condition, zone, exact, is_of_records=True)

    def value(self, name: str) -> Value:
        """The value of the field or column `name`. Raises `BadQuery`."""
        return field_sql.value(name, self.made) if self.is_of_records else expression_sql.column(name, self.columns)

    def alias(self) -> str:
        """A name in SQL for one more column."""
        return next(self._aliases)

    def ordered(self) -> str:
        """The ORDER BY of its rows, with a space before it; empty where they have none."""
        return f" ORDER BY {', '.join(self.order)}" if self.order else ""

    def given(self) -> str:
        """What a SELECT gives of its columns: times as nanoseconds."""
        return ", ".join(
            f"toUnixTimestamp64Nano({value.sql})" if value.kind == "time" else value.sql
            for value in self.columns.values()
        )

    def around(self, select: str) -> Self:
        """The result of a SELECT from this table that leaves columns and order as they are."""
        return replace(self, sql=f"({select})")

    def result(self, select: str, columns: Mapping[str, Value], order: tuple[str, ...]) -> Self:
        """The result of a SELECT from this table that gives `columns`. Raises `BadQuery` for too many."""
        if len(columns) > MAX_COLUMNS:
            raise BadQuery(f"a result has at most {MAX_COLUMNS} columns")
        return replace(self, sql=f"({select})", columns=columns, order=order, is_of_records=False)


def order_of(value: Value, falls: bool) -> tuple[str, ...]:
    """SQL of the order by a column: levels by severity, texts that are numbers as those."""
    direction = " DESC" if falls else ""
    if value.is_level:
        return (f"{value.severity}{direction}", f"{value.sql}{direction}")
    if value.kind == "text":
        return (f"{value.number}{direction}", f"{value.sql}{direction}")
    return (f"{value.sql}{direction}",)
