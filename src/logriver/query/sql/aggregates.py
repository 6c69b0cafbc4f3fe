"""Aggregates to SQL over what a pipe reads.

Counts and sums are exact. `p50` to `p99` are values that occur, the one at place `int(share * n)` of the sorted ones,
while a query may keep them all; beyond, within 0.1 % of it, in constant memory. `uniq` is exact in the same way, and
within 1 % beyond. Numbers are numbers and texts that are wholly one; others, and records without the field, are left
out.
"""

from logriver.errors import BadQuery
from logriver.query.language.tree import Aggregate, Query
from logriver.query.sql import conditions
from logriver.query.sql.field_sql import Value
from logriver.query.sql.table import Table

_PERCENTILE_BYTES = 32
"""What a query needs for each record of an exact percentile: the value, twice while its array grows, on two threads."""
_UNIQ_BYTES = 128
"""The same for an exact `uniq`: a hash of 16 bytes, in a table that is a quarter full at least, on two threads."""
_PERCENTILES = {"p50": "0.5", "p75": "0.75", "p90": "0.9", "p95": "0.95", "p99": "0.99"}


def exact_bytes(aggregate: Aggregate) -> int:
    """What a query needs for each record that is looked at, for the figure to be exact."""
    return _PERCENTILE_BYTES * (aggregate.function in _PERCENTILES) + _UNIQ_BYTES * (aggregate.function == "uniq")


def figure(aggregate: Aggregate, table: Table) -> Value:
    """SQL for the figure of a group of rows. Raises `BadQuery`."""
    function, only = aggregate.function, _only(aggregate.only, table)
    value = table.value(aggregate.field) if aggregate.field is not None else None
    if function == "count":
        there = [only] if only else []
        there += [f"isNotNull({value.nullable})"] if value else []
        return Value(f"countIf({' AND '.join(there)})" if there else "count()", "number")
    if value is None:
        raise BadQuery(f"{function!r} needs a field", hint=f"such as: | stats {function}(latency)")
    suffix, condition = ("If", f", {only}") if only else ("", "")
    if function == "uniq":
        return Value(f"{'uniqExact' if table.exact else 'uniq'}{suffix}({value.nullable}{condition})", "number")
    if value.kind == "time":
        if function not in ("min", "max"):
            raise BadQuery(f"{function!r} of times has no meaning", hint="times have: min, max, count, uniq")
        return Value(f"{function}OrNull{suffix}({value.sql}{condition})", "time")
    if function in _PERCENTILES:
        share = _PERCENTILES[function]
        quantile = f"quantileExact{suffix}({share})" if table.exact else f"quantileDD{suffix}(0.001, {share})"
        return Value(f"{quantile}({value.number}{condition})", "number")
    return Value(f"{function}OrNull{suffix}({value.number}{condition})", "number")


def _only(query: Query | None, table: Table) -> str:
    if query is None:
        return ""
    if not table.is_of_records:
        raise BadQuery("'if (..)' is about records", hint="put 'where' before: | where n > 10 | stats count()")
    return f"({conditions.within(query, table.made)})"
