"""The scopes of a statement as the engine reads it: from the tree that it gives as JSON, for the second wall."""

from logriver.errors import BadQuery
from logriver.query.usersql.scopes import Inside, Query, Relation, Scope, Star

Node = dict[str, object]

_QUERIES = ("SelectWithUnionQuery", "SelectIntersectExceptQuery")
_NO_USES = ("Literal", "ColumnsExceptTransformer")
_NODES = (dict, list)
_NOWHERE: Inside = frozenset()


class _Builder:
    """Walks a tree without recursion: a statement may go deep."""

    def __init__(self, table: str, columns: frozenset[str]) -> None:
        self.scopes: list[Scope] = []
        self._table = table
        self._columns = columns
        self._queries: list[tuple[Node, Query]] = []
        self._expressions: list[tuple[object, Scope, Inside]] = []

    def build(self, tree: Node) -> None:
        self._begin(tree, None)
        while self._queries or self._expressions:
            if self._expressions:
                self._expression(*self._expressions.pop())
            else:
                self._query(*self._queries.pop())

    def _begin(self, node: Node, inside_of: Query | None, inside: Inside = _NOWHERE) -> Query:
        query = Query(inside_of, inside)
        self._queries.append((node, query))
        return query

    def _scope(self, query: Query, around: Scope | None = None) -> Scope:
        scope = Scope(query, around)
        self.scopes.append(scope)
        return scope

    def _query(self, node: Node, query: Query) -> None:
        if node.get("type") == "SelectQuery":
            query.first = self._select(node, query)
            return
        selects = [self._begin(part, query) for part in children(node.get("list_of_selects") or node)]
        query.first = selects[0] if selects else None
        scope = self._scope(query)
        for part, value in node.items():
            if part not in ("list_of_selects", "children"):
                self._expressions.append((value, scope, _NOWHERE))

    def _select(self, node: Node, query: Query) -> Scope:
        scope = self._scope(query)
        # The CTEs of the first SELECT are those of all that are joined by UNION.
        above = query.inside_of
        holder = above if above is not None and above.first is query else query
        for element in children(node.get("with")):
            if element.get("type") == "WithElement":
                made = self._begin(_inner(element.get("subquery")), holder)
                name = str(element.get("name"))
                holder.ctes[name] = Relation(name, _names(element.get("aliases")), made)
            else:
                holder.values |= {str(element.get("alias", ""))}
                self._expressions.append((element, scope, _NOWHERE))
        for element in children(node.get("tables")):
            self._table_in_from(element, scope)
        for column in children(node.get("select")):
            _name_column(column, scope)
        for part, value in node.items():
            if part not in ("with", "tables", "cte_aliases"):
                self._expressions.append((value, scope, _NOWHERE))
        return scope

    def _table_in_from(self, element: Node, scope: Scope) -> None:
        table = element.get("table_expression")
        if isinstance(table, dict):
            columns = _names(table.get("column_aliases"))
            if isinstance(named := table.get("database_and_table_name"), dict):
                scope.relations.append(self._named(named, columns))
            if isinstance(subquery := table.get("subquery"), dict):
                made = self._begin(_inner(subquery), scope.query)
                scope.relations.append(Relation(str(subquery.get("alias", "")), columns, made))
        for part, value in element.items():
            if part != "table_expression":
                self._expressions.append((value, scope, _NOWHERE))

    def _named(self, node: Node, columns: frozenset[str]) -> Relation:
        name = str(node.get("name"))
        is_records = name == self._table
        known = columns or (self._columns if is_records else frozenset())
        return Relation(str(node.get("alias") or name), known, cte="" if is_records else name)

    def _expression(self, node: object, scope: Scope, inside: Inside) -> None:
        if isinstance(node, list):
            self._expressions += [(value, scope, inside) for value in node]
        if not isinstance(node, dict):
            return
        if alias := node.get("alias"):
            scope.aliases.add(str(alias))
            inside |= {str(alias)}
        kind = node.get("type")
        if kind == "Identifier":
            scope.use(_parts(node), inside)
        elif kind == "Subquery" or kind in _QUERIES:
            self._begin(_inner(node), scope.query, inside)
        elif kind == "Function" and node.get("name") == "lambda":
            inner = self._scope(scope.query, around=scope)
            inner.parameters, body = _lambda(node)
            self._expressions.append((body, inner, inside))
        elif kind not in _NO_USES:
            values = [value for part, value in node.items() if part != "qualifier" and type(value) in _NODES]
            self._expressions += [(value, scope, inside) for value in values]


def children(node: object) -> list[Node]:
    """What a list in the tree has."""
    inner = node.get("children") if isinstance(node, dict) else None
    return [child for child in inner if isinstance(child, dict)] if isinstance(inner, list) else []


def _inner(node: object) -> Node:
    """The query in brackets."""
    while isinstance(node, dict) and node.get("type") == "Subquery":
        node = next(iter(children(node)), None)
    return node if isinstance(node, dict) else {}


def _names(node: object) -> frozenset[str]:
    return frozenset(str(child.get("name")) for child in children(node))


def _parts(node: Node) -> tuple[str, ...]:
    parts = node.get("name_parts")
    return tuple(map(str, parts)) if isinstance(parts, list) else (str(node.get("name")),)


def _lambda(node: Node) -> tuple[frozenset[str], Node]:
    """Its parameters and its body."""
    arguments = children(node.get("arguments"))
    parameters = children(arguments[0].get("arguments")) if len(arguments) == 2 else []
    if not parameters or any(parameter.get("type") != "Identifier" for parameter in parameters):
        raise BadQuery("a lambda is written x -> .. or (x, y) -> ..")
    return frozenset(str(parameter.get("name")) for parameter in parameters), arguments[1]


def _name_column(node: Node, scope: Scope) -> None:
    """What the SELECT calls one of its columns."""
    kind = node.get("type")
    if alias := node.get("alias"):
        scope.columns.append((str(alias),))
    elif kind == "Identifier":
        scope.columns.append(_parts(node))
    elif kind in ("Asterisk", "QualifiedAsterisk"):
        transformers = children(node.get("transformers"))
        without = [_names(part) for part in transformers if part.get("type") == "ColumnsExceptTransformer"]
        qualifier = node.get("qualifier")
        label = str(qualifier.get("name")) if isinstance(qualifier, dict) else ""
        scope.stars.append(Star(label, frozenset().union(*without)))


def of(tree: Node, table: str, columns: frozenset[str]) -> list[Scope]:
    """The scopes of `tree`, in which `table` has these `columns`."""
    builder = _Builder(table, columns)
    builder.build(tree)
    return builder.scopes
