"""Parsed tokens to the tree: a method for each rule and alias of `grammar.lark`, called from the leaves up."""

from dataclasses import replace

from lark import Token, Transformer, v_args

from logriver.errors import BadQuery
from logriver.query.language import text as texts
from logriver.query.language.tree import (
    Aggregate,
    And,
    Anywhere,
    Bin,
    Calculation,
    Compare,
    Everything,
    Exists,
    Expression,
    Field,
    Name,
    Not,
    Number,
    Or,
    Part,
    Query,
    Range,
    Regex,
    Search,
    Text,
    Word,
    conjunction,
    disjunction,
)
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.registry import PIPES

MAX_BIN_SECONDS = 366 * 86_400


@v_args(inline=True)
class _ToTree(Transformer[Token, Search]):
    def search(self, where: Query | None, *pipes: Pipe) -> Search:
        return Search(where or Everything(), pipes)

    # -- conditions ----------------------------------------------------------------------------------------------------

    def disjunction(self, *parts: Query) -> Query:
        return disjunction(list(parts))

    def conjunction(self, *parts: Query) -> Query:
        return conjunction(list(parts))

    def negation(self, of: Query) -> Query:
        return Not(of)

    def text(self, token: Token) -> Query:
        return Text(token.value)

    def pieces(self, token: Token) -> Query:
        return Part(None, token.value)

    def everything(self, _star: Token) -> Query:
        return Everything()

    def regex(self, name: Token, pattern: Token) -> Query:
        return Regex(name.value, pattern.value, pattern.start_pos)

    # Values do not know their field yet; `of_field` gives it to each of them.

    def exact(self, token: Token) -> Query:
        return Field("", token.value, token.start_pos)

    def exists(self, _star: Token) -> Query:
        return Exists("")

    def compare(self, operator: Token, value: Token) -> Query:
        return Compare("", operator.value, value.value, value.start_pos)

    def range(self, opening: Token, low: str | None, high: str | None, closing: Token) -> Query:
        return Range("", low, high, opening.value == "[", closing.value == "]", opening.start_pos)

    def bound(self, token: Token) -> str | None:
        return None if token.type == "STAR" else token.value

    def of_field(self, name: Token, values: Query) -> Query:
        return _of_field(name.value, values)

    def of_any_field(self, star: Token, values: Query) -> Query:
        return _of_any_field(star, values)

    # -- pipes ---------------------------------------------------------------------------------------------------------

    def pipe(self, keyword: Token, *parts: object) -> Pipe:
        return PIPES[keyword.value].parsed(keyword, parts)

    # -- phrases of pipes ----------------------------------------------------------------------------------------------

    def aggregates(self, *aggregates: Aggregate) -> tuple[Aggregate, ...]:
        return aggregates

    def aggregate(self, function: Token, field: Token | None, only: Query | None, name: Token | None) -> Aggregate:
        made = Aggregate(function.value, _argument(function, field), only, name.value if name else "")
        return made if name else replace(made, name=texts.default_name(made))

    def keys(self, *keys: str | Bin) -> tuple[str | Bin, ...]:
        return keys

    def bin(self, duration: Token) -> Bin:
        if not 1 <= duration.value <= MAX_BIN_SECONDS:
            raise BadQuery("a bin has from 1 second to 366 days", position=duration.start_pos)
        return Bin(duration.value)

    def sort_key(self, column: str, direction: Token | None) -> tuple[str, bool]:
        return column, direction is not None and direction.type == "DESC"

    # -- expressions ---------------------------------------------------------------------------------------------------

    def name(self, token: Token) -> str:
        return str(token.value)

    def call(self, function: Token, field: Token | None) -> str:
        return texts.call(function.value, _argument(function, field))

    def column(self, name: str) -> Expression:
        return Name(name)

    def calculation(self, left: Expression, operator: Token, right: Expression) -> Expression:
        return Calculation(operator.value, left, right)

    def number(self, token: Token) -> Expression:
        return Number(token.value)

    def negative(self, _minus: Token, token: Token) -> Expression:
        return Number(f"-{token.value}")

    def word(self, token: Token) -> Expression:
        return Word(token.value)


TO_TREE = _ToTree()
"""Makes a `Search`. Raises `BadQuery` for what the grammar allows and nobody can mean."""


def _of_field(name: str, values: Query) -> Query:
    match values:
        case Not(of):
            return Not(_of_field(name, of))
        case And(parts):
            return And(tuple(_of_field(name, part) for part in parts))
        case Or(parts):
            return Or(tuple(_of_field(name, part) for part in parts))
        case Part():
            return replace(values, field=name)
        case Field() | Exists() | Compare() | Range():
            return replace(values, name=name)
    raise AssertionError(f"{values!r} is not a value")


def _of_any_field(star: Token, values: Query) -> Query:
    match values:
        case Not(of):
            return Not(_of_any_field(star, of))
        case And(parts):
            return And(tuple(_of_any_field(star, part) for part in parts))
        case Or(parts):
            return Or(tuple(_of_any_field(star, part) for part in parts))
        case Field(_, value):
            return Anywhere(value)
        case Exists():
            return Everything()
    raise BadQuery(
        "in any field only whole words and values can be found",
        position=star.start_pos,
        hint="name the field for a part, a comparison or a range",
    )


def _argument(function: Token, field: Token | None) -> str | None:
    if field is None and function.value != "count":
        raise BadQuery(f"{function.value}() needs a field in its brackets", position=function.start_pos)
    return field.value if field else None
