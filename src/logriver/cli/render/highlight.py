"""Which words of a message to mark: those that the search text asks for.

Marks are an ornament, so they are read off the text without the parser, which is the server's; regular expressions,
negated terms and fields other than the message give none.
"""

import re
from collections.abc import Iterator

from logriver.cli.pipes import BACKTICKED, QUOTED, conditions_of
from logriver.columns import ALIASES

_NAME = rf"(?:[A-Za-z_@][\w.@]*|{BACKTICKED})"
_TERM = re.compile(
    rf"(?P<negated>-(?=[\w\"(`])|NOT\b\s*)?"
    rf"(?P<field>{_NAME}?=~(?=\")|(?:{_NAME}|\*):(?!//|[\s:\\]|\Z))?"
    rf"(?:(?P<group>\([^()]*\)|[\[{{][^\]}}]*[\]}}])|(?P<term>\**{QUOTED}\**|[^\s\"]+|\S))",
    re.DOTALL,
)
_OPERATORS = ("AND", "OR", "NOT")
_WORD = re.compile(r"[^\W_]+")
_BEGIN, _END = r"(?<![^\W_])", r"(?![^\W_])"
# Each `*` inside of a word is one more place where matching may have to start anew.
_MOST_STARS_INSIDE = 2


def marks_of(text: str) -> re.Pattern[str] | None:
    """What to mark in messages found by the search text `text`; None for nothing."""
    patterns = sorted(set(_patterns(conditions_of(text))), key=len, reverse=True)
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None


def _patterns(conditions: str) -> Iterator[str]:
    for found in _TERM.finditer(conditions):
        field, group, term = found["field"], found["group"], found["term"]
        if found["negated"] or (field and not _is_message(field)) or term in _OPERATORS:
            continue
        if group:
            yield from _patterns(group[1:-1])
        elif pattern := _pattern(term):
            yield pattern


def _is_message(field: str) -> bool:
    name = field.removesuffix(":").strip("`")
    return ALIASES.get(name, name) == "message"


def _pattern(term: str) -> str:
    """The words of a term in their order; the term itself where it has none. Empty for what has no pattern."""
    plain = term.strip("*")
    is_quoted = plain.startswith('"')
    words = [re.escape(word) for word in _WORD.findall(plain)]
    if not words:
        return re.escape(plain.strip('"'))
    if "*" in plain and not is_quoted:
        if plain.count("*") > _MOST_STARS_INSIDE:
            return ""
        joined = r"[^\W_]*".join(words)
    else:
        joined = r"[\W_]+".join(words)
    return f"{'' if term.startswith('*') else _BEGIN}{joined}{'' if term.endswith('*') else _END}"
