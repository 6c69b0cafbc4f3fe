"""Pipes to SQL: `| stats`, `| top` over the records, then any pipes over the result before, each a SELECT around it.

Figures. Counts and sums are exact. `p50` to `p99` are values that occur, the one at place `int(share * n)` of the
sorted ones, while a query may keep them all; beyond, within 0.1 % of it, in constant memory. `uniq` is exact in the
same way, and within 1 % beyond. Numbers are numbers and texts that are wholly one; others, and records without the
field, are left out.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from logriver.columns import TABLE
from logriver.errors import BadQuery
from logriver.query.language.tree import Aggregate, Bin, Eval, Limit, Pipe, Query, Search, Sort, Stats, Top, Where
from logriver.query.sql import conditions as sql
from logriver.query.sql import expression_sql, field_sql
from logriver.query.sql.binding import Condition
from logriver.query.sql.field_sql import Value

_PERCENTILE_BYTES = 32
"""What a query needs for each record of an exact percentile: the value, twice while its array grows, on two threads."""
_UNIQ_BYTES = 128
"""The same for an exact `uniq`: a hash of 16 bytes, in a table that is a quarter full at least, on two threads."""
MAX_GROUPS = 500_000
"""Groups of one `stats` or `top`."""
MAX_COLUMNS = 100
_MAX_BIN_SECONDS = 3_660 * 86_400

_WEEK_SECONDS = 604_800
_UNITS = (("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60), ("SECOND", 1))
_PERCENTILES = {"p50": "0.5", "p75": "0.75", "p90": "0.9", "p95": "0.95", "p99": "0.99"}
_HINT = "a statistic is like: error | stats count() by service | sort service | limit 10"


@dataclass(frozen=True, slots=True)
class Statistic:
    """A SELECT whose columns are `columns`, in their order; those of the kind `time` are nanoseconds."""

    sql: str
    columns: tuple[tuple[str, field_sql.Kind], ...]


@dataclass(slots=True)
class _Source:
    """What a pipe reads: the records, or the result of the pipes before; `order` of its rows is applied at the end."""

    sql: str
    value: Callable[[str], Value]
    columns: dict[str, Value] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def exact_bytes(pipes: Sequence[Pipe]) -> int:
    """What a query needs for each record that is looked at, for its figures to be exact."""
    functions = [aggregate.function for pipe in pipes if isinstance(pipe, Stats) for aggregate in pipe.aggregates]
    kept = (
        _PERCENTILE_BYTES * (function in _PERCENTILES) + _UNIQ_BYTES * (function == "uniq") for function in functions
    )
    return sum(kept)


def statistic(search: Search, wanted: Condition, zone: str, exact: bool, max_rows: int) -> Statistic:
    """The SELECT that the pipes of `search` are over the records of `wanted`, whose values are bound there.

    One row over `max_rows` is given where there are more. `zone` is a name of the zone database, for `bin`. Raises
    `BadQuery`.
    """
    if not search.pipes or not isinstance(search.pipes[0], Stats | Top):
        with search.at_pipe(0):
            raise BadQuery("statistics begin with the pipe 'stats' or 'top'", hint=_HINT)
    return _Compiler(wanted, zone, exact).run(search, max_rows)


class _Compiler:
    def __init__(self, made: Condition, zone: str, exact: bool) -> None:
        self._made = made
        self._zone = zone
        self._exact = exact
        self._names = (f"c{number}" for number in itertools.count())
        self._records = True

    def run(self, search: Search, max_rows: int) -> Statistic:
        source = _Source(f"{TABLE} WHERE {self._made.sql}", lambda name: field_sql.value(name, self._made))
        for number, pipe in enumerate(search.pipes):
            with search.at_pipe(number):
                source = self._pipe(pipe, source)
            self._records = False
        given = ", ".join(_given(value) for value in source.columns.values())
        order = f" ORDER BY {', '.join(source.order)}" if source.order else ""
        limit = self._made.bind(max_rows + 1, "UInt64")
        return Statistic(
            f"SELECT {given} FROM {source.sql}{order} LIMIT {limit}",
            tuple((name, value.kind) for name, value in source.columns.items()),
        )

    def _pipe(self, pipe: Pipe, source: _Source) -> _Source:
        match pipe:
            case Stats():
                return self._stats(pipe, source)
            case Top(count, name):
                counted = self._stats(Stats((Aggregate("count", None, None, "count"),), (name,)), source)
                return self._limit(count, counted)
            case Where(condition):
                made = expression_sql.condition(condition, source.columns, self._made)
                return _Source(f"(SELECT * FROM {source.sql} WHERE {made})", source.value, source.columns, source.order)
            case Eval(name, value):
                return self._eval(name, expression_sql.value(value, source.columns, self._made), source)
            case Sort(keys):
                columns = [(expression_sql.column(name, source.columns), falls) for name, falls in keys]
                order = [key for value, falls in columns for key in _order(value, falls)]
                return _Source(source.sql, source.value, source.columns, [*order, *source.order])
            case Limit(count):
                return self._limit(count, source)
        name = type(pipe).__name__.lower()
        raise BadQuery(f"the pipe {name!r} has no place in statistics", hint=_HINT)

    def _stats(self, pipe: Stats, source: _Source) -> _Source:
        keys = {_key_name(key): self._key(key, source) for key in pipe.by}
        figures = {aggregate.name: self._aggregate(aggregate, source) for aggregate in pipe.aggregates}
        if len(keys | figures) < len(pipe.by) + len(pipe.aggregates):
            raise BadQuery("two columns of the result have the same name", hint="give one another name with 'as'")
        if len(keys | figures) > MAX_COLUMNS:
            raise BadQuery(f"a result has at most {MAX_COLUMNS} columns")
        columns, selected = {}, []
        for name, value in (keys | figures).items():
            alias = next(self._names)
            selected.append(f"{value.sql} AS {alias}")
            columns[name] = Value(alias, value.kind, value.empty_is_none, value.is_level)
        text = f"SELECT {', '.join(selected)} FROM {source.sql}"
        if keys:
            grouped = ", ".join(columns[name].sql for name in keys)
            limits = f"max_rows_to_group_by = {MAX_GROUPS}, group_by_overflow_mode = 'throw'"
            text += f" GROUP BY {grouped} SETTINGS {limits}"
        # What was empty is none from here on, for whatever comes next.
        outer = ", ".join(f"{value.nullable} AS n{value.sql}" for value in columns.values())
        columns = {name: Value(f"n{value.sql}", value.kind, is_level=value.is_level) for name, value in columns.items()}
        made = f"(SELECT {outer} FROM ({text}))"
        return _Source(made, _of_result(columns), columns, _usual_order(pipe, columns) if keys else [])

    def _key(self, key: str | Bin, source: _Source) -> Value:
        if not isinstance(key, Bin):
            return source.value(key)
        time = source.value("timestamp") if self._records else source.value("bin")
        if time.kind != "time":
            raise BadQuery("'bin' of a result needs its times, in a column 'bin'")
        zone = self._made.bind(self._zone)
        return Value(as_time(rounded_down(time.sql, key.seconds, zone), zone), "time")

    def _aggregate(self, aggregate: Aggregate, source: _Source) -> Value:
        function, only = aggregate.function, self._only(aggregate.only)
        value = source.value(aggregate.field) if aggregate.field is not None else None
        if function == "count":
            there = [only] if only else []
            there += [f"isNotNull({value.nullable})"] if value else []
            return Value(f"countIf({' AND '.join(there)})" if there else "count()", "number")
        if value is None:
            raise BadQuery(f"{function!r} needs a field", hint=f"such as: | stats {function}(latency)")
        suffix, condition = ("If", f", {only}") if only else ("", "")
        if function == "uniq":
            return Value(f"{'uniqExact' if self._exact else 'uniq'}{suffix}({value.nullable}{condition})", "number")
        if value.kind == "time":
            if function not in ("min", "max"):
                raise BadQuery(f"{function!r} of times has no meaning", hint="times have: min, max, count, uniq")
            return Value(f"{function}OrNull{suffix}({value.sql}{condition})", "time")
        if function in _PERCENTILES:
            share = _PERCENTILES[function]
            quantile = f"quantileExact{suffix}({share})" if self._exact else f"quantileDD{suffix}(0.001, {share})"
            return Value(f"{quantile}({value.number}{condition})", "number")
        return Value(f"{function}OrNull{suffix}({value.number}{condition})", "number")

    def _only(self, query: Query | None) -> str:
        if query is None:
            return ""
        if not self._records:
            raise BadQuery("'if (..)' is about records", hint="put 'where' before: | where n > 10 | stats count()")
        return f"({sql.within(query, self._made)})"

    def _eval(self, name: str, value: Value, source: _Source) -> _Source:
        alias = next(self._names)
        columns = {**source.columns, name: Value(alias, value.kind, is_level=value.is_level)}
        if len(columns) > MAX_COLUMNS:
            raise BadQuery(f"a result has at most {MAX_COLUMNS} columns")
        made = f"(SELECT *, {value.sql} AS {alias} FROM {source.sql})"
        return _Source(made, _of_result(columns), columns, source.order)

    def _limit(self, count: int, source: _Source) -> _Source:
        order = f" ORDER BY {', '.join(source.order)}" if source.order else ""
        limit = self._made.bind(count, "UInt64")
        made = f"(SELECT * FROM {source.sql}{order} LIMIT {limit})"
        return _Source(made, source.value, source.columns, source.order)


def rounded_down(time: str, seconds: int, zone: str) -> str:
    """SQL for the start of the bin of `seconds` that `time` lies in; `zone` is SQL too, days begin there at midnight.

    A week begins on Monday, other runs of days are counted from 1970. Raises `BadQuery` for spans nobody needs.
    """
    if not 1 <= seconds <= _MAX_BIN_SECONDS:
        raise BadQuery(f"'bin' takes from 1 s to 10 years, not {seconds} s")
    if seconds == _WEEK_SECONDS:
        interval = "1 WEEK"
    else:
        interval = next(f"{seconds // size} {unit}" for unit, size in _UNITS if seconds % size == 0)
    # Before 1970 the engine cuts fractions of seconds off, which rounds up.
    whole = f"if({time} < toDateTime64(0, 9), {time} - toIntervalNanosecond(999999999), {time})"
    return f"toStartOfInterval({whole}, INTERVAL {interval}, {zone})"


def as_time(rounded: str, zone: str) -> str:
    """SQL for what `rounded_down` gives, which is a date for some intervals, as a time."""
    return f"toDateTime64({rounded}, 9, {zone})"


def _key_name(key: str | Bin) -> str:
    return "bin" if isinstance(key, Bin) else key


def _of_result(columns: dict[str, Value]) -> Callable[[str], Value]:
    return lambda name: expression_sql.column(name, columns)


def _usual_order(pipe: Stats, columns: dict[str, Value]) -> list[str]:
    """By time if there is one, then by the first figure, the highest first; keys make it the same each time."""
    times = [name for name in map(_key_name, pipe.by) if columns[name].kind == "time"]
    keys = [key for name in map(_key_name, pipe.by) for key in _order(columns[name], falls=False)]
    figures = [f"{columns[aggregate.name].sql} DESC" for aggregate in pipe.aggregates[:1]]
    return [*(columns[name].sql for name in times), *figures, *keys]


def _order(value: Value, falls: bool) -> list[str]:
    direction = " DESC" if falls else ""
    if value.is_level:
        return [f"{value.severity}{direction}", f"{value.sql}{direction}"]
    if value.kind == "text":
        return [f"{value.number}{direction}", f"{value.sql}{direction}"]
    return [f"{value.sql}{direction}"]


def _given(value: Value) -> str:
    return f"toUnixTimestamp64Nano({value.sql})" if value.kind == "time" else value.sql
