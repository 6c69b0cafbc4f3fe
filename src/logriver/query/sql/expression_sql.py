"""Expressions of `| where` and `| eval` to SQL over the columns of a result.

A value compares as a number with a number, as a time with a time, a level by severity, else as text. What cannot be
calculated (a text that is no number, a division by zero) is none, and no comparison with none holds but `!=`.
"""

from collections.abc import Mapping

from logriver.errors import BadQuery
from logriver.levels import LEVELS, level_of
from logriver.query.language.tree import Calculation, Expression, Name, Number, Word
from logriver.query.sql.binding import Condition
from logriver.query.sql.field_sql import Value

_CONNECTIVES = ("and", "or")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

Columns = Mapping[str, Value]


def condition(expression: Expression, columns: Columns, made: Condition) -> str:
    """SQL for a condition, never NULL. Raises `BadQuery` for what is none, and for columns that are not there."""
    if not isinstance(expression, Calculation) or expression.operator not in (*_CONNECTIVES, *_COMPARISONS):
        raise BadQuery("'where' takes a comparison", hint='such as: | where n > 10 and service != "api"')
    if expression.operator in _CONNECTIVES:
        left, right = (condition(side, columns, made) for side in (expression.left, expression.right))
        return f"(({left}) {expression.operator.upper()} ({right}))"
    left, right = _comparable(expression, columns, made)
    operator = "=" if expression.operator == "!=" else expression.operator
    compared = f"ifNull({left} {operator} {right}, 0)"
    return f"NOT {compared}" if expression.operator == "!=" else compared


def value(expression: Expression, columns: Columns, made: Condition) -> Value:
    """SQL for a value. Raises `BadQuery`."""
    match expression:
        case Number(text):
            return Value(made.bind(float(text), "Float64"), "number")
        case Word(text):
            return Value(made.bind(text))
        case Name(name):
            return column(name, columns)
        case Calculation(operator, left, right) if operator in ("+", "-", "*", "/", "%"):
            sides = [_number(value(side, columns, made)) for side in (left, right)]
            return Value(f"({f' {operator} '.join(sides)})", "number")
    raise BadQuery("a comparison has no value", hint="comparisons belong into: | where ..")


def column(name: str, columns: Columns) -> Value:
    """The column of a result that is called so. Raises `BadQuery`, naming those that are there."""
    if name not in columns:
        there = ", ".join(columns)
        raise BadQuery(f"the result has no column {name[:60]!r}", hint=f"it has: {there[:300]}")
    return columns[name]


def _comparable(comparison: Calculation, columns: Columns, made: Condition) -> tuple[str, str]:
    sides = (comparison.left, comparison.right)
    left, right = (value(side, columns, made) for side in sides)
    by_severity = [_severity(side, made, columns) for side in sides]
    if (left.is_level or right.is_level) and all(by_severity):
        return by_severity[0], by_severity[1]
    if Word("") in sides and {left.kind, right.kind} == {"text"}:
        # As in a search, a field that is not there has no text.
        return f"ifNull({left.sql}, '')", f"ifNull({right.sql}, '')"
    return _alike(left, right)


def _severity(of: Expression, made: Condition, columns: Columns) -> str:
    """SQL for the place of a level, or of a word that means one, in the order of severity; empty for what has none."""
    match of:
        case Word(text) if level_of(text) in LEVELS:
            return made.bind(LEVELS.index(level_of(text)) + 1, "UInt8")
        case Name(name) if columns[name].is_level:
            return columns[name].severity
    return ""


def _number(of: Value) -> str:
    if of.kind == "time":
        raise BadQuery("times cannot be calculated with")
    return of.number


def _alike(left: Value, right: Value) -> tuple[str, str]:
    kinds = {left.kind, right.kind}
    if kinds == {"time"}:
        return left.sql, right.sql
    if "time" in kinds:
        return _time(left), _time(right)
    if "number" in kinds:
        return left.number, right.number
    return left.sql, right.sql


def _time(of: Value) -> str:
    if of.kind == "number":
        raise BadQuery("a time compares with a time", hint='such as: | where bin >= "2023-09-15T08:00:00Z"')
    return of.sql if of.kind == "time" else f"parseDateTime64BestEffortOrNull({of.sql}, 9, 'UTC')"
