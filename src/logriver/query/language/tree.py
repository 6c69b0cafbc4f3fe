"""What a search text means: a frozen tree of conditions, a list of pipes, and the phrases that pipes are made of.

`to_text` (in `text.py`) gives the canonical text, which parses back to the same tree. `query/sql/` turns conditions and
phrases into SQL; the pipes themselves are in `query/pipes/`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from logriver.errors import BadQuery

if TYPE_CHECKING:
    from logriver.query.pipes.pipe import Pipe

UNCLEAR_BOUND = re.compile(
    r"=.*|.*[<>].*|-?[0-9][0-9_]*(\.[0-9]+)?(ns|us|ms|s|m|min|h|d|w|%|[bB]|[kKMGT]i?[bB]?)|-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?",
    re.DOTALL,
)
"""Of what is compared with: what nobody means as a text, unless it stands in quotes."""

# -- conditions --------------------------------------------------------------------------------------------------------

# What can have a value that cannot be says `at` which character of the text that begins; it is no part of the meaning.


@dataclass(frozen=True, slots=True)
class Everything:
    """Every record."""


@dataclass(frozen=True, slots=True)
class Text:
    """The words of `text`, in order, in the message; where there is no word in it, `text` itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A word or value with `*` in it: `pattern` is the literal pieces between the stars, in order.

    `("connec", "")` is `connec*`, `("", "onnec", "")` is `*onnec*`. With `field` None it is a
    piece of any word of the message, in any case; else it is the whole value of the field, and case counts.
    There are at least two pieces; only the first and the last can be empty, and not both of two.
    """

    field: str | None
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A column, an alias or a path into the other fields that has exactly this value."""

    name: str
    value: str
    at: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there and not empty: `field:*`."""

    name: str


@dataclass(frozen=True, slots=True)
class Compare:
    """`field:>=500`: numbers compare as numbers, `timestamp` and `_received` as times, other columns as texts."""

    name: str
    operator: Literal["<", "<=", ">", ">="]
    value: str
    at: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Range:
    """`field:[a TO b}`: from `low` to `high` (None is open), each with its end or without it."""

    name: str
    low: str | None
    high: str | None
    with_low: bool
    with_high: bool
    at: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Regex:
    """An RE2 pattern that matches anywhere in the field's value; of the message where `name` is None."""

    name: str | None
    pattern: str
    at: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Anywhere:
    """`*:word`: a word of the message, or the whole value of any field."""

    value: str


@dataclass(frozen=True, slots=True)
class Not:
    """What does not match."""

    of: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """All of them; at least two, none of them an `And`."""

    all: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them; at least two, none of them an `Or`."""

    any: tuple["Query", ...]


Query = Everything | Text | Part | Field | Exists | Compare | Range | Regex | Anywhere | Not | And | Or


@contextmanager
def at_condition(query: Query) -> Iterator[None]:
    """What turns out to be wrong inside of the block is wrong with that condition: a `BadQuery` gets its position."""
    try:
        yield
    except BadQuery as error:
        if error.position is None and isinstance(query, Field | Compare | Range | Regex):
            error.position = query.at
        raise


# -- phrases of pipes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bin:
    """Times rounded down: `bin(5m)`. The result column is called `bin`."""

    seconds: int


def key_name(key: str | Bin) -> str:
    """The result column of what is grouped by."""
    return "bin" if isinstance(key, Bin) else key


Function = Literal["count", "sum", "avg", "min", "max", "p50", "p75", "p90", "p95", "p99", "uniq"]
FUNCTIONS: tuple[Function, ...] = get_args(Function)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`count() if (status:<400) as ok`, `p99(latency) as slow`; `field` is None for `count()` alone."""

    function: Function
    field: str | None
    only: Query | None
    name: str
    """The result column: as given, else like `count()`, `p99(latency)` or `count() if (status:<400)`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in an expression, as it was written in JSON's grammar."""

    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A text in quotes in an expression."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A result column in an expression."""

    name: str


Operator = Literal["+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or"]


@dataclass(frozen=True, slots=True)
class Calculation:
    """`left operator right`. `| where` holds comparisons of sums joined by `and`, `or`; `| eval` holds a sum."""

    operator: Operator
    left: "Expression"
    right: "Expression"


Expression = Number | Word | Name | Calculation


@dataclass(frozen=True, slots=True)
class Search:
    """A whole search text: conditions, then pipes in their order. `places` are the characters that these begin at."""

    where: Query
    pipes: tuple["Pipe", ...] = ()
    places: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @contextmanager
    def at_pipe(self, number: int) -> Iterator[None]:
        """What turns out to be wrong inside of the block is wrong with that pipe: a `BadQuery` gets its position."""
        try:
            yield
        except BadQuery as error:
            if error.position is None and number < len(self.places):
                error.position = self.places[number]
            raise


PLAIN_NAME = re.compile(r"[A-Za-z_@][\w.@]*")
"""A field name that needs no backticks."""
OPERATORS = frozenset({"AND", "OR", "NOT"})


def conjunction(parts: list[Query]) -> Query:
    """All of `parts` as one query, flat."""
    flat = [inner for part in parts for inner in (part.all if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(parts: list[Query]) -> Query:
    """Any of `parts` as one query, flat."""
    flat = [inner for part in parts for inner in (part.any if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))
