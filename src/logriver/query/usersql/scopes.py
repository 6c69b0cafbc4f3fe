"""Where the names of a statement come from: from the SELECT that uses them, or from nowhere. Pure, for both walls.

The engine takes a name that no column has for the name of a function, in the places where a function can be handed
over. So a name that could be one has to be given by its own SELECT: by a table in its FROM, by an alias, or as the
parameter of a lambda around it; or by the WITH of a query around it. What another SELECT gives does not count.

Each wall makes the scopes from its own tree. What is unknown here is not given: this may refuse, and never allow, what
the engine sees otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from logriver.errors import BadQuery
from logriver.query.usersql.functions import ENGINE_FUNCTIONS

Inside = frozenset[str]
"""The aliases in whose definition a place is: there they do not stand for themselves."""


@dataclass(slots=True)
class Relation:
    """A table in FROM, or a CTE, under its `label`: it has these `columns`, else those of `query`, else of a `cte`."""

    label: str
    columns: frozenset[str] = frozenset()
    query: "Query | None" = None
    cte: str = ""


@dataclass(slots=True)
class Star:
    """`*`, or that of the table with a `label`; not the columns `without`."""

    label: str = ""
    without: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Query:
    """A SELECT inside of another query, or several joined by UNION and the like; it has the columns of the `first`.

    `values` are the names that its WITH gives to other things than queries, `needed` what the definition of each alias
    names, and where. It stands in the definition of the aliases `inside`.
    """

    inside_of: "Query | None" = None
    inside: Inside = frozenset()
    first: "Scope | Query | None" = None
    ctes: dict[str, Relation] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)
    needed: dict[str, list[tuple["Scope", tuple[str, ...]]]] = field(default_factory=dict)
    _known: dict[str, bool] = field(default_factory=dict)

    def gives(self, name: str) -> bool:
        """Whether it has a column of that name."""
        return self.first is not None and self.first.gives(name)

    def cte(self, name: str) -> Relation | None:
        """The CTE that `name` means here: not one in whose own definition this is."""
        passed: list[Query] = []
        here: Query | None = self
        while here is not None:
            found = here.ctes.get(name)
            if found and not any(found.query is query for query in passed):
                return found
            passed.append(here)
            here = here.inside_of
        return None

    def has_value(self, name: str, inside: Inside) -> bool:
        """Whether this query's WITH, or that of one around it, gives `name` to a value."""
        here: Query | None = self
        while here is not None:
            if name in here.values and name not in inside and here.is_known(name):
                return True
            inside |= here.inside
            here = here.inside_of
        return False

    def is_known(self, alias: str) -> bool:
        """Whether all that the definition of an alias names is there, without going in a circle.

        What WITH defines and nothing reads is not looked at by the engine. Where its definition means nothing, or goes
        in a circle, the name is unknown, and the engine looks for a function.
        """
        if alias not in self._known:
            # What needs it in turn is a circle.
            self._known[alias] = False
            self._known[alias] = all(scope.resolves(parts) for scope, parts in self.needed.get(alias, ()))
        return self._known[alias]

    def note(self, scope: "Scope", parts: tuple[str, ...], inside: Inside) -> None:
        """Note that the definitions of aliases here, and of those around this query, use a name in a `scope`."""
        here: Query | None = self
        while here is not None:
            for alias in inside:
                here.needed.setdefault(alias, []).append((scope, parts))
            # The WITH of the first of several joined queries is that of all.
            around = here.inside_of
            inside = here.inside | (inside if around is not None and around.first is here else frozenset())
            here = around


@dataclass(slots=True, eq=False)
class Scope:
    """A SELECT that belongs to `query`; or a lambda's body with its `parameters`, `around` which is such a scope."""

    query: Query
    around: "Scope | None" = None
    parameters: frozenset[str] = frozenset()
    relations: list[Relation] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)
    columns: list[tuple[str, ...]] = field(default_factory=list)
    stars: list[Star] = field(default_factory=list)
    uses: list[tuple[tuple[str, ...], Inside]] = field(default_factory=list)
    _given: dict[str, bool] = field(default_factory=dict)

    def use(self, parts: tuple[str, ...], inside: Inside) -> None:
        """Note that a name is used here, which may stand behind the label of a table."""
        self.query.note(self, parts, inside)
        if is_reserved(parts[-1]):
            self.uses.append((parts, inside))

    def gives(self, name: str) -> bool:
        """Whether this SELECT has a column of that name."""
        if name not in self._given:
            # Until it is known: a statement may go in circles.
            self._given[name] = False
            starred = any(name not in star.without and self.has(name, star.label) for star in self.stars)
            self._given[name] = starred or self._is_named(name)
        return self._given[name]

    def _is_named(self, name: str) -> bool:
        labels = {relation.label for relation in self.relations}
        return any(parts[-1] == name and (len(parts) == 1 or parts[0] in labels) for parts in self.columns)

    def has(self, name: str, label: str = "") -> bool:
        """Whether one of the tables in FROM, or the one with that label, has a column of that name."""
        return any(self._relation_gives(relation, name) for relation in self.relations if label in ("", relation.label))

    def _relation_gives(self, relation: Relation, name: str) -> bool:
        made = self.query.cte(relation.cte) if relation.cte and not relation.columns else relation
        if made is None or made.columns:
            return made is not None and name in made.columns
        return made.query is not None and made.query.gives(name)

    def knows(self, parts: tuple[str, ...], inside: Inside) -> bool:
        """Whether a name means something here that this SELECT gives itself."""
        *labels, name = parts
        scope: Scope | None = self
        while scope is not None:
            if scope.has(name, labels[-1] if labels else ""):
                return True
            if not labels and (name in scope.parameters or self._is_alias(name, scope, inside)):
                return True
            scope = scope.around
        return not labels and self.query.has_value(name, inside)

    def _is_alias(self, name: str, scope: "Scope", inside: Inside) -> bool:
        return name in scope.aliases and name not in inside and self.query.is_known(name)

    def resolves(self, parts: tuple[str, ...]) -> bool:
        """Whether a name in the definition of an alias, reserved or not, means something."""
        first, *others = parts
        scope: Scope | None = self
        while scope is not None:
            if scope.has(parts[-1], parts[-2] if others else ""):
                return True
            if not others and (first in scope.parameters or (first in scope.aliases and self.query.is_known(first))):
                return True
            scope = scope.around
        here: Query | None = None if others else self.query
        while here is not None:
            if first in here.values and here.is_known(first):
                return True
            here = here.inside_of
        return False


def is_reserved(name: str) -> bool:
    """Whether the engine might know `name` though nobody gives it: as a function, or as a column of its own."""
    return name.lower() in ENGINE_FUNCTIONS or name.startswith("_")


def check(scopes: Iterable[Scope]) -> None:
    """Refuse the use of a table that is none of the statement's, and of a reserved name that its SELECT does not give.

    Raises `BadQuery`.
    """
    for scope in scopes:
        for relation in scope.relations:
            if relation.cte and scope.query.cte(relation.cte) is None:
                raise BadQuery(f"there is only the table 'logs', not {relation.cte[:60]!r}")
        for parts, inside in scope.uses:
            name = parts[-1]
            # Behind a label the engine looks for a column only.
            if (len(parts) == 1 or name.startswith("_")) and not scope.knows(parts, inside):
                raise BadQuery(
                    f"unknown expression identifier {name[:60]!r}: no table of this SELECT has such a column",
                    hint="a function is called, name(..); one that is handed over is written out, x -> name(x)",
                )
