"""What a rule of an earlier system asks for, as a query and times.

Two systems name the same eight keys and mean the same by them. How each writes a rule is read in `rule_bodies.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from logriver import clock
from logriver.errors import BadRequest
from logriver.levels import level_of
from logriver.query.language.tree import And, Everything, Field, Or, Part, Query, Regex, Text, conjunction
from logriver.search import time_range
from logriver.search.time_range import ANY_TIME, TimeRange

MAX_RULES = 100
MAX_TERMS = 500
"""Rules and words together."""
MAX_PART_LENGTH = 1_000
"""Characters of a part that is looked for."""

_FIELDS = {
    "level": "level",
    "message": "message",
    "resourceId": "resourceId",
    "resource": "resourceId",
    "timestamp": "timestamp",
    "traceId": "trace_id",
    "spanId": "span_id",
    "commit": "commit",
    "parentResourceId": "metadata.parentResourceId",
    "metadata.parentResourceId": "metadata.parentResourceId",
}


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """Records that match `query` and lie within `times`."""

    query: Query
    times: TimeRange = ANY_TIME


_EVERYTHING = RuleFilter(Everything())


def equals(key: str, value: str) -> RuleFilter:
    """The message has all words of `value`; any other field is exactly it, the level as it was sent.

    Raises `BadRequest` for a key that is not known, `BadQuery` for a time that is none.
    """
    field = _field(key)
    if field == "message":
        return RuleFilter(_words(value))
    if field == "timestamp":
        return between(key, value, value)
    return RuleFilter(_level(value) if field == "level" else Field(field, value))


def contains(key: str, value: str) -> RuleFilter:
    """`value` is a part of the field, in any case. Raises `BadRequest`."""
    field = _field(key)
    if field == "timestamp":
        raise BadRequest("a timestamp is asked for by 'equals' or 'range', not by 'contains'")
    if len(value) > MAX_PART_LENGTH:
        raise BadRequest(f"a part has at most {MAX_PART_LENGTH} characters, this one has {len(value)}")
    if not value:
        return _EVERYTHING
    if field == "message":
        return RuleFilter(Part(None, ("", value, "")))
    pattern = f"(?i){re.escape(value)}"
    if field == "level":
        return RuleFilter(Or((Regex("_level", pattern), And((Field("_level", ""), Regex("level", pattern))))))
    return RuleFilter(Regex(field, pattern))


def between(key: str, low: str, high: str) -> RuleFilter:
    """The timestamp is `low` or later and `high` or earlier; an empty one is open. Raises `BadRequest`, `BadQuery`."""
    if _field(key) != "timestamp":
        raise BadRequest(f"a range is of 'timestamp', not of {key[:60]!r}")
    now_ns = clock.now_ns()
    from_ns = time_range.parse(key, low, now_ns) if low.strip() else None
    last_ns = time_range.parse(key, high, now_ns) if high.strip() else None
    return RuleFilter(Everything(), TimeRange(from_ns, None if last_ns is None else last_ns + 1))


def all_of(rules: Sequence[RuleFilter]) -> RuleFilter:
    """What all of the rules want. Raises `BadRequest` for too many."""
    if len(rules) > MAX_RULES:
        raise BadRequest(f"at most {MAX_RULES} rules can be combined, not {len(rules)}")
    if not rules:
        return _EVERYTHING
    begins = [rule.times.from_ns for rule in rules if rule.times.from_ns is not None]
    ends = [rule.times.to_ns for rule in rules if rule.times.to_ns is not None]
    query = conjunction([rule.query for rule in rules])
    if isinstance(query, And) and len(query.all) > MAX_TERMS:
        raise BadRequest(f"at most {MAX_TERMS} words can be looked for, not {len(query.all)}")
    return RuleFilter(query, TimeRange(max(begins, default=None), min(ends, default=None)))


def _field(key: str) -> str:
    if key not in _FIELDS:
        raise BadRequest(f"unknown key {key[:60]!r}, known are {', '.join(_FIELDS)}")
    return _FIELDS[key]


def _words(text: str) -> Query:
    """All words of `text`, wherever they stand. A sign alone is a word only where there is nothing else."""
    terms = text.split()
    words = [term for term in dict.fromkeys(terms) if any(map(str.isalnum, term))] or terms
    return conjunction([Text(word) for word in words]) if words else Everything()


def _level(sent: str) -> Query:
    """The level that was sent in this spelling, not in another one of the same meaning."""
    spelled_so = Field("_level", sent)
    if level_of(sent) != sent:
        return spelled_so
    return Or((spelled_so, And((Field("level", sent), Field("_level", "")))))
