"""What a search text that finds nothing may have been meant to be, as far as the text alone shows."""

import contextlib
import difflib
import re
from collections.abc import Callable
from dataclasses import replace

from logriver import clock
from logriver.columns import ALIASES, RESERVED
from logriver.errors import BadQuery
from logriver.query.language import lexer, parser
from logriver.query.language.text import value_text
from logriver.query.language.tree import (
    PLAIN_NAME,
    Compare,
    Exists,
    Field,
    Part,
    Query,
    Range,
    Regex,
    Search,
)
from logriver.query.pipes.registry import PIPES
from logriver.query.sql import escaping
from logriver.query.sql.field_conditions import kind_of

_OPERATORS = {"and": "AND", "or": "OR", "not": "NOT", "&&": "AND", "||": "OR"}
_BEFORE_A_VALUE = ("FIELD", "ANY", "MATCHES", "COMPARE", "RANGE_OPEN", "_TO")
_COMPARISON = re.compile(rf"({PLAIN_NAME.pattern})(==?|!=|>=?|<=?)([^=<>].*)")
# The same with spaces around the operator, as KQL has it; there a colon is one of them.
_VALUE = r"\"[^\"]*\"|[^\s=<>:~|()\"][^\s|()]*"
_SPACED = re.compile(rf"(?<![\w.@`\"])({PLAIN_NAME.pattern})\s*(:|==?|!=|>=?|<=?)\s*({_VALUE})")
_NEVER_WORDS = "|".join(name for name, column in ALIASES.items() if column in ("level", "service", "host"))
_SPACED_COLUMN = re.compile(rf"(?<![\w.@`\"])(?:{_NEVER_WORDS.replace('.', '[.]')})\s*:\s+[\w\"]")
_PIPES_ELSEWHERE = dict(written for pipe in PIPES.values() for written in pipe.elsewhere)
# Nobody types more by hand, and looking for quotes in it would take long.
_MOST_TYPED = 2_000
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")', re.DOTALL)
# Only where a name begins, so that each sign of a long one is looked at once.
_NAME = rf"(?<![\w.@]){PLAIN_NAME.pattern}"
# Lucene's, LogsQL's and LogQL's ways to say it, outside of quotes.
_WRITTEN_ELSEWHERE: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"(?<![\w.])_exists_:({_NAME})"), r"\1:*"),
    (re.compile(r"(?<![\w.])_time:\S+\s*"), ""),
    (re.compile(rf"({_NAME})!~(?=\Z)"), r"-\1=~"),
    (re.compile(rf"({_NAME}):~(?=\Z)"), r"\1=~"),
    (re.compile(r"(?<![^\s(])!(?=[\w(@`]|\Z)"), "-"),
    (re.compile(rf"({_NAME}):in\(([^()]*)\)"), lambda found: f"{found[1]}:({_either(found[2].split(','))})"),
    (re.compile(r"(?<![\w:.])\w+(?:\|\w+)+(?![\w:])"), lambda found: f"({_either(found[0].split('|'))})"),
)
_LOGQL = re.compile(r'\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}((?:\s*(?:\|=|!=|\|~|!~)\s*"(?:[^"\\]|\\.)*")*)\s*')
_LABEL = re.compile(rf'({_NAME})\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(?:,|\Z)')
_LINE_FILTER = re.compile(r'(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*")')
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DAY_NS = 86_400 * clock.SECOND_NS
_LIKENESS = 0.7
_PIPE = re.compile(r"(\|\s*)([A-Za-z]{1,20})(?=\s|\Z)")
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
    """`text` with pipes that are mistyped, in capitals or called as in other languages; None where there are none.

    What is still no pipe, or cannot be read, is left out with all that follows it.
    """
    if not (first := _no_pipe(text)):
        return None
    corrected = _PIPE.sub(lambda found: found[1] + _pipe(found[2]), text)
    unknown = _no_pipe(corrected)
    for readable in (corrected[: unknown.start()] if unknown else corrected, text[: first.start()]):
        if readable.strip():
            with contextlib.suppress(BadQuery):
                return parser.parse(readable)
    return None


def _no_pipe(text: str) -> re.Match[str] | None:
    return next((found for found in _PIPE.finditer(text) if found[2] not in PIPES), None)


def _pipe(written: str) -> str:
    name = written.lower()
    near = difflib.get_close_matches(name, PIPES, n=1, cutoff=_LIKENESS)
    return _PIPES_ELSEWHERE.get(name) or (near[0] if near else written)


def as_field(text: str) -> Query | None:
    """The condition that `status>=500`, `user=5` or `user!="5"` is in other languages; None for other texts."""
    found = _COMPARISON.fullmatch(text)
    if not found:
        return None
    name, operator, value = found.groups()
    try:
        return parser.parse(_condition(name, operator, value)).where
    except BadQuery:
        return None


def spaced(text: str) -> str | None:
    """`text` with `status >= 500` and `service: api` as conditions, and bare words as operators beside them.

    None where there are none or that cannot be read.
    """
    corrected = _SPACED.sub(_without_blanks, text)
    if corrected == text:
        return None
    corrected = other_operators(corrected) or corrected
    try:
        parser.parse(corrected)
    except BadQuery:
        return None
    return corrected


def _without_blanks(found: re.Match[str]) -> str:
    # A colon without spaces is this language's.
    return _condition(*found.groups()) if found[2] != ":" or re.search(r"\s", found[0]) else found[0]


def spaced_column(text: str) -> str | None:
    """The same where it is `level: error` or another column of few values, which hardly anybody means as two words."""
    return spaced(text) if _SPACED_COLUMN.search(text) else None


def written_elsewhere(text: str) -> str | None:
    """What Lucene, LogsQL or LogQL means by `text`, in this language; None where that is the same or cannot be read.

    Ranges of times are left out: here they stand beside the text.
    """
    if len(text) > _MOST_TYPED:
        return None
    found = _LOGQL.fullmatch(text)
    translated = _of_logql(found[1], found[2]) if found else "".join(_here(part) for part in _QUOTED.split(text))
    if translated is None or translated == text or not translated.strip():
        return None
    try:
        parser.parse(translated)
    except BadQuery:
        return None
    return translated


def _here(part: str) -> str:
    if part.startswith('"'):
        return part
    for pattern, written in _WRITTEN_ELSEWHERE:
        part = pattern.sub(written, part)
    return part


def _either(values: list[str]) -> str:
    return " OR ".join(value_text(value.strip()) for value in values)


def _of_logql(labels: str, filters: str) -> str | None:
    """`{service="api"} |= "x"`; None for labels that are none."""
    conditions = []
    for name, sign, value in _LABEL.findall(labels):
        joined = "=~" if sign[1:] == "~" else ":"
        conditions.append(f"{'-' if sign[0] == '!' else ''}{name}{joined}{value}")
    if not conditions or _LABEL.sub("", labels).strip():
        return None
    for sign, value in _LINE_FILTER.findall(filters):
        conditions.append(f"{'-' if sign[0] == '!' else ''}{'=~' if sign[1] == '~' else ''}{value}")
    return " ".join(conditions)


def _condition(name: str, operator: str, value: str) -> str:
    negation = "-" if operator == "!=" else ""
    comparison = operator if operator[0] in "<>" else ""
    return f"{negation}{name}:{comparison}{value_text(value.strip(_QUOTES))}"


def name_of(condition: Query) -> str | None:
    """The field that a condition is about; None of words."""
    match condition:
        case Field(name) | Exists(name) | Compare(name) | Range(name) | Regex(name) | Part(name):
            return name
    return None


def renamed(condition: Query, name: str) -> Query:
    """The same condition on another field. `condition` is about one."""
    if isinstance(condition, Part):
        return replace(condition, field=name)
    assert isinstance(condition, Field | Exists | Compare | Range | Regex), condition
    return replace(condition, name=name)


def in_any_case(condition: Field) -> Regex:
    """The same value in whatever case."""
    return Regex(condition.name, f"(?i)^{escaping.regex(condition.value)}$")


def over_words(condition: Part) -> Regex | None:
    """The pieces of a word of the message one after the other in any words; None where there is one piece."""
    pieces = [piece for piece in condition.pieces if piece and condition.field in (None, "message")]
    return Regex(None, f"(?i){'.*'.join(map(escaping.regex, pieces))}") if len(pieces) > 1 else None


def whole_day(condition: Field) -> Range | None:
    """The range that `timestamp:2023-09-15` was meant to be; None of other fields, and of other texts."""
    if kind_of(ALIASES.get(condition.name, condition.name)) != "time" or not _DATE.fullmatch(condition.value):
        return None
    try:
        end = clock.to_text(clock.from_text(condition.value) + _DAY_NS)
    except ValueError:
        return None
    return Range(condition.name, condition.value, end.partition("T")[0], with_low=True, with_high=False)


def other_name(name: str) -> str:
    """The name of a field that was left over when another filled the column, and back."""
    rest = name.removeprefix("attributes.")
    return rest if rest != name else f"attributes.{name}" if name in RESERVED else ""
