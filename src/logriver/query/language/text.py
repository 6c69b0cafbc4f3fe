"""A tree to its canonical text; parsing it gives the same tree. Pages, hints and `/api/v1/explain` show it."""

import re
from types import UnionType

from logriver.query.language.tree import (
    OPERATORS,
    PLAIN_NAME,
    UNCLEAR_BOUND,
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
)
from logriver.query.language.words import KEYWORDS

_PLAIN_TEXT = re.compile(r"\w[\w.-]*")
_PLAIN_VALUE = re.compile(r"\w[\w.:/-]*")
_PLAIN_PIECE = re.compile(r"\w+")
# A backslash is only doubled where it would escape what stands after it, so that a regex stays as it is read.
_BACKSLASH_THAT_ESCAPES = re.compile(r'\\(?=["\\]|\Z)')
_BINDING = {"or": 0, "and": 1, "+": 3, "-": 3, "*": 4, "/": 4, "%": 4}
_COMPARISON_BINDING = 2
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def search_text(search: Search) -> str:
    """The canonical text of a whole search; parsing it gives the same tree."""
    return " ".join([to_text(search.where), *(f"| {pipe.text()}" for pipe in search.pipes)])


# -- conditions --------------------------------------------------------------------------------------------------------


def to_text(query: Query) -> str:
    """The canonical text of `query`; parsing it gives the same tree."""
    return "*" if query == Everything() else _condition(query)


def _condition(query: Query) -> str:
    match query:
        case Not(of):
            return f"NOT {_in_brackets(of, And | Or)}"
        case And(parts):
            return " ".join(_in_brackets(part, Or) for part in parts)
        case Or(parts):
            return " OR ".join(map(_condition, parts))
        case Everything():
            return "*:*"
        case Text(text):
            return _quoted_unless(_PLAIN_TEXT, text)
        case Part(None, pieces):
            return _pieces(pieces)
        case Regex(name, pattern):
            return f"{field_name(name) if name is not None else ''}=~{quoted(pattern)}"
        case Anywhere(value):
            return f"*:{value_text(value)}"
    return _of_field(query)


def _of_field(query: Query) -> str:
    match query:
        case Field(name, value):
            return f"{field_name(name)}:{value_text(value)}"
        case Part(str(name), pieces):
            return f"{field_name(name)}:{_pieces(pieces)}"
        case Exists(name):
            return f"{field_name(name)}:*"
        case Compare(name, operator, value):
            return f"{field_name(name)}:{operator}{_compared(value)}"
        case Range(name, low, high, with_low, with_high):
            opening, closing = "[" if with_low else "{", "]" if with_high else "}"
            return f"{field_name(name)}:{opening}{_bound(low)} TO {_bound(high)}{closing}"
    raise AssertionError(f"{query!r} has no field")


def _in_brackets(query: Query, types: type | UnionType) -> str:
    text = _condition(query)
    return f"({text})" if isinstance(query, types) else text


def field_name(name: str) -> str:
    """`name` as it stands in conditions, in backticks if need be."""
    return name if PLAIN_NAME.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def quoted(text: str) -> str:
    """`text` in quotes."""
    return '"' + _BACKSLASH_THAT_ESCAPES.sub(r"\\\\", text).replace('"', '\\"') + '"'


def value_text(value: str) -> str:
    """`value` as it stands after `field:`, in quotes if need be."""
    return _quoted_unless(_PLAIN_VALUE, value)


def _bound(value: str | None) -> str:
    if value is None:
        return "*"
    return quoted(value) if value == "TO" else _compared(value)


def _compared(value: str) -> str:
    return quoted(value) if UNCLEAR_BOUND.fullmatch(value) else value_text(value)


def _quoted_unless(plain: re.Pattern[str], text: str) -> str:
    return text if plain.fullmatch(text) and text not in OPERATORS else quoted(text)


def _pieces(pieces: tuple[str, ...]) -> str:
    """Bare where a word with stars is read as one: only at its ends, and between letters and digits."""
    ends_are_stars = not pieces[0] or not pieces[-1]
    if ends_are_stars and all(not piece or _PLAIN_PIECE.fullmatch(piece) for piece in pieces):
        return "*".join(pieces)
    return "*".join(piece and quoted(piece) for piece in pieces)


# -- phrases of pipes --------------------------------------------------------------------------------------------------


def aggregate_text(made: Aggregate) -> str:
    """An aggregate, with the name of its column where that is another than the usual one."""
    default = default_name(made)
    return default if made.name == default else f"{default} as {column_name(made.name)}"


def default_name(made: Aggregate) -> str:
    """What the column of an aggregate is called that was given no name: its text."""
    condition = f" if ({to_text(made.only)})" if made.only is not None else ""
    return call(made.function, made.field) + condition


def call(function: str, field: str | None) -> str:
    """An aggregate without its condition, which is the name of its column too."""
    return f"{function}({column_name(field) if field is not None else ''})"


def key_text(key: str | Bin) -> str:
    """What is grouped by."""
    if isinstance(key, str):
        return column_name(key)
    unit, seconds = next((unit, seconds) for unit, seconds in _UNITS if key.seconds % seconds == 0)
    return f"bin({key.seconds // seconds}{unit})"


def column_name(name: str) -> str:
    """`name` as it stands in pipes, in backticks if need be."""
    return f"`{name}`" if name.lower() in KEYWORDS else field_name(name)


def expression_text(expression: Expression) -> str:
    """An expression, with the brackets that it needs."""
    match expression:
        case Number(text):
            return text
        case Word(text):
            return quoted(text)
        case Name(name):
            return column_name(name)
        case Calculation(operator, left, right):
            binding = _binding(expression)
            # Operators of one kind are read from the left; comparisons do not follow each other.
            return f"{_operand(left, binding)} {operator} {_operand(right, binding + 1)}"


def _operand(expression: Expression, least: int) -> str:
    text = expression_text(expression)
    return f"({text})" if isinstance(expression, Calculation) and _binding(expression) < least else text


def _binding(calculation: Calculation) -> int:
    return _BINDING.get(calculation.operator, _COMPARISON_BINDING)
