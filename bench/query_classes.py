"""The classes of queries that `queries.py` measures: what is asked, with constants that differ from run to run.

Repeated with the same constants, the engine's cache of conditions would answer, not the engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import urlencode

PROMOTED = ("commit", "metadata.customer", "metadata.latency_ms")
"""The fields that have columns of their own in the second half of the measurement."""

_WORDS = ("timeout", "session", "partition", "percent", "connection", "payload", "worker", "plan", "segment", "expires")
_REGIONS = ("eu-central-1", "us-east-1", "ap-south-1", "sa-east-1")
_RANGE_SECONDS = 1_800


@dataclass(frozen=True, slots=True)
class Records:
    """What the stored records hold: some of them as given back, and their first and last time in epoch seconds."""

    some: list[dict[str, str]]
    first: int
    last: int


Ask = Callable[[Random, Records], str]
"""Gives the path of a call."""


@dataclass(frozen=True, slots=True)
class QueryClass:
    """A class of queries. `at_most_ms` is its floor, if any; `promoted`: its fields have columns of their own."""

    key: str
    label: str
    at_most_ms: float | None
    ask: Ask
    promoted: bool = False


def _search(text: str, **more: object) -> str:
    return f"/api/v1/search?{urlencode({'q': text, 'limit': 50, **more})}"


def _stats(text: str) -> str:
    return f"/api/v1/stats?{urlencode({'q': text})}"


def _newest(draw: Random, records: Records) -> str:
    return _search("")


def _rare_word(draw: Random, records: Records) -> str:
    return _search(str(draw.randint(10_000, 99_999)))


def _common_word(draw: Random, records: Records) -> str:
    return _search(draw.choice(_WORDS))


def _word_field_range(draw: Random, records: Records) -> str:
    begin = draw.randint(records.first, records.last - _RANGE_SECONDS)
    text = f"{draw.choice(_WORDS)} metadata.region:{draw.choice(_REGIONS)}"
    return _search(text, **{"from": begin, "to": begin + _RANGE_SECONDS})


def _trace(draw: Random, records: Records) -> str:
    return _search(f"traceId:{draw.choice(records.some)['trace_id']}")


def _span(draw: Random, records: Records) -> str:
    return _search(f"spanId:{draw.choice(records.some)['span_id']}")


def _resource(draw: Random, records: Records) -> str:
    return _search(f"resourceId:server-{draw.randrange(2000):04}")


def _rare_value(draw: Random, records: Records) -> str:
    return _search(f"commit:{draw.choice(records.some)['commit']}")


def _histogram(draw: Random, records: Records) -> str:
    return f"/api/v1/histogram?by=level&buckets={draw.randint(50, 70)}"


def _top(draw: Random, records: Records) -> str:
    return f"/api/v1/fields/metadata.customer/values?limit={draw.randint(10, 20)}"


def _compared(draw: Random, records: Records) -> str:
    return _stats(f"metadata.latency_ms:>{draw.uniform(4_000, 5_000):.3f} | stats count()")


def _percentile(draw: Random, records: Records) -> str:
    return _stats(f"| stats p99(metadata.latency_ms) by metadata.customer | limit {draw.randint(50, 90)}")


def _regex(draw: Random, records: Records) -> str:
    return _stats(rf'=~"account {draw.randrange(256)} .*bus[a-z]+$" | stats count()')


def _context(draw: Random, records: Records) -> str:
    return f"/api/v1/context?{urlencode({'id': draw.choice(records.some)['_id'], 'before': 20, 'after': 20})}"


def _patterns(draw: Random, records: Records) -> str:
    return f"/api/v1/patterns?limit={draw.randint(10, 100)}"


CLASSES = (
    QueryClass("newest", "newest 50", 15, _newest),
    QueryClass("rare_word", "rare word, newest 50", 25, _rare_word),
    QueryClass("common_word", "common word, newest 50", 25, _common_word),
    QueryClass("range", "word, attribute and half an hour, newest 50", 40, _word_field_range),
    QueryClass("trace", "traceId", 25, _trace),
    QueryClass("span", "spanId", 150, _span),
    QueryClass("resource", "resourceId, newest 50", 150, _resource),
    QueryClass("rare_value", "rare value of an attribute", 2_500, _rare_value),
    QueryClass("histogram", "histogram by level over all", 250, _histogram),
    QueryClass("top", "top 10 of an attribute", 2_000, _top),
    QueryClass("percentile", "p99 of an attribute by another", 3_000, _percentile),
    QueryClass("compared", "number of an attribute compared, counted", None, _compared),
    QueryClass("regex", "regular expression over all messages, counted", 600, _regex),
    QueryClass("context", "20 lines before and after one", 30, _context),
    QueryClass("patterns", "patterns over all", 3_000, _patterns),
    QueryClass("promoted_rare_value", "rare value of a promoted attribute", 150, _rare_value, promoted=True),
    QueryClass("promoted_top", "top 10 of a promoted attribute", 250, _top, promoted=True),
    QueryClass("promoted_percentile", "p99 of a promoted attribute by another", 350, _percentile, promoted=True),
)
