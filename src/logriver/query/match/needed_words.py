"""What must stand in a line for its record to match: words by which lines are passed over without reading them.

Only what is sure is said. A decoder may work out levels, names and numbers, but the words of a message, and ids, it
takes from the line as they stand there.
"""

import re

from logriver.columns import ALIASES
from logriver.query.language.tree import And, Field, Or, Part, Query, Regex, Text
from logriver.query.sql import regex_words

_COPIED = ("message", "trace_id", "span_id")
_WORD = re.compile(r"[A-Za-z0-9]+")

Choices = list[frozenset[str]]
"""Of each set one word, at least."""


def needed_words(query: Query) -> Choices:
    """Words of ASCII letters and digits that each line has, in any case, that matches; the longest first."""
    return sorted(dict.fromkeys(_choices(query)), key=_shortest, reverse=True)


def _choices(query: Query) -> Choices:
    match query:
        case Text(text):
            return _all_of(text)
        case Field(name, value) if ALIASES.get(name, name) in _COPIED:
            return _all_of(value)
        case Part(name, pieces) if name is None or ALIASES.get(name, name) in _COPIED:
            return _all_of(" ".join(pieces))
        case Regex(name, pattern) if name is None or ALIASES.get(name, name) == "message":
            return _all_of(" ".join(regex_words.words_of(pattern)))
        case And(parts):
            return [choice for part in parts for choice in _choices(part)]
        case Or(parts):
            # One of each part, of which that is taken which lets the fewest lines through.
            best = [max(_choices(part), key=_shortest, default=frozenset[str]()) for part in parts]
            return [frozenset().union(*best)] if all(best) else []
        case _:
            return []


def _all_of(text: str) -> Choices:
    return [frozenset({word}) for word in _WORD.findall(text)]


def _shortest(words: frozenset[str]) -> int:
    return min(map(len, words), default=0)
