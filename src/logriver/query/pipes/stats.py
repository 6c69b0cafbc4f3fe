"""`| stats count() as n, p99(latency) by service`: figures of records, or of the rows of a result, by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.errors import BadQuery
from logriver.query.language.text import aggregate_text, key_text
from logriver.query.language.tree import Aggregate, Bin, key_name
from logriver.query.pipes.pipe import Pipe
from logriver.query.sql import aggregates
from logriver.query.sql.field_sql import Value
from logriver.query.sql.table import Table, order_of
from logriver.query.sql.time_bins import as_time, rounded_down

MAX_GROUPS = 500_000
"""Groups of one `stats` or `top`."""


@dataclass(frozen=True, slots=True)
class Stats(Pipe):
    """No two of the result's columns have the same name."""

    aggregates: tuple[Aggregate, ...]
    by: tuple[str | Bin, ...]

    keyword = "stats"
    example = "| stats count() as n, p99(latency) by service, bin(5m)"
    rule = "aggregates [_BY keys]"
    elsewhere = (("count", "stats count()"),)
    makes_table = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Raises `BadQuery` where two columns would have one name."""
        aggregates, by = parts
        made = cls(aggregates, by or ())
        columns = made.columns(())
        for column in columns:
            if columns.count(column) > 1:
                raise BadQuery(
                    f"two columns are called {column[:60]!r}",
                    position=keyword.start_pos,
                    hint="give one of them another name with 'as'",
                )
        return made

    def text(self) -> str:
        """The aggregates, and what they are grouped by."""
        keys = f" by {', '.join(map(key_text, self.by))}" if self.by else ""
        return f"stats {', '.join(map(aggregate_text, self.aggregates))}{keys}"

    def on_table(self, table: Table) -> Table:
        """A row for each group; one row where there is nothing to group by."""
        keys = {key_name(key): _key(key, table) for key in self.by}
        figures = {aggregate.name: aggregates.figure(aggregate, table) for aggregate in self.aggregates}
        if len(keys | figures) < len(self.by) + len(self.aggregates):
            raise BadQuery("two columns of the result have the same name", hint="give one another name with 'as'")
        columns, selected = {}, []
        for name, value in (keys | figures).items():
            alias = table.alias()
            selected.append(f"{value.sql} AS {alias}")
            columns[name] = Value(alias, value.kind, value.empty_is_none, value.is_level)
        text = f"SELECT {', '.join(selected)} FROM {table.sql}"
        if keys:
            grouped = ", ".join(columns[name].sql for name in keys)
            limits = f"max_rows_to_group_by = {MAX_GROUPS}, group_by_overflow_mode = 'throw'"
            text += f" GROUP BY {grouped} SETTINGS {limits}"
        # What was empty is none from here on, for whatever comes next.
        outer = ", ".join(f"{value.nullable} AS n{value.sql}" for value in columns.values())
        columns = {name: Value(f"n{value.sql}", value.kind, is_level=value.is_level) for name, value in columns.items()}
        return table.result(f"SELECT {outer} FROM ({text})", columns, self._usual_order(columns) if keys else ())

    def columns(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """The keys, then the figures."""
        return (*map(key_name, self.by), *(aggregate.name for aggregate in self.aggregates))

    def record_fields(self) -> tuple[str, ...]:
        """Those that it groups by, then those of the figures."""
        keys = [key for key in self.by if isinstance(key, str)]
        return (*keys, *(aggregate.field for aggregate in self.aggregates if aggregate.field))

    def exact_bytes(self) -> int:
        """What all figures need together."""
        return sum(aggregates.exact_bytes(aggregate) for aggregate in self.aggregates)

    def _usual_order(self, columns: dict[str, Value]) -> tuple[str, ...]:
        """By time if there is one, then by the first figure, the highest first; keys make it the same each time."""
        names = [key_name(key) for key in self.by]
        times = [columns[name].sql for name in names if columns[name].kind == "time"]
        figures = [f"{columns[aggregate.name].sql} DESC" for aggregate in self.aggregates[:1]]
        keys = [key for name in names for key in order_of(columns[name], falls=False)]
        return (*times, *figures, *keys)


def _key(key: str | Bin, table: Table) -> Value:
    if not isinstance(key, Bin):
        return table.value(key)
    time = table.value("timestamp" if table.is_of_records else "bin")
    if time.kind != "time":
        raise BadQuery("'bin' of a result needs its times, in a column 'bin'")
    zone = table.made.bind(table.zone)
    return Value(as_time(rounded_down(time.sql, key.seconds, zone), zone), "time")
