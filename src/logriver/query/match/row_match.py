"""Tree to a test of one record in Python: for lines of files that were never stored, with the meaning of the SQL.

What each condition means is said in `sql.py` and the `*_conditions.py` beside it; tests hold both to the same answers.
What only a stored record has (`_id`, `_received` and the like) a line of a file does not have.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from logriver.columns import ALIASES
from logriver.levels import LEVELS, level_of
from logriver.query.language.re2_pattern import compiled
from logriver.query.language.tree import (
    And,
    Anywhere,
    Compare,
    Everything,
    Exists,
    Field,
    Not,
    Or,
    Part,
    Query,
    Range,
    Regex,
    Text,
)
from logriver.query.match.row import Row, number_of
from logriver.query.sql import conditions as sql
from logriver.query.sql.attribute_conditions import exact_number, is_number, long_whole
from logriver.query.sql.field_conditions import kind_of, levels_of, time_ns_of

Holds = Callable[[Row], bool]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WHOLE = re.compile(r"-?[0-9]{1,38}")
_WORD = re.compile(r"[A-Za-z0-9]+")
# What the index takes for a part of a word, in a folded text.
_IN_WORD = r"a-z0-9\u0080-\U0010ffff"
_ANYWHERE = ("_level", "service", "host", "trace_id", "span_id", "_source")


def holds(query: Query) -> Holds:
    """What is true of the records that `query` finds. Raises `BadQuery` for what the engine would refuse."""
    sql.condition(query)
    return _holds(query)


def _holds(query: Query) -> Holds:
    match query:
        case Everything():
            return lambda row: True
        case Not(of):
            inner = _holds(of)
            return lambda row: not inner(row)
        case And(parts):
            every = [_holds(part) for part in parts]
            return lambda row: all(part(row) for part in every)
        case Or(parts):
            some = [_holds(part) for part in parts]
            return lambda row: any(part(row) for part in some)
        case Text(text):
            return _words(text)
        case Anywhere(value):
            return _anywhere(value)
        case _:
            return _of_field(query)


def _of_field(query: Field | Part | Exists | Compare | Range | Regex) -> Holds:
    match query:
        case Field(name, value):
            return _words(value) if _is_message(name) else _equals(name, value)
        case Part(name, pieces):
            return _part_of_word(pieces) if name is None or _is_message(name) else _part(name, pieces)
        case Exists(name):
            return _exists(name)
        case Compare(name, sign, value):
            return _compare(name, [(sign, value)])
        case Range(name):
            bounds = sql.bounds_of(query)
            return _compare(name, bounds) if bounds else _exists(name)
        case Regex(name, pattern):
            return _regex(name or "message", pattern)


def _is_message(name: str) -> bool:
    return ALIASES.get(name, name) == "message"


# -- the message -------------------------------------------------------------------------------------------------------


def _words(text: str) -> Holds:
    """The words of `text` in order; a text without one, or with letters beyond ASCII, as a part of the message."""
    if not text.isascii():
        folded = text.lower()
        return lambda row: folded in row.folded_message
    words = _WORD.findall(text.lower())
    if not words:
        return lambda row: text in row.message
    pattern = re.compile(rf"(?<![{_IN_WORD}]){rf'[^{_IN_WORD}]+'.join(words)}(?![{_IN_WORD}])")
    return lambda row: pattern.search(row.folded_message) is not None


def _part_of_word(pieces: tuple[str, ...]) -> Holds:
    if not any(pieces):
        return lambda row: row.message != ""
    pattern = compiled(sql.part_pattern(pieces).lower())
    return lambda row: pattern.search(row.folded_message) is not None


# -- fields ------------------------------------------------------------------------------------------------------------


def _equals(name: str, value: str) -> Holds:
    column = ALIASES.get(name, name)
    match kind_of(column):
        case "attribute":
            return lambda row: any(_is_value(text, value) for text in row.texts_and_elements(name))
        case "level":
            meaning = level_of(value)
            # What is empty is no level, and no spelling that was sent.
            meant = {meaning} if meaning or not value else set()
            return lambda row: row.columns["level"] in meant or row.columns["_level"] == (value or None)
        case "time" if column == "timestamp":
            time_ns = time_ns_of(name, value)
            return lambda row: row.time_ns == time_ns
        case _:
            return lambda row: row.columns.get(column) == value


def _part(name: str, pieces: tuple[str, ...]) -> Holds:
    if kind_of(ALIASES.get(name, name)) == "level":
        folded = tuple(piece.lower() for piece in pieces)
        return lambda row: any(_is_like(text.lower(), folded) for text in row.texts(name))
    return lambda row: any(_is_like(text, pieces) for text in row.texts_and_elements(name))


def _exists(name: str) -> Holds:
    return lambda row: any(row.texts(name))


def _compare(name: str, bounds: list[tuple[str, str]]) -> Holds:
    column = ALIASES.get(name, name)
    match kind_of(column):
        case "time" if column == "timestamp":
            times = [(_OPERATORS[sign], time_ns_of(name, value)) for sign, value in bounds]
            return lambda row: all(is_so(row.time_ns, time_ns) for is_so, time_ns in times)
        case "level":
            checks = [_level(sign, value) for sign, value in bounds]
            return lambda row: row.columns["level"] != "" and all(check(row) for check in checks)
        case "attribute" if all(is_number(value) for _, value in bounds):
            numbers = [(_OPERATORS[sign], float(value), long_whole(value)) for sign, value in bounds]
            return lambda row: _is_number_so(row.attribute(name), numbers)
        case _:
            texts = [(_OPERATORS[sign], value) for sign, value in bounds]
            return lambda row: any(all(is_so(text, value) for is_so, value in texts) for text in row.texts(name))


def _regex(name: str, pattern: str) -> Holds:
    wanted = compiled(pattern)
    if _is_message(name):
        return lambda row: wanted.search(row.message) is not None
    return lambda row: any(wanted.search(text) is not None for text in row.texts_and_elements(name))


def _anywhere(value: str) -> Holds:
    words = _words(value)
    # Not by the meaning of numbers: whoever looks for 50 does not mean all errors.
    level = value if is_number(value) else level_of(value)

    def is_there(row: Row) -> bool:
        columns = row.columns
        return (
            words(row)
            or columns["level"] == (level or None)
            or any(columns[column] == (value or None) for column in _ANYWHERE)
            or any(_is_value(text, value) for text in row.values())
        )

    return is_there


def _level(sign: str, value: str) -> Holds:
    """By severity; a level that has none is compared as the text that was sent."""
    meaning = level_of(value)
    if meaning not in LEVELS:
        is_so = _OPERATORS[sign]
        return lambda row: is_so(row.sent_level, value)
    levels = frozenset(levels_of(sign, meaning))
    return lambda row: row.columns["level"] in levels


def _is_number_so(text: str | None, checks: list[tuple[Callable[[Any, Any], bool], float, int | None]]) -> bool:
    number = number_of(text)
    if text is None or number is None:
        return False
    whole = int(text) if _WHOLE.fullmatch(text) else None
    return all(
        is_so(number, value) if whole is None or long is None else is_so(whole, long) for is_so, value, long in checks
    )


def _is_value(text: str | None, value: str) -> bool:
    """The text is the value, or both are the same number."""
    if text == value:
        return True
    whole = long_whole(value)
    if whole is not None and text == str(whole):
        return True
    number = exact_number(value)
    return number is not None and number_of(text) == number


def _is_like(text: str, pieces: tuple[str, ...]) -> bool:
    """The text is the pieces with anything between them."""
    first, *between, last = pieces
    end = len(text) - len(last)
    place = len(first)
    if place > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in between:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
