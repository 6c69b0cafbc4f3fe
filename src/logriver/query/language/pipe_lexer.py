"""Pipes to tokens. Here nothing is pasted: every sign has its meaning, and what has none is an error."""

import difflib
import re
from collections.abc import Iterator

from lark import Token

from logriver.columns import NUMBER
from logriver.errors import BadQuery
from logriver.query.language.condition_lexer import ConditionLexer
from logriver.query.language.reader import NAME, PIPE, Reader, name_of
from logriver.query.language.tree import FUNCTIONS
from logriver.query.language.words import KEYWORDS
from logriver.query.pipes.registry import PIPES, token_type

MAX_OPERATORS = 50
"""Operators like `+` and `and` in one pipe, because the engine reads expressions recursively."""
MAX_PIPES = 20
"""Each is a SELECT around those before it."""
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_KEYWORD = re.compile(rf"({'|'.join(KEYWORDS)})(?![\w.@])", re.IGNORECASE)
_CALL = re.compile(r"([A-Za-z_]\w*)\s*(?=\()")
_NAME = re.compile(NAME)
_NUMBER = re.compile(rf"({NUMBER.removeprefix('-?')})(?![\w.])")
_DURATION = re.compile(rf"([0-9]{{1,9}})([{''.join(UNIT_SECONDS)}])(?![\w.])")
_SIGN = re.compile(r"==|!=|<=|>=|[=<>+\-*/%(),]")
_KINDS = (
    {"(": "_OPEN", ")": "_CLOSE", ",": "_COMMA", "+": "PLUS", "-": "MINUS", "and": "ALSO", "or": "ELSE"}
    | dict.fromkeys(("=", "=="), "EQUALS")
    | dict.fromkeys(("*", "/", "%"), "TIMES")
    | dict.fromkeys(("!=", "<", "<=", ">", ">="), "COMPARISON")
)
_OPERATORS = frozenset({"PLUS", "MINUS", "TIMES", "ALSO", "ELSE"})
_NAME_HINT = "names with other characters than letters, digits, '_', '@' and '.' need backticks around them"
_NUMBER_HINT = (
    "spans are like 30s, 5m, 1h, 1d and 1w; a time stands in quotes, a name that begins with a digit in backticks"
)
_UNKNOWN = re.compile(r"\S[\w.]*")
_LIKENESS = 0.75
# What other languages call them.
_FUNCTIONS_ELSEWHERE = {
    "median": "p50",
    **dict.fromkeys(("mean", "average"), "avg"),
    **dict.fromkeys(("dc", "distinct", "distinct_count", "count_distinct", "count_uniq", "cardinality"), "uniq"),
}


class PipeLexer:
    """Reads pipes from the first `|` to the end of the text."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pipes = 0
        self._operators = 0  # in this pipe

    def tokens(self) -> Iterator[Token]:
        """Everything to the end. Raises `BadQuery` with the position."""
        reader = self._reader
        reader.skip_blanks()
        while not reader.at_end:
            yield from self._next()
            reader.skip_blanks()

    def _next(self) -> Iterator[Token]:
        reader, start = self._reader, self._reader.at
        if reader.sign == "|":
            yield self._pipe()
        elif found := reader.take(_KEYWORD):
            yield from self._keyword(found[1].lower(), start)
        elif found := reader.take(_CALL):
            yield self._call(found[1].lower(), start)
        elif found := reader.take(_NAME):
            yield reader.token("NAME", name_of(found), start)
        elif reader.sign == '"':
            yield reader.token("TEXT", reader.quoted(), start)
        elif found := reader.take(_NUMBER):
            yield reader.token("NUMBER", found[1], start)
        elif found := reader.take(_DURATION):
            yield reader.token("DURATION", int(found[1]) * UNIT_SECONDS[found[2]], start)
        elif found := reader.take(_SIGN):
            yield self._operator(found[0], start)
        else:
            unknown = reader.sees(_UNKNOWN)
            raise BadQuery(
                f"{(unknown[0] if unknown else reader.sign)[:30]!r} means nothing in a pipe",
                position=start,
                hint=_NUMBER_HINT if reader.sign.isdigit() else _NAME_HINT,
            )

    def _pipe(self) -> Token:
        start = self._reader.at
        found = self._reader.take(PIPE)
        if not found:
            raise BadQuery("expected the name of a pipe after '|'", position=start, hint=_one_of("pipes", tuple(PIPES)))
        self._pipes += 1
        if self._pipes > MAX_PIPES:
            raise BadQuery(f"a search text has at most {MAX_PIPES} pipes", position=start)
        self._operators = 0
        return self._reader.token(token_type(found["pipe"]), found["pipe"], start)

    def _keyword(self, word: str, start: int) -> Iterator[Token]:
        if word in ("and", "or"):
            yield self._operator(word, start)
            return
        kind = word.upper() if word in ("asc", "desc") else f"_{word.upper()}"
        yield self._reader.token(kind, word, start)
        if word == "if":
            self._reader.skip_blanks()
            if self._reader.sign == "(":
                yield from ConditionLexer(self._reader).in_brackets()

    def _call(self, word: str, start: int) -> Token:
        if word == "bin":
            return self._reader.token("_BIN", word, start)
        if word not in FUNCTIONS:
            raise _no_function(word[:30], start)
        return self._reader.token("FUNCTION", word, start)

    def _operator(self, sign: str, start: int) -> Token:
        kind = _KINDS[sign]
        self._operators += kind in _OPERATORS
        if self._operators > MAX_OPERATORS:
            raise BadQuery(f"a pipe has at most {MAX_OPERATORS} operators", position=start)
        return self._reader.token(kind, "=" if sign == "==" else sign, start)


def _one_of(what: str, names: tuple[str, ...]) -> str:
    return f"{what} are {', '.join(names[:-1])} and {names[-1]}"


def _no_function(name: str, position: int) -> BadQuery:
    near = _FUNCTIONS_ELSEWHERE.get(name) or _mistyped(name)
    reason = f"there is no function {name!r}" + (f", but {near!r}" if near else "")
    return BadQuery(reason, position=position, hint=_one_of("functions", (*FUNCTIONS, "bin")))


def _mistyped(name: str) -> str | None:
    """The function that is meant; of a percentile that is none, nobody can tell."""
    if any(sign.isdigit() for sign in name):
        return None
    return next(iter(difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=_LIKENESS)), None)
