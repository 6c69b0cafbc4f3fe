"""Counts by minute and level of all records of a time. Each part of the table holds its own: any range costs the same.

What the parts' counts do not show is counted by itself, and is little: the pieces of minutes at the ends, and the
records above the watermark, which are taken off. It is one query, so all of it sees the same parts.
"""

from logriver.columns import TABLE
from logriver.query.sql import watermark_sql
from logriver.query.sql.binding import Condition
from logriver.search.filter_sql import time
from logriver.search.time_range import TimeRange
from logriver.store.ddl import MINUTE, MINUTE_NS
from logriver.watermark import Watermark

_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1


def counts(times: TimeRange, watermark: Watermark, made: Condition) -> str | None:
    """SELECT of `minute` (nanoseconds), `level` and `records`, some of them negative; None where no minute is whole.

    Values are bound in `made`.
    """
    first_ns = _FIRST_NS if times.from_ns is None else -(-times.from_ns // MINUTE_NS) * MINUTE_NS
    last_ns = _LAST_NS if times.to_ns is None else times.to_ns // MINUTE_NS * MINUTE_NS
    if first_ns >= last_ns:
        return None
    first, last = made.bind(first_ns, "Int64"), made.bind(last_ns, "Int64")
    hidden = watermark_sql.above(watermark, made.bind)
    ends = []
    if times.from_ns is not None:
        hidden += f" AND timestamp >= {time(made, first_ns)}"
        ends.append(f"timestamp >= {time(made, times.from_ns)} AND timestamp < {time(made, first_ns)}")
    if times.to_ns is not None:
        hidden += f" AND timestamp < {time(made, last_ns)}"
        ends.append(f"timestamp >= {time(made, last_ns)} AND timestamp < {time(made, times.to_ns)}")
    parts = [_counted(f"minute >= {first} AND minute < {last}"), _counted(hidden, sign="-")]
    parts += [_counted(f"{end} AND {watermark_sql.below(watermark, made.bind)}") for end in ends]
    return " UNION ALL ".join(parts)


def _counted(condition: str, sign: str = "") -> str:
    """The projection is taken where the condition is about the minute alone."""
    select = f"SELECT {MINUTE} AS minute, level, {sign}toInt64(count()) AS records"
    return f"{select} FROM {TABLE} WHERE {condition} GROUP BY minute, level"
