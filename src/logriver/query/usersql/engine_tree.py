"""The engine's own reading of a user's statement, checked: the second wall behind `statement.py`. Pure.

`PARSE` gives the tree as JSON and runs nothing. Whatever the first parser misread, the engine would do no more than
this tree says: it may read the known tables only, call allowed functions only, and have no clause that reaches outside.
"""

import msgspec

from logriver.columns import COLUMNS, TABLE
from logriver.errors import BadQuery
from logriver.query.usersql import engine_scopes, scopes, syntax
from logriver.query.usersql.engine_scopes import Node, children
from logriver.query.usersql.functions import TAKES_TYPE, is_allowed, is_handed_over
from logriver.query.usersql.watermark_params import is_parameter

PARSE = "SELECT parseQueryToJSON({sql:String})"

_NODE_NAMES = """
    SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Subquery TablesInSelectQuery
    TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin WithElement Identifier Literal
    Function Asterisk QualifiedAsterisk ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer
    ColumnsReplaceTransformerReplacement WindowDefinition WindowListElement OrderByElement InterpolateElement
    QueryParameter
"""
_NODES = frozenset(_NODE_NAMES.split())
_OPERATORS = frozenset(
    {"lambda", "caseWithExpression", "exists", "in", "notIn", "grouping", "notLike", "notILike", "isNotNull"}
)
_TAKES_SET = frozenset({"in", "notIn"})
_OUTSIDE = ("settings", "format_ast", "out_file", "into_outfile", "sample_size", "prewhere")

_COLUMNS = frozenset(column.name for column in COLUMNS)


def check(parsed: str) -> None:
    """Refuse the statement with this tree, a JSON text, if it is not what `statement.py` meant. Raises `BadQuery`."""
    tree = msgspec.json.decode(parsed)
    _check_nodes(tree)
    scopes.check(engine_scopes.of(tree, TABLE, _COLUMNS))


def _check_nodes(tree: object) -> None:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if "type" in node:
                _check_node(node)
            # The value of a literal is the user's own.
            if node.get("type") != "Literal":
                waiting += [value for value in node.values() if type(value) in (dict, list)]


def _check_node(node: Node) -> None:
    kind = node["type"]
    if kind not in _NODES:
        raise BadQuery(f"not available in sql: {kind}")
    for part in _OUTSIDE:
        if node.get(part):
            raise BadQuery(f"not available in sql: {part}")
    if kind == "TableIdentifier" and "name_parts" in node:
        raise BadQuery(f"there is only the table 'logs', not {str(node.get('name'))[:60]!r}")
    if kind == "TableExpression" and "table_function" in node:
        raise BadQuery("table functions are not available")
    if kind == "WithElement" and node.get("name") == TABLE:
        raise BadQuery(f"the name {TABLE!r} is taken")
    if kind == "QueryParameter" and not is_parameter(str(node.get("name")), str(node.get("param_type"))):
        raise BadQuery("parameters are not available")
    if kind == "Function":
        _check_function(node)


def _check_function(node: Node) -> None:
    name = str(node["name"])
    if name not in _OPERATORS and not is_allowed(name):
        raise BadQuery(f"the function {name[:60]!r} is not available")
    arguments = children(node.get("arguments"))
    if is_handed_over(name, len(arguments)) and not _is_written_out(arguments[0]):
        raise BadQuery(f"{name[:60]!r} takes a lambda that is written out: x -> ..")
    last = arguments[-1] if arguments else {}
    if name in _TAKES_SET and last.get("type") in ("Identifier", "TableIdentifier"):
        raise BadQuery("after IN comes a list or a SELECT")
    if name.lower() in TAKES_TYPE:
        value = last.get("value")
        syntax.check_type(str(value.get("value")) if isinstance(value, dict) else "")


def _is_written_out(node: Node) -> bool:
    """Whether it is a lambda, or the number that may stand in its place."""
    is_lambda = node.get("type") == "Function" and node.get("name") == "lambda"
    return (is_lambda or node.get("type") == "Literal") and "alias" not in node
