"""Times and levels in a user's SQL as everybody writes them: `'2023-09-15T10:00:00+02:00'`, `level = 'ERR'`.

The engine reads a text that is compared with a time in one way only, `'2023-09-15 08:00:00'`, and in UTC. The column
`level` has what a level means, so another spelling of one would be equal to nothing.
"""

import re

from sqlglot import exp

from logriver import clock
from logriver.columns import ALIASES
from logriver.errors import BadQuery
from logriver.levels import level_of
from logriver.query.sql.field_conditions import kind_of
from logriver.query.usersql.fields import Names

HINT = "a time is written '2023-09-15T08:00:00Z', or relative: now() - INTERVAL 1 HOUR"

_COMPARE = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_CALLS = (exp.Anonymous, exp.AnonymousAggFunc)
_EQUATE = (exp.EQ, exp.NEQ, exp.In)
_EQUATE_CALLS = frozenset({"equals", "notequals"})
_COMPARE_CALLS = frozenset({"equals", "notequals", "greater", "greaterorequals", "less", "lessorequals"})
# Of a time they make a time.
_KEEPS_TIME = re.compile(r"(?:tostartof|todatetime|to_?timezone|date_?trunc|min|max|any|arg_?min|arg_?max).*")
_ENGINE_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)?")


def rewrite(tree: exp.Expr, names: Names) -> None:
    """Give the engine's form to each text that is compared with a time, and its meaning to a level.

    Raises `BadQuery` for what is no time beside a column of times.
    """
    for node in tree.walk():
        operands = _compared(node)
        if _equates(node) and any(_is("level", operand, names) for operand in _equated(node, operands)):
            for literal in filter(_is_text, map(_bare, operands)):
                literal.set("this", level_of(literal.name))
        times = [operand for operand in operands if _is("time", operand, names)]
        is_column = any(isinstance(operand, exp.Column) for operand in times)
        for operand in map(_bare, operands if times else []):
            if _is_text(operand):
                operand.set("this", _engine_text(operand.name, must_be=is_column))


def _compared(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, _COMPARE):
        return list(node.iter_expressions())
    if isinstance(node, _CALLS) and node.name.lower() in _COMPARE_CALLS:
        return node.expressions
    return []


def _equates(node: exp.Expr) -> bool:
    return isinstance(node, _EQUATE) or (isinstance(node, _CALLS) and node.name.lower() in _EQUATE_CALLS)


def _equated(node: exp.Expr, operands: list[exp.Expr]) -> list[exp.Expr]:
    """What may be the level that the others are compared with: of `IN` what stands before it."""
    return [node.this] if isinstance(node, exp.In) else operands


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _is(kind: str, node: exp.Expr, names: Names) -> bool:
    """Whether it is a column of that `kind`, under whatever name the statement gives it; or a time made of a time."""
    node = _bare(node)
    if kind == "time" and isinstance(node, _CALLS):
        return bool(_KEEPS_TIME.fullmatch(node.name.lower())) and any(
            _is(kind, of, names) for of in node.expressions[:1]
        )
    if not isinstance(node, exp.Column):
        return False
    definitions = names.definitions(node.name, node)
    if definitions:
        return all(isinstance(made, exp.Alias) and _is(kind, made.this, names) for made in definitions)
    return kind_of(ALIASES.get(node.name, node.name)) == kind


def _engine_text(text: str, must_be: bool) -> str:
    """RFC 3339 as `2023-09-15 08:00:00.5`, in UTC; what is no time is refused if it `must_be` one."""
    try:
        time_ns = clock.from_text(text)
    except ValueError as error:
        if must_be:
            raise BadQuery(str(error), hint=HINT) from None
        return text
    # What has no time of day may be compared with a day.
    return text if _ENGINE_FORM.fullmatch(text) else clock.to_text(time_ns).replace("T", " ").removesuffix("Z")
