"""The engine's own reading of a user's statement, checked: the second wall behind `statement.py`. Pure.

`PARSE` gives the tree as JSON and runs nothing. Whatever the first parser misread, the engine would do no more than
this tree says: it may read the known tables only, call allowed functions only, and have no clause that reaches outside.
"""

import msgspec

from logriver.errors import BadQuery
from logriver.query.usersql import syntax
from logriver.query.usersql.functions import TAKES_TYPE, is_allowed

PARSE = "SELECT parseQueryToJSON({sql:String})"

_NODE_NAMES = """
    SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Subquery TablesInSelectQuery
    TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin WithElement Identifier Literal
    Function Asterisk QualifiedAsterisk ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer
    ColumnsReplaceTransformerReplacement WindowDefinition WindowListElement OrderByElement InterpolateElement
    QueryParameter
"""
_NODES = frozenset(_NODE_NAMES.split())
_PARAMETERS = frozenset({"mark"})
_OPERATORS = frozenset(
    {"lambda", "caseWithExpression", "exists", "in", "notIn", "grouping", "notLike", "notILike", "isNotNull"}
)
_TAKES_SET = frozenset({"in", "notIn"})
_OUTSIDE = ("settings", "format_ast", "out_file", "into_outfile", "sample_size", "prewhere")

Node = dict[str, object]


def check(parsed: str, tables: frozenset[str]) -> None:
    """Refuse the statement with this tree, a JSON text, if it is not what `statement.py` meant. Raises `BadQuery`."""
    waiting: list[object] = [msgspec.json.decode(parsed)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if "type" in node:
                _check_node(node, tables)
            # The value of a literal is the user's own.
            waiting += [value for part, value in node.items() if not (part == "value" and node["type"] == "Literal")]


def _check_node(node: Node, tables: frozenset[str]) -> None:
    kind = node["type"]
    if kind not in _NODES:
        raise BadQuery(f"not available in sql: {kind}")
    for part in _OUTSIDE:
        if node.get(part):
            raise BadQuery(f"not available in sql: {part}")
    if kind == "TableIdentifier" and node.get("name") not in tables:
        raise BadQuery(f"there is only the table 'logs', not {str(node.get('name'))[:60]!r}")
    if kind == "TableExpression" and "table_function" in node:
        raise BadQuery("table functions are not available")
    if kind == "QueryParameter" and node.get("name") not in _PARAMETERS:
        raise BadQuery("parameters are not available")
    if kind == "Function":
        _check_function(node)


def _check_function(node: Node) -> None:
    name = str(node["name"])
    if name not in _OPERATORS and not is_allowed(name):
        raise BadQuery(f"the function {name[:60]!r} is not available")
    last = _last_argument(node)
    if name in _TAKES_SET and last.get("type") in ("Identifier", "TableIdentifier"):
        raise BadQuery("after IN comes a list or a SELECT")
    if name.lower() in TAKES_TYPE:
        value = last.get("value")
        syntax.check_type(str(value.get("value")) if isinstance(value, dict) else "")


def _last_argument(node: Node) -> Node:
    arguments = node.get("arguments")
    children = arguments.get("children") if isinstance(arguments, dict) else None
    return children[-1] if isinstance(children, list) and children else {}
