"""Customer statistics over the records of format `api_requests`: counts, uptime and exact latencies.

Everything is computed in the engine in one query: requests are first counted per latency (there are few different
ones, so memory does not grow with the number of requests), and ranks are then found by running sums over the sorted
latencies. Figures are rounded to 5 places here, by the rule that `round` has.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from logriver import clock
from logriver.columns import TABLE
from logriver.errors import NotFound, Unprocessable
from logriver.query.sql import escaping, watermark_sql
from logriver.query.sql.binding import Condition
from logriver.search.scheduler import QueryScheduler
from logriver.store.base import Param
from logriver.watermark import Watermark

CACHE_SECONDS = 2.0
_MAX_CACHED = 1_000
_PLACES = 5
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)

Figures = dict[str, object]

# The texts of a request's fields, out of JSON. Looking for bytes is much cheaper than reading JSON. The decoder of the
# format writes its keys without escapes; a customer's name stands there as it is, unless the text holds escapes.
_OUT_OF_JSON = """
SELECT timestamp, fields.customer AS customer, fields.status AS status, fields.latency_seconds AS latency
FROM (SELECT timestamp, JSONExtract(attributes, '{fields}') AS fields FROM {table} PREWHERE {scope} AND {may_be})
"""
_FIELDS = "Tuple(customer Nullable(String), status Nullable(String), latency_seconds Nullable(String))"
_IS_REQUEST = """position(attributes, '"latency_seconds"') > 0 AND position(attributes, '"customer"') > 0"""
_MAY_BE_CUSTOMERS = "(position(attributes, {customer:String}) > 0 OR position(attributes, '\\\\') > 0)"

# The same texts where all three fields have columns of their own, at a fifth of the cost.
_OUT_OF_COLUMNS = """
SELECT timestamp, {customer} AS customer, {status} AS status, {latency} AS latency FROM {table} WHERE {scope}
"""
_NAMES = ("customer", "status", "latency_seconds")

_TIMES = """timestamp >= fromUnixTimestamp64Nano({from:Int64}, 'UTC')
 AND timestamp < fromUnixTimestamp64Nano({to:Int64}, 'UTC')"""

_PER_LATENCY = """
SELECT {keys} toFloat64OrNull(latency) AS seconds, count() AS requests,
       countIf(toInt64OrNull(status) < 400) AS successful
FROM ({texts})
WHERE customer != '' AND isNotNull(toInt64OrNull(status)) AND isFinite(seconds) AND {whose}
GROUP BY ALL
"""

# One row for everything, and one for each value of each key, with the other key empty.
_FIGURES = """
WITH arrayCumSum(arrayMap(pair -> pair.2, pairs)) AS up_to,
     intDiv(total, 2) AS median_index,
     if(total >= 100, toInt64(total * 0.99), toInt64(total)) - 1 AS p99_index
SELECT customer, day, total, ok, sum_seconds / total AS average,
       arrayFirst((pair, n) -> n > median_index, pairs, up_to).1 AS median,
       arrayFirst((pair, n) -> n > p99_index, pairs, up_to).1 AS p99
FROM (SELECT {customer} AS customer, {day} AS day, sum(requests) AS total, sum(successful) AS ok,
             sumKahan(seconds * requests) AS sum_seconds,
             arraySort(groupArray((assumeNotNull(seconds), requests))) AS pairs
      FROM ({per_latency})
      GROUP BY GROUPING SETS ({sets}))
WHERE total > 0
ORDER BY day, customer
"""

_CUSTOMER_KEY = "assumeNotNull(customer)"
_DAY_KEY = "toString(toDate32(timestamp))"


@dataclass(frozen=True, slots=True)
class Request:
    """Whose statistics (None is everybody's, with each customer's), from which day (UTC), with each day's or not."""

    customer: str | None
    from_date: str
    daily: bool = False


class CustomerStatistics:
    """Answers statistics, equal requests within two seconds from a cache."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._cached: dict[Request, tuple[float, Figures]] = {}

    async def figures(self, request: Request) -> Figures:
        """The statistics from that day, 00:00 UTC, to now.

        Raises `Unprocessable` for a date that is none or in the future, `NotFound` where there are no requests.
        """
        now_ns = clock.now_ns()
        from_ns = _start_of_day(request.from_date, now_ns)
        cached = self._cached.get(request)
        if cached and cached[0] > clock.monotonic():
            return cached[1]
        figures = await self._compute(request, from_ns, now_ns)
        if len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
        self._cached[request] = (clock.monotonic() + CACHE_SECONDS, figures)
        return figures

    async def _compute(self, request: Request, from_ns: int, to_ns: int) -> Figures:
        made = Condition(self._materialized())
        made.sql = f"{_TIMES} AND {watermark_sql.below(self._watermark(), made.bind)}"
        params: dict[str, Param] = {"from": from_ns, "to": to_ns}
        if request.customer is not None:
            params["customer"] = escaping.parameter(request.customer)
        answer = await self._scheduler.ask("customers", _sql(request, made), params | made.params)
        total: Figures = {}
        days: list[Figures] = []
        customers: list[Figures] = []
        for row in answer.rows:
            customer, day = str(row[0]), str(row[1])
            if day:
                days.append({"date": day} | _figures(row))
            elif customer:
                customers.append({"customer": customer} | _figures(row))
            else:
                total = _figures(row)
        if not total:
            raise NotFound(_nothing(request))
        if request.daily:
            total["daily"] = days
        if request.customer is None:
            total["customers"] = customers
        return total


def _sql(request: Request, made: Condition) -> str:
    everybody = request.customer is None
    keys = {"customer_key": _CUSTOMER_KEY} if everybody else {}
    if request.daily:
        keys["day_key"] = _DAY_KEY
    per_latency = _PER_LATENCY.format(
        keys="".join(f"{key} AS {name}, " for name, key in keys.items()),
        texts=_texts(everybody, made),
        whose="1" if everybody else "customer = {customer:String}",
    )
    return _FIGURES.format(
        per_latency=per_latency,
        customer="customer_key" if everybody else "''",
        day="day_key" if request.daily else "''",
        sets=", ".join(["()", *(f"({name})" for name in keys)]),
    )


def _texts(everybody: bool, made: Condition) -> str:
    """SQL for the times and the texts of the three fields of whatever may be a request."""
    columns = [columns for name in _NAMES if (columns := made.columns_of(name))]
    if len(columns) == len(_NAMES):
        customer, status, latency = (text for text, _ in columns)
        return _OUT_OF_COLUMNS.format(customer=customer, status=status, latency=latency, table=TABLE, scope=made.sql)
    may_be = _IS_REQUEST if everybody else f"{_IS_REQUEST} AND {_MAY_BE_CUSTOMERS}"
    return _OUT_OF_JSON.format(fields=_FIELDS, table=TABLE, scope=made.sql, may_be=may_be)


def _figures(row: list[object]) -> Figures:
    total, successful = int(str(row[2])), int(str(row[3]))
    average, median, p99 = (round(float(str(value)), _PLACES) for value in row[4:7])
    return {
        "total_requests": total,
        "successful_requests": successful,
        "failed_requests": total - successful,
        "uptime": round(100 * successful / total, _PLACES),
        "average_latency": average,
        "median_latency": median,
        "p99_latency": p99,
    }


def _start_of_day(text: str, now_ns: int) -> int:
    found = _DATE.fullmatch(text)
    try:
        start_ns = clock.days_ns(*map(int, found.groups())) if found else None
    except ValueError:
        start_ns = None
    if start_ns is None:
        raise Unprocessable(f"from_date is not a date like 2024-09-14: {text[:60]!r}")
    if start_ns > now_ns:
        raise Unprocessable(f"from_date is in the future: {text!r}")
    return max(start_ns, clock.MIN_TIME_NS)


def _nothing(request: Request) -> str:
    whose = "" if request.customer is None else f" of customer {request.customer[:60]!r}"
    return f"no requests{whose} since {request.from_date}"
