"""Conditions on fields: what each kind of column means by a value, a part, a comparison and a pattern."""

import re
from collections.abc import Sequence
from typing import Literal

from logriver import clock
from logriver.columns import ALIASES, COLUMNS
from logriver.errors import BadQuery
from logriver.levels import LEVELS, level_of
from logriver.query import ids
from logriver.query.sql import attribute_conditions, escaping
from logriver.query.sql.binding import Condition

Kind = Literal["attribute", "text", "level", "id", "time", "count"]

_TYPES = {column.name: column.type for column in COLUMNS if column.name != "attributes"}
# As times are given back: with a T, a Z and no needless digits.
_TIME_TEXT = r"concat(replaceRegexpOne(replaceOne(toString({column}), ' ', 'T'), '\\.?0*$', ''), 'Z')"
_ID_TEXT = "concat(_node, '-', toString(_seq))"
_SENT_LEVEL = "if(_level = '', level, _level)"
_MAX_COUNT = 2**63


def kind_of(column: str) -> Kind:
    """What a column, or any other field, holds."""
    if column == "level":
        return "level"
    if column == "_id":
        return "id"
    column_type = _TYPES.get(column, "")
    if column_type.startswith("DateTime64"):
        return "time"
    if column_type.startswith("UInt"):
        return "count"
    return "text" if column_type else "attribute"


def equals(name: str, value: str, made: Condition) -> str:
    """The field has exactly this value; a level has this meaning or was spelled so."""
    column = ALIASES.get(name, name)
    match kind_of(column):
        case "attribute":
            return attribute_conditions.equals(name, value, made)
        case "level":
            return _is_level(value, made)
        case "id":
            return _is_id(value, made)
        case "time":
            return f"{column} = {_time(name, value, made)}"
        case "count":
            return f"{column} = {made.bind(int(value), 'UInt64')}" if re.fullmatch(r"[0-9]{1,19}", value) else "0"
        case "text":
            return f"{column} = {made.bind(value)}"


def _is_level(value: str, made: Condition) -> str:
    meaning = level_of(value)
    # What is empty is no level, and no spelling that was sent.
    is_meant = [f"level = {made.bind(meaning)}"] if meaning or not value else []
    return " OR ".join(is_meant + ([f"_level = {made.bind(value)}"] if value else []))


def part(name: str, pieces: tuple[str, ...], made: Condition) -> str:
    """The whole value is `pieces` with anything between them; of a level in any case."""
    column = ALIASES.get(name, name)
    kind = kind_of(column)
    if kind == "attribute":
        return attribute_conditions.part(name, pieces, made)
    pattern = made.bind("%".join(map(escaping.like, pieces)))
    if kind == "level":
        folded = f"LIKE lowerUTF8({pattern})"
        return _present("level", f"lowerUTF8(level) {folded} OR lowerUTF8({_SENT_LEVEL}) {folded}")
    return _present(column, f"{_text(column, kind)} LIKE {pattern}")


def exists(name: str, made: Condition) -> str:
    """The field is there and not empty."""
    column = ALIASES.get(name, name)
    kind = kind_of(column)
    if kind == "attribute":
        return attribute_conditions.exists(name, made)
    return f"{column} != ''" if kind in ("text", "level") else "1"


def compare(name: str, bounds: list[tuple[str, str]], made: Condition) -> str:
    """Each operator with its value holds: times as times, levels by severity, numbers as numbers, others as texts."""
    column = ALIASES.get(name, name)
    match kind_of(column):
        case "attribute":
            return attribute_conditions.compare(name, bounds, made)
        case "time":
            checks = [f"{column} {operator} {_time(name, value, made)}" for operator, value in bounds]
        case "count":
            checks = [f"{column} {operator} {_count(name, value, made)}" for operator, value in bounds]
        case "level":
            return _present("level", " AND ".join(_level(operator, value, made) for operator, value in bounds))
        case "text" | "id" as kind:
            texts = [f"{_text(column, kind)} {operator} {made.bind(value)}" for operator, value in bounds]
            return _present(column, " AND ".join(texts))
    return " AND ".join(checks)


def regex(name: str, pattern: str, made: Condition) -> str:
    """`pattern` (SQL) matches anywhere in the value; of a level in its meaning or its spelling."""
    column = ALIASES.get(name, name)
    kind = kind_of(column)
    if kind == "attribute":
        return attribute_conditions.regex(name, pattern, made)
    if kind == "level":
        return _present("level", f"match(level, {pattern}) OR match({_SENT_LEVEL}, {pattern})")
    return _present(column, f"match({_text(column, kind)}, {pattern})")


def _text(column: str, kind: Kind) -> str:
    if kind == "id":
        return _ID_TEXT
    if kind == "time":
        return _TIME_TEXT.format(column=column)
    return f"toString({column})" if kind == "count" else column


def _present(column: str, check: str) -> str:
    """An empty column is a field that is not there; only of the message an empty text is one."""
    return f"{column} != '' AND ({check})" if kind_of(column) in ("text", "level") and column != "message" else check


def _is_id(value: str, made: Condition) -> str:
    found = ids.decode(value)
    if found is None:
        return "0"
    node, seq = found
    return f"_seq = {made.bind(seq, 'UInt64')} AND _node = {made.bind(node)}"


def _time(name: str, value: str, made: Condition) -> str:
    return f"fromUnixTimestamp64Nano({made.bind(time_ns_of(name, value), 'Int64')}, 'UTC')"


def time_ns_of(name: str, value: str) -> int:
    """A time as RFC 3339 or an epoch number. Not by the clock: the pages of a search would each have another.

    Raises `BadQuery`.
    """
    day_ns = clock.from_day(value)
    if day_ns is not None:
        return day_ns
    try:
        number = float(value) if "." in value else int(value)
    except ValueError:
        number = None
    try:
        return clock.from_text(value) if number is None else clock.from_number(number)
    except (ValueError, OverflowError) as error:
        hint = "times in a condition are like 2023-09-15T08:00:00Z or 1694764800"
        raise BadQuery(f"field {name[:60]!r}: {error}", hint=hint) from None


def _count(name: str, value: str, made: Condition) -> str:
    if not attribute_conditions.is_finite(value):
        raise BadQuery(f"field {name[:60]!r} compares with numbers, not with {value[:60]!r}")
    if re.fullmatch(r"[0-9]{1,19}", value) and int(value) < _MAX_COUNT:
        return made.bind(int(value), "UInt64")
    return made.bind(float(value), "Float64")


def _level(operator: str, value: str, made: Condition) -> str:
    """By severity; a level that has none is compared as the text that was sent."""
    meaning = level_of(value)
    if meaning not in LEVELS:
        return f"{_SENT_LEVEL} {operator} {made.bind(value)}"
    fulfilling = levels_of(operator, meaning)
    return f"level IN ({', '.join(map(made.bind, fulfilling))})" if fulfilling else "0"


def levels_of(operator: str, meaning: str) -> Sequence[str]:
    """The levels that are so by severity; `meaning` is one of `LEVELS`."""
    rank = LEVELS.index(meaning)
    return {
        "<": LEVELS[:rank],
        "<=": LEVELS[: rank + 1],
        ">": LEVELS[rank + 1 :],
        ">=": LEVELS[rank:],
    }[operator]
