"""Histogram: how many records match, by time and by the value of a field."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from logriver import clock
from logriver.columns import ALIASES, TABLE
from logriver.errors import BadQuery
from logriver.query.language import parser
from logriver.query.language.tree import Everything, Query
from logriver.query.sql import field_sql
from logriver.query.sql.binding import Condition
from logriver.query.sql.field_sql import Value
from logriver.query.sql.time_bins import as_time, rounded_down
from logriver.search import buckets, minutes, values, zone
from logriver.search.buckets import DAY, Buckets
from logriver.search.cost import Cost
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.watermark import Watermark

MAX_BUCKETS = 1_000
MAX_KEYS = 20
"""Values with a series of their own; the rest is one together."""
OTHER = "other"
_MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class HistogramRequest:
    """What is asked: at most about `buckets` of them, by the values of the field `by`, days as in `tz`."""

    text: str = ""
    times: TimeRange = ANY_TIME
    buckets: int = 60
    by: str = "level"
    tz: ZoneInfo = zone.UTC


@dataclass(frozen=True, slots=True)
class Key:
    """What the records of a series have in common: a value, none (`text` is None), or one of the `rest`."""

    text: str | None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many records in each bucket, by key, the most frequent first; the times covered, without `to_ns`."""

    buckets: Buckets
    series: dict[Key, list[int]]
    from_ns: int
    to_ns: int
    cost: Cost

    @property
    def total(self) -> int:
        """All records."""
        return sum(sum(counts) for counts in self.series.values())


class Histograms:
    """Answers histograms; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._values = values.FieldValues(scheduler, watermark, materialized)

    async def histogram(self, request: HistogramRequest) -> Histogram:
        """The histogram; an open end is that of all records there are. Raises `BadQuery`, and as `ask` does."""
        cost = Cost()
        query, watermark = parser.parse(request.text).where, self._watermark()
        condition = filter_sql(query, request.times, watermark, self._materialized())
        value = field_sql.value(request.by, condition)
        if value.kind == "time":
            raise BadQuery(f"field {request.by[:60]!r} holds times", hint="take a field with few values for 'by'")
        frequent = None if field_sql.has_few_values(request.by) else await self._frequent(request, cost)
        from_ns, to_ns = await self._ends(request.times, cost)
        made = buckets.buckets(from_ns, to_ns, request.buckets, request.tz)
        counts = _counts(query, request, made, watermark, condition)
        sql = _sum(counts, condition, made) if counts else _sql(condition, value, frequent, made, request.tz)
        rows = cost.add(await self._scheduler.ask("histogram", sql, condition.params)).rows
        counted = ((_key(key, frequent), made.index(int(str(ns)) // clock.SECOND_NS), count) for ns, key, count in rows)
        return Histogram(made, _series(counted, len(made.starts)), from_ns, to_ns, cost)

    async def _frequent(self, request: HistogramRequest, cost: Cost) -> list[str]:
        """The values that get a series: asked for first, so that what is counted after has few groups."""
        found = await self._values.top(values.ValuesRequest(request.by, request.text, request.times, MAX_KEYS))
        cost.rows_read += found.cost.rows_read
        cost.bytes_read += found.cost.bytes_read
        return [text for text, _ in found.counts]

    async def _ends(self, times: TimeRange, cost: Cost) -> tuple[int, int]:
        from_ns, to_ns = times.from_ns, times.to_ns
        if from_ns is None or to_ns is None:
            # Without a condition the engine takes these from the parts' indexes and reads no record.
            first, last = (f"toUnixTimestamp64Nano({end}(timestamp))" for end in ("min", "max"))
            answer = cost.add(await self._scheduler.ask("histogram", f"SELECT {first}, {last} FROM {TABLE}", {}))
            ends = [int(str(end)) for end in answer.rows[0]]
            from_ns = ends[0] if from_ns is None else from_ns
            to_ns = ends[1] + 1 if to_ns is None else to_ns
        return from_ns, max(from_ns, to_ns)


def _counts(
    query: Query, request: HistogramRequest, made: Buckets, watermark: Watermark, condition: Condition
) -> str | None:
    """The SELECT of counts by minute and level, where the histogram can be made of them."""
    # The clocks of some zones once were not whole minutes apart.
    whole_minutes = made.seconds % _MINUTE_SECONDS == 0 and (made.seconds < DAY or request.tz.key == zone.UTC.key)
    if query != Everything() or ALIASES.get(request.by, request.by) != "level" or not whole_minutes:
        return None
    return minutes.counts(request.times, watermark, condition)


def _sum(counts: str, condition: Condition, made: Buckets) -> str:
    """SELECT of bucket, level and count out of counts by minute."""
    utc = condition.bind(zone.UTC.key)
    start = as_time(rounded_down(f"fromUnixTimestamp64Nano(minute, {utc})", made.seconds, utc), utc)
    summed = f"SELECT minute, level, sum(records) AS count FROM ({counts}) GROUP BY minute, level HAVING count > 0"
    return f"SELECT toUnixTimestamp64Nano({start}) AS start, level, sum(count) FROM ({summed}) GROUP BY start, level"


def _sql(condition: Condition, value: Value, frequent: list[str] | None, made: Buckets, tz: ZoneInfo) -> str:
    """SELECT of bucket, key and count. A key is the value itself, or its number among `frequent`, which costs less."""
    zone_sql = condition.bind(tz.key if made.seconds >= DAY else zone.UTC.key)
    key = value.sql
    if frequent is not None:
        listed = f"[{', '.join(map(condition.bind, frequent))}]" if frequent else "emptyArrayString()"
        key = f"if(isNull({value.text}), -1, toInt32(indexOf({listed}, assumeNotNull({value.text}))))"
    start = rounded_down("timestamp", made.seconds, zone_sql)
    columns = f"{start} AS start, {key} AS key, count() AS records"
    grouped = f"SELECT {columns} FROM {TABLE} WHERE {condition.sql} GROUP BY ALL"
    return f"SELECT toUnixTimestamp64Nano({as_time('start', zone_sql)}), key, records FROM ({grouped})"


def _key(given: object, frequent: list[str] | None) -> Key:
    if frequent is None:
        return Key(str(given) or None)
    number = int(str(given))
    if number < 0:
        return Key(None)
    return Key(frequent[number - 1]) if number else Key(OTHER, rest=True)


def _series(counted: Iterable[tuple[Key, int, object]], length: int) -> dict[Key, list[int]]:
    series: dict[Key, list[int]] = defaultdict(lambda: [0] * length)
    for key, bucket, count in counted:
        series[key][bucket] += int(str(count))
    ranked = sorted(series, key=lambda key: (key.rest, -sum(series[key]), key.text or ""))
    rest = Key(OTHER, rest=True)
    kept = {key: series[key] for key in ranked[:MAX_KEYS] if not key.rest}
    others = [series[key] for key in ranked if key not in kept]
    return kept | ({rest: [sum(counts) for counts in zip(*others, strict=True)]} if others else {})
