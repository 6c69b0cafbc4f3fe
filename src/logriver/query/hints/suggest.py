"""What is being typed at a cursor, in a text that need not be finished or right.

A letter is put at the cursor, so that there is always a token being typed; what stands before it is given to the
parser, which knows what may come next. Nothing is raised: where the text cannot be read, nothing is suggested.
"""

import contextlib
import re
from dataclasses import dataclass
from typing import Literal

from lark import Token, UnexpectedToken

from logriver.errors import BadQuery
from logriver.query.language import lexer
from logriver.query.language.parser import GRAMMAR, parse
from logriver.query.language.tree import FUNCTIONS
from logriver.query.pipes.registry import PIPES, token_type

Kind = Literal["field", "value", "column", "pipe", "function", "keyword", "none"]

_LETTER = "x"
_PIPE_NAME = re.compile(r"\|\s*([a-z]*)\Z")
_REST_OF_WORD = re.compile(r'[\w.@-]*"?')
_KEYWORDS = {
    "_AND": "AND",
    "_OR": "OR",
    "_NOT": "NOT",
    "_TO": "TO",
    "_BY": "by",
    "_AS": "as",
    "_IF": "if (",
    "_BIN": "bin(",
    "ASC": "asc",
    "DESC": "desc",
    "ALSO": "and",
    "ELSE": "or",
}
_VALUE_OPERATORS = ("*", ">", ">=", "<", "<=", "[", "(")
_PIPES = {token_type(keyword): pipe for keyword, pipe in PIPES.items()}
_BEFORE_A_NEW_NAME = {"_AS", *(token for token, pipe in _PIPES.items() if pipe.begins_with_new_name)}


@dataclass(frozen=True, slots=True)
class Completion:
    """`text[start:end]` is what a suggestion replaces, `prefix` the part of it before the cursor.

    A `value` belongs to `field`. `column` is a field or, behind `| stats`, one of `columns`. `keywords` are the words
    and punctuation of the language that can stand here too.
    """

    kind: Kind
    prefix: str
    start: int
    end: int
    field: str = ""
    columns: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


def complete(text: str, at: int) -> Completion:
    """What is being typed at the character `at` of `text`."""
    at = max(0, min(at, len(text)))
    before, typed = _tokens(text[:at])
    pipe = _PIPE_NAME.search(text, 0, at)
    start = (typed and typed.start_pos) or 0
    if pipe and not (typed and start < pipe.start() and text[start] == '"'):
        return Completion("pipe", pipe[1], pipe.start(1), _end_of_word(text, at))
    if typed is None:
        return Completion("none", "", at, at)
    expected = _expected(before)
    prefix = text[start:at].removeprefix('"').replace('\\"', '"').removeprefix("`")
    kind, field = _kind(before, expected), ""
    keywords = [word for token, word in _KEYWORDS.items() if token in expected]
    columns = _columns(text, before) if kind == "column" else ()
    if "FUNCTION" in expected and not columns:
        keywords += [f"{function}(" for function in FUNCTIONS]
    if kind == "value":
        field = next(token.value for token in reversed(before) if token.type == "FIELD")
        keywords += _VALUE_OPERATORS if not prefix and before[-1].type == "FIELD" else ()
    if kind == "field" and text[start : start + 1] == '"':
        kind, keywords = "none", []
    return Completion(kind, prefix, start, _end_of_word(text, at), field, columns, tuple(keywords))


def _tokens(head: str) -> tuple[list[Token], Token | None]:
    """The tokens of `head` before the one that is being typed at its end, and that one."""
    found, error = _read(head + _LETTER)
    if error and error.position is not None and head[error.position : error.position + 1] == '"':
        found, error = _read(f'{head}{_LETTER}"')
    if not found or (found[-1].end_pos or 0) <= len(head):
        return found, None
    return found[:-1], found[-1]


def _read(text: str) -> tuple[list[Token], BadQuery | None]:
    found = []
    try:
        for token in lexer.tokens(text):
            found.append(token)  # noqa: PERF402 - what was found before an error counts
    except BadQuery as error:
        return found, error
    return found, None


def _expected(tokens: list[Token]) -> frozenset[str]:
    """What the parser takes after `tokens`; those that it does not take are passed over."""
    parser = GRAMMAR.parse_interactive()
    try:
        for token in tokens:
            with contextlib.suppress(UnexpectedToken):
                parser.feed_token(token)
    except BadQuery:
        return frozenset()
    return frozenset(parser.accepts())  # type: ignore[no-untyped-call]


def _kind(before: list[Token], expected: frozenset[str]) -> Kind:
    last = before[-1].type if before else ""
    if last == "COMPARE" or "STAR" in expected:
        of_any_field = next((token.type for token in reversed(before) if token.type in ("FIELD", "ANY")), "ANY")
        return "value" if of_any_field == "FIELD" else "none"
    if "FIELD" in expected:
        return "field"
    if last in _BEFORE_A_NEW_NAME:
        return "none"
    if "NAME" in expected:
        return "column"
    if "FUNCTION" in expected:
        return "function"
    return "keyword" if expected & _KEYWORDS.keys() else "none"


def _columns(text: str, before: list[Token]) -> tuple[str, ...]:
    """The columns of the result that the pipe being typed works on; none where it works on records."""
    pipe = next(token for token in reversed(before) if token.type in _PIPES)
    if not _PIPES[pipe.type].reads_columns:
        return ()
    try:
        search = parse(text[: pipe.start_pos])
    except BadQuery:
        return ()
    columns: tuple[str, ...] = ()
    for done in search.pipes:
        columns = done.columns(columns)
    return columns


def _end_of_word(text: str, at: int) -> int:
    found = _REST_OF_WORD.match(text, at)
    return found.end() if found else at
