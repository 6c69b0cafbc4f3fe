"""Names in a user's SQL: a column, something the statement itself names, or else a field of the records.

`resourceId`, `metadata.parentResourceId` and `attributes.resourceId` mean the field's text, as in a search; `traceId`
is the column that it is an alias of. The source that stands for `logs` gives each such field under its name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from logriver.columns import ALIASES, COLUMNS, TABLE, attribute_text, literal, materialized_columns
from logriver.errors import BadQuery
from logriver.query.sql import attribute_sql

TABLE_NAME = "logs"
SOURCE = "_visible"
"""What the engine calls the records that the statement sees."""

MAX_FIELDS = 100
MAX_TABLES = 20
# To read a field off the bytes halves what a statement over everything takes, but it is long SQL, which takes planning.
_READ_OFF = 3
OWN_COLUMNS = tuple(column.name for column in COLUMNS if column.name not in ("_slice", "_node", "_offset", "_level"))
# Of the table: a field that is asked for may have the name of a column.
_ID = f"concat({TABLE}._node, '-', toString({TABLE}._seq)) AS _id"
KNOWN = frozenset(OWN_COLUMNS) | {"_id"}


_ORDERING = ("max", "min", "maxif", "minif")

_Read = Callable[[str, Callable[[str], str]], str]


@dataclass(slots=True)
class Names:
    """What a statement names, each with the nodes that do so; and the fields that it asks for.

    Those that are `ordered` are sorted by, or the largest or smallest is looked for, as the texts that they are.
    """

    tables: set[str] = field(default_factory=lambda: {TABLE_NAME})
    defined: dict[str, list[exp.Expr]] = field(default_factory=dict)
    fields: dict[str, None] = field(default_factory=dict)
    ordered: dict[str, None] = field(default_factory=dict)

    def definitions(self, name: str, at: exp.Expr) -> list[exp.Expr]:
        """What else `name`, used at a place, may be the name of: not what the place itself is a part of."""
        return [definition for definition in self.defined.get(name, []) if not _is_inside(at, definition)]


def resolve(tree: exp.Expr) -> Names:
    """Read every name in `tree`; the table becomes `SOURCE` there, and fields become columns of it.

    Raises `BadQuery` for another table, and for names that would hide the table.
    """
    names = _defined(tree)
    ctes = {node.alias for node in tree.find_all(exp.CTE) if not node.args.get("scalar")}
    for name in (*ctes, *names.defined):
        if name in (TABLE_NAME, SOURCE):
            raise BadQuery(f"the name {name!r} is taken")
    tables = list(tree.find_all(exp.Table))
    if len(tables) > MAX_TABLES:
        raise BadQuery(f"a statement names 'logs' and its own tables at most {MAX_TABLES} times")
    for table in tables:
        _resolve_table(table, ctes)
    # Paths first: a column is the innermost part of a long one.
    for dot in [node for node in tree.find_all(exp.Dot) if not isinstance(node.parent, exp.Dot)]:
        _resolve_name(dot, names)
    for column in list(tree.find_all(exp.Column)):
        _resolve_name(column, names)
    if len(names.fields) > MAX_FIELDS:
        raise BadQuery(f"a statement names at most {MAX_FIELDS} fields")
    return names


def source(names: Names, materialized: frozenset[str], visible: str) -> str:
    """The SELECT that gives the records that are `visible`, an SQL condition, with the fields that are asked for."""
    read = attribute_sql.text if len(names.fields) <= _READ_OFF else attribute_text
    columns = [*OWN_COLUMNS, _ID, *(f"{_field(name, materialized, read)} AS `{name}`" for name in names.fields)]
    return f"SELECT {', '.join(columns)} FROM {TABLE} WHERE {visible}"


def _field(name: str, materialized: frozenset[str], read: _Read) -> str:
    if name in ALIASES:
        return ALIASES[name]
    key = name.removeprefix("attributes.")
    return f"{TABLE}.{materialized_columns(key)[0]}" if key in materialized else read(key, literal)


def _defined(tree: exp.Expr) -> Names:
    names = Names()
    for node in tree.walk():
        if isinstance(node, exp.Alias) or (isinstance(node, exp.CTE) and node.args.get("scalar")):
            names.defined.setdefault(node.alias, []).append(node)
        elif isinstance(node, exp.TableAlias):
            names.tables.add(node.name)
            for column in node.args.get("columns") or []:
                names.defined.setdefault(column.name, []).append(column)
        elif isinstance(node, exp.Lambda):
            for parameter in node.expressions:
                names.defined.setdefault(parameter.name, []).append(parameter)
    return names


def _resolve_table(table: exp.Table, ctes: set[str]) -> None:
    name = table.name
    if name in ctes:
        return
    if name != TABLE_NAME:
        raise BadQuery(f"there is only the table 'logs', not {name[:60]!r}")
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(TABLE_NAME, quoted=True)))
    table.set("this", exp.to_identifier(SOURCE, quoted=True))


def _resolve_name(node: exp.Expr, names: Names) -> None:
    parts = _parts(node)
    if not parts:
        return
    qualifier = parts[0] if len(parts) > 1 and parts[0] in names.tables else None
    rest = parts[1:] if qualifier else parts
    name = ".".join(rest)
    if name in KNOWN:
        return
    if names.definitions(rest[0], node):
        return
    names.fields[name] = None
    above = node.parent
    if isinstance(above, exp.Ordered) or (isinstance(above, exp.AggFunc) and above.name.lower() in _ORDERING):
        names.ordered[name] = None
    column = exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(qualifier, quoted=True))
    node.replace(column)


def _parts(node: exp.Expr) -> list[str]:
    """The names of a path, in order; none where it is not names alone: `t.1`, `f(x).a`, `l.*`."""
    after: list[str] = []
    while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        after.insert(0, node.expression.name)
        node = node.this
    if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
        return []
    return [*(part.name for part in node.parts), *after]


def _is_inside(node: exp.Expr, definition: exp.Expr) -> bool:
    above: exp.Expr | None = node
    while above is not None and above is not definition:
        above = above.parent
    return above is definition
