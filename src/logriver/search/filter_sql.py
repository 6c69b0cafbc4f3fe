"""Which records a request is about: a search text, times, and the watermark, as one WHERE for all use cases."""

from logriver.query.language.tree import Query
from logriver.query.sql import watermark_sql
from logriver.query.sql.conditions import Condition, condition
from logriver.search.time_range import TimeRange
from logriver.watermark import Watermark


def filter_sql(query: Query, times: TimeRange, watermark: Watermark | None, materialized: frozenset[str]) -> Condition:
    """The WHERE of records that match, lie within `times` and are not above the watermark, where one is given.

    Further values are bound with its `bind`. Raises `BadQuery` for a value that its column cannot have.
    """
    made = condition(query, materialized)
    conditions = [f"({made.sql})"]
    if watermark is not None:
        # `identity` hides the number from its index: nearly every record is below, and a look costs more than it saves.
        conditions.append(watermark_sql.below(watermark, made.bind, "identity(_seq)"))
    if times.from_ns is not None:
        conditions.append(f"timestamp >= {time(made, times.from_ns)}")
    if times.to_ns is not None:
        conditions.append(f"timestamp < {time(made, times.to_ns)}")
    made.sql = " AND ".join(conditions)
    return made


def time(made: Condition, time_ns: int) -> str:
    """SQL for a time, bound."""
    return f"fromUnixTimestamp64Nano({made.bind(time_ns, 'Int64')}, 'UTC')"
