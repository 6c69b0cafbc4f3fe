"""The scopes of a statement as the first wall reads it: from sqlglot's tree, once its fields are known."""

from sqlglot import exp

from logriver.query.usersql.scopes import Inside, Query, Relation, Scope, Star

_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Table)
_NOWHERE: Inside = frozenset()
# Where `x AS name` gives no alias.
_RENAMING: dict[type[exp.Expr], str] = {exp.Star: "replace", exp.WithFill: "interpolate"}


class _Builder:
    """Walks a tree without recursion: a statement may go deep."""

    def __init__(self, table: str, columns: frozenset[str]) -> None:
        self.scopes: list[Scope] = []
        self._table = table
        self._columns = columns
        self._queries: list[tuple[exp.Expr, Query]] = []
        self._expressions: list[tuple[exp.Expr, Scope, Inside]] = []

    def build(self, tree: exp.Expr) -> None:
        self._begin(tree, None)
        while self._queries or self._expressions:
            if self._expressions:
                self._expression(*self._expressions.pop())
            else:
                self._query(*self._queries.pop())

    def _begin(self, node: exp.Expr, inside_of: Query | None, inside: Inside = _NOWHERE) -> Query:
        query = Query(inside_of, inside)
        self._queries.append((node, query))
        return query

    def _scope(self, query: Query, around: Scope | None = None) -> Scope:
        scope = Scope(query, around)
        self.scopes.append(scope)
        return scope

    def _query(self, node: exp.Expr, query: Query) -> None:
        scope = self._scope(query)
        if isinstance(node, exp.Select):
            query.first = scope
            for projection in node.expressions:
                _name_column(projection, scope)
        elif isinstance(node, exp.Table):
            query.first = scope
            scope.stars.append(Star())
            self._source(node, scope)
        else:
            # The SELECT itself is one more query; ORDER BY and LIMIT around it have no names of their own.
            query.first = self._begin(node.this, query)
        for part, value in node.args.items():
            if not isinstance(node, exp.Select) and part in ("this", "alias", "joins"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr):
                    self._expressions.append((child, scope, _NOWHERE))

    def _source(self, node: exp.Expr, scope: Scope) -> None:
        """What stands in FROM or behind JOIN."""
        alias = node.args.get("alias")
        columns = frozenset(column.name for column in (alias.args.get("columns") or [] if alias else []))
        if isinstance(node, exp.Table):
            is_records = node.name == self._table
            known = columns or (self._columns if is_records else frozenset())
            scope.relations.append(Relation(node.alias_or_name, known, cte="" if is_records else node.name))
            for join in node.args.get("joins") or []:
                self._expressions.append((join, scope, _NOWHERE))
        else:
            scope.relations.append(Relation(node.alias, columns, self._begin(node, scope.query)))

    def _expression(self, node: exp.Expr, scope: Scope, inside: Inside) -> None:
        if isinstance(node, exp.From | exp.Join):
            self._from(node, scope)
        elif isinstance(node, exp.CTE) and not node.args.get("scalar"):
            columns = frozenset(column.name for column in node.args["alias"].args.get("columns") or [])
            query = self._begin(node.this, scope.query)
            scope.query.ctes[node.alias] = Relation(node.alias, columns, query)
        elif isinstance(node, exp.Alias | exp.CTE):
            scope.aliases.add(node.alias)
            if isinstance(node, exp.CTE):
                scope.query.values.add(node.alias)
            self._expressions.append((_without_alias(node.this), scope, inside | {node.alias}))
        elif isinstance(node, _QUERIES):
            scope.aliases |= {node.alias} - {""}
            self._begin(node, scope.query, inside)
        elif isinstance(node, exp.Lambda):
            body = self._scope(scope.query, around=scope)
            body.parameters = frozenset(parameter.name for parameter in node.expressions)
            self._expressions.append((node.this, body, inside))
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
            scope.use(tuple(part.name for part in node.parts), inside)
        else:
            self._children(node, scope, inside)

    def _from(self, node: exp.Expr, scope: Scope) -> None:
        if isinstance(node.this, _QUERIES):
            self._source(node.this, scope)
        for child in node.iter_expressions():
            if child is not node.this or not isinstance(child, _QUERIES):
                self._expressions.append((child, scope, _NOWHERE))

    def _children(self, node: exp.Expr, scope: Scope, inside: Inside) -> None:
        renaming = _RENAMING.get(type(node))
        for part, value in node.args.items():
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr) and not (isinstance(node, exp.Star) and part == "except_"):
                    is_renamed = renaming == part and isinstance(child, exp.Alias)
                    self._expressions.append((child.this if is_renamed else child, scope, inside))


def _without_alias(node: exp.Expr) -> exp.Expr:
    """Of two aliases for one thing, `((x AS a) AS b)`, the engine keeps the outer."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    return _without_alias(inner.this) if isinstance(inner, exp.Alias) else node


def _name_column(node: exp.Expr, scope: Scope) -> None:
    while isinstance(node, exp.Paren):
        node = node.this
    star = node.this if isinstance(node, exp.Column) else node
    if isinstance(star, exp.Star):
        label = node.table if isinstance(node, exp.Column) else ""
        without = frozenset(column.name for column in star.args.get("except_") or [])
        scope.stars.append(Star(label, without))
    elif isinstance(node, exp.Column):
        scope.columns.append(tuple(part.name for part in node.parts))
    elif node.alias:
        scope.columns.append((node.alias,))


def of(tree: exp.Expr, table: str, columns: frozenset[str]) -> list[Scope]:
    """The scopes of `tree`, in which `table` has these `columns`."""
    builder = _Builder(table, columns)
    builder.build(tree)
    return builder.scopes
