"""A user's SQL to SQL that is safe to run: read, checked against an allow-list, written anew. Pure.

The text that came is never run. It becomes a tree; the tree is compared with what `syntax.py` and
`functions.py` allow; `logs` in it becomes the records up to the watermark; and SQL is written from that. The
engine's own reading of the result is checked once more (`engine_tree.py`), because two parsers can differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from logriver.errors import BadQuery
from logriver.query.sql import watermark_sql
from logriver.query.usersql import fields, literals, scopes, syntax, written_scopes
from logriver.query.usersql.dialect import UNREADABLE, UserDialect
from logriver.query.usersql.fields import SOURCE, TABLE_NAME
from logriver.query.usersql.watermark_params import WatermarkParams
from logriver.watermark import NOTHING, Watermark

__all__ = ["SOURCE", "TABLE_NAME", "Statement", "read"]

MAX_CHARACTERS = 20_000
MAX_TOKENS = 3_000
MAX_DEPTH = 40
MAX_JOINS = 6
"""The time to read joins doubles with each."""

_BEGIN = (TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN)
_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}


@dataclass(frozen=True, slots=True)
class Statement:
    """A SELECT with its parameters, and the fields that it asks for; some are `ordered`, as texts."""

    sql: str
    params: Mapping[str, str | int]
    fields: tuple[str, ...]
    ordered: tuple[str, ...]


def read(text: str, materialized: frozenset[str] = frozenset(), watermark: Watermark = NOTHING) -> Statement:
    """The statement that a user's text is, about the records up to the watermark.

    Raises `BadQuery`; takes milliseconds, up to a second for the longest.
    """
    tokens = _tokens(text)
    _check_size(tokens)
    if tokens[-1].token_type == TokenType.SEMICOLON:
        text = text[: tokens.pop().start]
    _check_kind(tokens)
    tree = _tree(text)
    for node in tree.walk():
        syntax.check(node)
    names = fields.resolve(tree)
    scopes.check(written_scopes.of(tree, SOURCE, fields.KNOWN | frozenset(names.fields)))
    literals.rewrite(tree, names)
    body = _written(tree)
    if _written(_tree(body)) != body:
        raise BadQuery("this can be read in two ways", hint="write it more simply, with brackets")
    params = WatermarkParams()
    source = fields.source(names, materialized, watermark_sql.below(watermark, params.bind))
    sql = f"WITH {SOURCE} AS ({source}) SELECT * FROM ({body})"
    asked = tuple(name.removeprefix("attributes.") for name in names.fields)
    return Statement(sql, params.values, asked, tuple(names.ordered))


def _tokens(text: str) -> list[Token]:
    if len(text) > MAX_CHARACTERS:
        raise BadQuery(f"a statement has at most {MAX_CHARACTERS} characters")
    try:
        text.encode()
        tokens = UserDialect().tokenize(text)
    except UnicodeEncodeError as error:
        raise BadQuery("not a character", position=error.start) from None
    except TokenError as error:
        raise BadQuery(f"cannot be read: {str(error)[:100]}") from None
    if not tokens:
        raise BadQuery("the statement is empty", hint="ask with SELECT .. FROM logs")
    return tokens


def _check_size(tokens: list[Token]) -> None:
    if len(tokens) > MAX_TOKENS:
        raise BadQuery(f"a statement has at most {MAX_TOKENS} words and operators")
    if sum(token.token_type == TokenType.JOIN for token in tokens) > MAX_JOINS:
        raise BadQuery(f"a statement has at most {MAX_JOINS} joins")
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth > MAX_DEPTH:
            raise BadQuery(f"brackets go at most {MAX_DEPTH} deep", position=token.start)


def _check_kind(tokens: list[Token]) -> None:
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            raise BadQuery("one statement at a time", position=token.start)
    if not tokens or tokens[0].token_type not in _BEGIN:
        word = tokens[0].text[:60] if tokens else ";"
        raise BadQuery(f"only SELECT is available, not {word!r}", position=0, hint="ask with SELECT .. FROM logs")


def _tree(text: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(text, dialect=UserDialect)
    except ParseError as error:
        raise _refused(text, error) from None
    except RecursionError:
        raise BadQuery("the statement goes too deep", hint="make it shorter") from None
    except UNREADABLE:
        raise BadQuery("the statement cannot be read", hint="is every bracket closed?") from None
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        raise BadQuery("only SELECT is available", hint="ask with SELECT .. FROM logs")
    return tree


def _written(tree: exp.Expr) -> str:
    try:
        return tree.sql(dialect=UserDialect, comments=False)
    except UNREADABLE:
        raise BadQuery("the statement goes too deep", hint="make it shorter") from None


def _refused(text: str, error: ParseError) -> BadQuery:
    """The parser's words with the character where it stopped; it counts lines and columns, to the word's end."""
    first = error.errors[0] if error.errors else {}
    word = str(first.get("highlight") or "")
    position = None
    if first.get("line"):
        lines = text.split("\n")[: int(first["line"]) - 1]
        position = max(0, sum(len(line) + 1 for line in lines) + int(first["col"]) - len(word))
    reason = str(first.get("description") or "not understood").partition(" for <")[0].partition(" but got <")[0].lower()
    hint = "a name that is a word of SQL stands in backticks" if word.isidentifier() else None
    if "multiple 'limit'" in reason:
        hint = "put what is limited first into brackets: SELECT * FROM (SELECT .. LIMIT 1 BY level) LIMIT 2"
    return BadQuery(f"cannot be read at {word[:60]!r}: {reason[:100]}", position=position, hint=hint)
