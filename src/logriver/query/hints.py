"""What a search text that finds nothing may have been meant to be, as far as the text alone tells."""

import re

from logriver.columns import RESERVED
from logriver.errors import BadQuery
from logriver.query import lexer, parser
from logriver.query.text import value_text
from logriver.query.tree import PLAIN_NAME, Query, Search

_OPERATORS = {"and": "AND", "or": "OR", "not": "NOT", "&&": "AND", "||": "OR"}
_BEFORE_A_VALUE = ("FIELD", "ANY", "MATCHES", "COMPARE", "RANGE_OPEN", "_TO")
_COMPARISON = re.compile(rf"({PLAIN_NAME.pattern})(==?|!=|>=?|<=?)([^=<>].*)")
_PIPES = {"head": "limit", "take": "limit", "project": "fields", "keep": "fields", "order": "sort"}
_PIPES |= {name: name for name in ("sort", "limit", "fields")}
_PIPE = re.compile(r"(\|\s*)([A-Za-z]+)(?=\s)")
_QUOTES = "\"'"


def other_operators(text: str) -> str | None:
    """`text` with its bare words `and`, `or`, `not`, `&&`, `||` as operators.

    None where there are none or that cannot be read.
    """
    corrected, before = text, ""
    found: list[tuple[int, int, str]] = []
    try:
        for token in lexer.tokens(text):
            is_word = token.type == "TEXT" and before not in _BEFORE_A_VALUE
            word = text[token.start_pos : token.end_pos]
            if is_word and word in _OPERATORS:
                found.append((token.start_pos or 0, token.end_pos or 0, _OPERATORS[word]))
            before = token.type
        # From the end on, so that the places of those before it stay.
        for start, end, operator in reversed(found):
            corrected = corrected[:start] + operator + corrected[end:]
        parser.parse(corrected)
    except BadQuery:
        return None
    return corrected if found else None


def other_pipes(text: str) -> Search | None:
    """`text` with pipes for rows called as other languages do, or in capitals; None where there are none."""
    corrected = _PIPE.sub(lambda found: found[1] + _PIPES.get(found[2].lower(), found[2]), text)
    if corrected == text:
        return None
    try:
        return parser.parse(corrected)
    except BadQuery:
        return None


def as_field(text: str) -> Query | None:
    """The condition that `status>=500`, `user=5` or `user!="5"` is in other languages; None for other texts."""
    found = _COMPARISON.fullmatch(text)
    if not found:
        return None
    name, operator, value = found.groups()
    negation = "-" if operator == "!=" else ""
    comparison = operator if operator[0] in "<>" else ""
    try:
        return parser.parse(f"{negation}{name}:{comparison}{value_text(value.strip(_QUOTES))}").where
    except BadQuery:
        return None


def other_place(name: str) -> str:
    """The name of a field that was left over when another filled the column, and back."""
    rest = name.removeprefix("attributes.")
    return rest if rest != name else f"attributes.{name}" if name in RESERVED else ""
