"""Tree to SQL: the only place that writes conditions on the log table (with `*_conditions.py`).

Words go through the text index, which is on `lowerUTF8(message)` with the tokenizer `splitByNonAlpha`: conditions are
on the same expression, and the engine folds the word too, so an answer is the same where a part has no index.
"""

import re

from logriver.columns import ALIASES
from logriver.query.language import re2_pattern, repetition
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
    at_condition,
)
from logriver.query.sql import anywhere_conditions, escaping, field_conditions, regex_words
from logriver.query.sql.binding import Condition

__all__ = ["Condition", "condition", "within"]

_FOLDED_MESSAGE = "lowerUTF8(message)"
# The index looks a piece of a word up in its dictionary from so many letters on.
_DICTIONARY_LETTERS = 4
_WORD = re.compile(r"[A-Za-z0-9]+")
# What the index takes for a part of a word, in RE2, of a folded text.
_IN_WORD = r"a-z0-9\x{80}-\x{10ffff}"


def condition(query: Query, materialized: frozenset[str] = frozenset()) -> Condition:
    """The condition that `query` is, the same with whatever fields are materialized.

    Raises `BadQuery` for a value that its column cannot have and for a regular expression that is none.
    """
    made = Condition(materialized)
    made.sql = _sql(query, made)
    return made


def within(query: Query, made: Condition) -> str:
    """SQL for one more condition beside `made`, whose values are bound there. Raises `BadQuery`."""
    return _sql(query, made)


def _sql(query: Query, made: Condition) -> str:
    match query:
        case Everything():
            return "1"
        case Not(of):
            return f"NOT ({_sql(of, made)})"
        case And(parts):
            return " AND ".join(f"({_sql(part, made)})" for part in parts)
        case Or(parts):
            return " OR ".join(f"({_sql(part, made)})" for part in parts)
        case Text(text):
            return words(text, made)
        case Anywhere(value):
            return f"({words(value, made)}) OR {anywhere_conditions.in_fields(value, made)}"
        case _:
            with at_condition(query):
                return _of_field(query, made)


def _of_field(query: Field | Part | Exists | Compare | Range | Regex, made: Condition) -> str:
    match query:
        case Field(name, value):
            return words(value, made) if _is_message(name) else field_conditions.equals(name, value, made)
        case Part(name, pieces):
            made.repeat(len(pieces) - 1)
            in_message = name is None or _is_message(name)
            return _part_of_word(pieces, made) if in_message else field_conditions.part(str(name), pieces, made)
        case Exists(name):
            return field_conditions.exists(name, made)
        case Compare(name, operator, value):
            return field_conditions.compare(name, [(operator, value)], made)
        case Range():
            bounds = bounds_of(query)
            return (
                field_conditions.compare(query.name, bounds, made)
                if bounds
                else field_conditions.exists(query.name, made)
            )
        case Regex(name, pattern):
            made.repeat(repetition.repeated(pattern))
            re2_pattern.compiled(pattern)
            bound = made.bind(pattern)
            # Of constants, so it is computed, and what only the engine refuses is, before any row is looked at.
            checks = [f"isNotNull(match('', {bound}))"]
            if name is None or _is_message(name):
                checks += [words(word, made) for word in regex_words.words_of(pattern)]
            return " AND ".join([*checks, field_conditions.regex(name or "message", bound, made)])


def bounds_of(range: Range) -> list[tuple[str, str]]:
    """The operators and values that a range is made of; none where both ends are open."""
    low = [] if range.low is None else [(">=" if range.with_low else ">", range.low)]
    high = [] if range.high is None else [("<=" if range.with_high else "<", range.high)]
    return low + high


def _is_message(name: str) -> bool:
    return ALIASES.get(name, name) == "message"


def words(text: str, made: Condition) -> str:
    """The words of `text` in order; a text without one, or with letters beyond ASCII, as a part of the message.

    The index takes a run of letters beyond ASCII for one word, whatever stands between them in a language without
    spaces, so only a part finds them all.
    """
    if not text.isascii():
        pattern = made.bind(f"%{escaping.like(text)}%")
        return f"{_FOLDED_MESSAGE} LIKE lowerUTF8({pattern})"
    words = _WORD.findall(text)
    if not words:
        return f"position(message, {made.bind(text)}) > 0"
    if len(words) == 1:
        return f"hasAllTokens({_FOLDED_MESSAGE}, lowerUTF8({made.bind(words[0])}))"
    return f"hasPhrase({_FOLDED_MESSAGE}, lowerUTF8({made.bind(' '.join(words))}))"


def _part_of_word(pieces: tuple[str, ...], made: Condition) -> str:
    """A word of the message that is `pieces` with more of the word between them.

    With punctuation in the pieces, what is between them is anything but spaces. Where the
    text begins or ends with a letter or digit of ASCII, a word does.
    """
    if not any(pieces):
        return "message != ''"
    runs = [run for piece in pieces for run in _WORD.findall(piece) if len(run) >= _DICTIONARY_LETTERS]
    looked_up = f"{_FOLDED_MESSAGE} LIKE lowerUTF8({made.bind(f'%{max(runs, key=len)}%')})" if runs else ""
    if looked_up and len(pieces) == 3 and pieces == ("", max(runs, key=len), ""):
        return looked_up
    matches = f"match({_FOLDED_MESSAGE}, lowerUTF8({made.bind(part_pattern(pieces))}))"
    return f"{looked_up} AND {matches}" if looked_up else matches


def part_pattern(pieces: tuple[str, ...]) -> str:
    """In RE2, still to be folded: where a folded message has a word of these pieces, of which one is not empty."""
    between = f"[{_IN_WORD}]*" if all(piece == "" or _WORD.fullmatch(piece) for piece in pieces) else r"[^\s]*"
    begin = f"(?:^|[^{_IN_WORD}])" if _WORD.match(pieces[0]) else ""
    end = f"(?:$|[^{_IN_WORD}])" if _WORD.match(pieces[-1][-1:]) else ""
    return begin + between.join(map(escaping.regex, pieces)) + end
