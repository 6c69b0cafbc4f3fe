"""What a user's SQL may be made of: the kinds of node in its tree, and the parts that each may have.

An allow-list, read by `statement.py`: a statement, clause, table function, placeholder or literal that is not here is
refused, whatever it does.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import sqlglot
from sqlglot import exp

from logriver.errors import BadQuery
from logriver.query.usersql.dialect import UNREADABLE, UserDialect
from logriver.query.usersql.functions import TAKES_TYPE, TYPES, is_allowed, is_handed_over

_CALLS = (exp.AnonymousAggFunc, exp.ParameterizedAgg, exp.Anonymous)
_BINARY = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.And, exp.Or),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.RegexpLike),
)
_ONE = (exp.Not, exp.Neg, exp.Paren, exp.Where, exp.Having, exp.Qualify, exp.From, exp.Exists, exp.All, exp.Var)
_QUERY = "this expression distinct with_ order limit offset"

PARTS: dict[type[exp.Expr], str] = {
    exp.Select: "expressions with_ from_ joins where group having qualify windows order limit offset distinct",
    exp.Union: _QUERY,
    exp.Intersect: _QUERY,
    exp.Except: _QUERY,
    exp.Subquery: "this alias with_ order limit offset",
    exp.With: "expressions",
    exp.CTE: "this alias scalar",
    exp.Table: "this alias joins",
    exp.TableAlias: "this columns",
    exp.Join: "this on using kind side expressions",
    exp.Group: "expressions all cube rollup grouping_sets",
    exp.Cube: "expressions",
    exp.Rollup: "expressions",
    exp.GroupingSets: "expressions",
    exp.Order: "this expressions",
    exp.Ordered: "this desc nulls_first with_fill",
    exp.WithFill: "from_ to step interpolate",
    exp.Limit: "this expression expressions limit_options offset",
    exp.LimitOptions: "with_ties rows",
    exp.Offset: "expression expressions",
    exp.Distinct: "expressions on",
    exp.Window: "this alias partition_by order spec over first",
    exp.WindowSpec: "kind start start_side end end_side",
    exp.Alias: "this alias",
    exp.Column: "this table db catalog",
    exp.Dot: "this expression",
    exp.Identifier: "this quoted",
    exp.Star: "except_ replace",
    exp.Literal: "this is_string",
    exp.Null: "",
    exp.Boolean: "this",
    exp.Array: "expressions",
    exp.Tuple: "expressions",
    exp.Bracket: "this expressions",
    exp.Lambda: "this expressions",
    exp.Interval: "this unit",
    exp.Case: "this ifs default",
    exp.If: "this true false",
    exp.Between: "this low high",
    exp.In: "this query expressions",
    exp.Like: "this expression negate",
    exp.ILike: "this expression negate",
    exp.DPipe: "this expression safe",
    exp.Filter: "this expression",
    exp.IgnoreNulls: "this",
    exp.RespectNulls: "this",
    exp.Cast: "this to",
    exp.CastToStrType: "this to",
    exp.DataType: "this expressions nested nullable values",
    exp.DataTypeParam: "this",
    exp.ColumnDef: "this kind",
    **dict.fromkeys(_CALLS, "this expressions params"),
    **dict.fromkeys(_BINARY, "this expression"),
    **dict.fromkeys(_ONE, "this"),
}

_HINTS = {
    "totals": "use GROUP BY .. WITH ROLLUP",
    "prewhere": "use WHERE",
    "format": "the answer is JSON; `logriver sql -o` prints other formats",
    "settings": "limits and settings are the server's",
    "recursive": "WITH RECURSIVE is not available",
    "field": "after IN comes a list or a SELECT",
    "sample": "use WHERE cityHash64(_id) % 10 = 0",
    "Placeholder": "write the value itself",
    "JSONExtract": "use JSONExtractRaw(attributes, 'name')",
    "JSONExtractScalar": "use JSONExtractString(attributes, 'name')",
    "IntDiv": "use intDiv(a, b)",
}
_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORDS = re.compile(r"[A-Za-z_][A-Za-z_0-9 ]*", re.ASCII)
_TYPE_NAME = re.compile(r"(?:Nullable\()?(\w+)")


def check(node: exp.Expr) -> None:
    """Refuse `node` (not what is below it) where it is not part of the SQL that can be asked. Raises `BadQuery`."""
    kind = type(node)
    if kind not in PARTS:
        raise BadQuery(f"not available in sql: {_shown(node)}", hint=_HINTS.get(kind.__name__))
    if kind is exp.Table and node.args.get("db"):
        raise BadQuery(f"there is only the table 'logs', not {_shown(node)}")
    parts = PARTS[kind].split()
    for part, value in node.args.items():
        if value in (None, False, []):
            continue
        if part not in parts:
            raise BadQuery(f"not available in sql: {part.strip('_')} in {_shown(node)}", hint=_HINTS.get(part))
        if isinstance(value, str) and kind not in (exp.Literal, exp.Identifier) and not _WORDS.fullmatch(value):
            raise BadQuery(f"not available in sql: {value[:60]!r}")
    special = _CHECKS.get(kind)
    if special:
        special(node)


@lru_cache(1000)
def check_type(text: str) -> None:
    """Refuse a type, given by its name, that a value cannot be turned into."""
    try:
        cast = sqlglot.parse_one(f"CAST(x AS {text})", dialect=UserDialect)
    except UNREADABLE:
        raise BadQuery(f"not a type: {text[:60]!r}") from None
    if not isinstance(cast, exp.Cast):
        raise BadQuery(f"not a type: {text[:60]!r}")
    for node in cast.walk():
        check(node)


def _check_call(node: exp.Expr) -> None:
    name = node.this
    # `grouping` is part of GROUP BY to the engine and no function.
    if not isinstance(name, str) or not (name == "grouping" or is_allowed(name)):
        shown = node.name
        raise BadQuery(
            f"the function {shown[:60]!r} is not available", hint="docs/reference/sql.md lists the functions"
        )
    if is_handed_over(name, len(node.expressions)) and not _is_written_out(node.expressions[0]):
        raise BadQuery(
            f"{name[:60]!r} takes a lambda that is written out: x -> ..", hint=f"{name[:60]}(x -> lower(x), values)"
        )
    if name.lower() not in TAKES_TYPE:
        return
    type_ = node.expressions[-1] if node.expressions else None
    if not isinstance(type_, exp.Literal) or not type_.is_string:
        raise BadQuery(f"{name[:60]!r} takes the type as a text, the last of its arguments")
    check_type(type_.name)


def _is_written_out(node: exp.Expr) -> bool:
    """Whether it is a lambda, or the number that may stand in its place."""
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, exp.Lambda | exp.Literal)


def _check_cast_to_text(node: exp.Expr) -> None:
    type_ = node.args["to"]
    if not isinstance(type_, exp.Literal) or not type_.is_string:
        raise BadQuery("CAST takes the type as a text")
    check_type(type_.name)


def _check_type_node(node: exp.Expr) -> None:
    text = node.sql(dialect=UserDialect)
    found = _TYPE_NAME.match(text)
    if not found or found[1].lower() not in TYPES:
        raise BadQuery(f"the type {text[:60]!r} is not available")


def _check_literal(node: exp.Expr) -> None:
    if not node.is_string and not _NUMBER.fullmatch(node.name):
        raise BadQuery(f"not a number: {node.name[:60]!r}")


def _check_identifier(node: exp.Expr) -> None:
    name = node.name
    if not name or not name.isprintable() or "`" in name or "\\" in name or len(name) > 200:
        raise BadQuery(f"not a name: {name[:60]!r}")


def _check_table(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Identifier):
        raise BadQuery(f"there is only the table 'logs', not {_shown(node)}")


def _check_in(node: exp.Expr) -> None:
    # The engine takes a lone name for a table's, in brackets too.
    if len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Column | exp.Dot):
        raise BadQuery("after IN comes a list or a SELECT", hint="a single name is compared with =")


def _check_ordered(node: exp.Expr) -> None:
    # Written anew, in backticks, it would be a field of that name.
    name = node.this
    if isinstance(name, exp.Column) and not name.table and not name.this.quoted and name.name.lower() == "all":
        raise BadQuery("ORDER BY ALL is not available", hint="name the columns, or their numbers: ORDER BY 1, 2")


def _check_dot(node: exp.Expr) -> None:
    if not isinstance(node.expression, exp.Identifier | exp.Literal):
        raise BadQuery(f"not a name: {_shown(node)}")


_CHECKS: dict[type[exp.Expr], Callable[[exp.Expr], None]] = {
    **dict.fromkeys(_CALLS, _check_call),
    exp.CastToStrType: _check_cast_to_text,
    exp.DataType: _check_type_node,
    exp.Literal: _check_literal,
    exp.Identifier: _check_identifier,
    exp.Table: _check_table,
    exp.In: _check_in,
    exp.Dot: _check_dot,
    exp.Ordered: _check_ordered,
}


def _shown(node: exp.Expr) -> str:
    try:
        text = node.sql(dialect=UserDialect)
    except UNREADABLE:
        text = type(node).__name__.upper()
    return repr(text[:60])
