"""Patterns: templates of the messages that match, with counts, first and last seen, and a search text for each."""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.query.language import parser, text
from logriver.query.language.tree import Everything, Query, conjunction
from logriver.query.pipes.patterns import pattern_limit, pattern_select
from logriver.query.sql import templates
from logriver.search.cost import Cost
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.watermark import Watermark

MAX_LIMIT = 1_000
EXACT_ROWS = 1_000_000
"""Of more records that match, a sample of about half as many is looked at."""
_SAMPLED_RUN = 1_024


@dataclass(frozen=True, slots=True)
class PatternsRequest:
    """What is asked: the `limit` most frequent patterns."""

    text: str = ""
    times: TimeRange = ANY_TIME
    limit: int = 100


@dataclass(slots=True)
class Pattern:
    """A template; `query` is the search text for its records, `example` the message of one."""

    template: str
    count: int
    first_ns: int
    last_ns: int
    example: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Patterns, the most frequent first; `records` is how many match in all.

    `sampled` is whether only some were looked at: counts are then scaled up, and first and last seen are of those.
    """

    patterns: list[Pattern]
    records: int
    sampled: bool
    cost: Cost


class PatternList:
    """Finds patterns; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def patterns(self, request: PatternsRequest) -> Found:
        """The patterns. Raises `BadQuery`, and what `QueryScheduler.ask` raises."""
        search = parser.parse(request.text)
        limit = pattern_limit(search, request.limit)
        cost = Cost()
        condition = filter_sql(search.where, request.times, self._watermark(), self._materialized())
        counted = await self._scheduler.ask(
            "patterns", f"SELECT count() FROM {TABLE} WHERE {condition.sql}", condition.params
        )
        records = int(str(cost.add(counted).rows[0][0]))
        one_in = 1 if records <= EXACT_ROWS else -(-2 * records // EXACT_ROWS)
        # Numbers follow each other, and so may logs: a hash of them has no rhythm. Runs of them lie together, so that
        # most messages are not even read.
        sample = f"intHash64(intDiv(_seq, {_SAMPLED_RUN})) % {one_in} = 0" if one_in > 1 else ""
        answer = cost.add(await self._scheduler.ask("patterns", pattern_select(condition, sample), condition.params))
        found = _joined([_pattern(row, one_in) for row in answer.rows])[:limit]
        for pattern in found:
            pattern.query = _query(search.where, pattern.template)
        return Found(found, records, one_in > 1, cost)


def _pattern(row: list[object], one_in: int) -> Pattern:
    template, count, first_ns, last_ns, example = row
    return Pattern(str(template), int(str(count)) * one_in, int(str(first_ns)), int(str(last_ns)), str(example))


def _joined(patterns: list[Pattern]) -> list[Pattern]:
    """Those that are cases of one template together, the most frequent first."""
    wider = templates.merged(pattern.template for pattern in patterns)
    joined: dict[str, Pattern] = {}
    for pattern in patterns:
        pattern.template = wider[pattern.template]
        first = joined.setdefault(pattern.template, pattern)
        if first is not pattern:
            first.count += pattern.count
            first.first_ns = min(first.first_ns, pattern.first_ns)
            first.last_ns = max(first.last_ns, pattern.last_ns)
    return sorted(joined.values(), key=lambda pattern: (-pattern.count, pattern.template))


def _query(query: Query, template: str) -> str:
    parts = [] if query == Everything() else [query]
    parts += templates.words_of(template)
    return text.to_text(conjunction(parts)) if parts else text.to_text(Everything())
