"""Times in a user's SQL as everybody writes them: `timestamp >= '2023-09-15T10:00:00+02:00'`.

The engine reads a text that is compared with a time in one way only, `'2023-09-15 08:00:00'`, and in UTC.
"""

from sqlglot import exp

from logriver import clock
from logriver.columns import ALIASES, COLUMNS
from logriver.errors import BadQuery
from logriver.query.user_fields import Names

HINT = "a time is written '2023-09-15T08:00:00Z', or relative: now() - INTERVAL 1 HOUR"

_TIMES = frozenset(column.name for column in COLUMNS if column.type.startswith("DateTime"))
_COMPARE = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)


def rewrite(tree: exp.Expr, names: Names) -> None:
    """Give the engine's form to each text that is compared with a column of times. Raises `BadQuery` if it is none."""
    for node in tree.find_all(*_COMPARE):
        operands = list(node.iter_expressions())
        if any(_is_time(operand, names) for operand in operands):
            for operand in operands:
                if isinstance(operand, exp.Literal) and operand.is_string:
                    operand.set("this", _engine_text(operand.name))


def _is_time(node: exp.Expr, names: Names) -> bool:
    if not isinstance(node, exp.Column):
        return False
    return ALIASES.get(node.name, node.name) in _TIMES and not names.is_defined(node.name, node)


def _engine_text(text: str) -> str:
    """RFC 3339 as `2023-09-15 08:00:00.5`, in UTC."""
    try:
        time_ns = clock.from_text(text)
    except ValueError as error:
        raise BadQuery(str(error), hint=HINT) from None
    return clock.to_text(time_ns).replace("T", " ").removesuffix("Z")
