"""Tokens to tree. Not binds closer than and, and closer than or; terms side by side are joined by and.

    either  = both ("OR" both)*
    both    = negated ("AND"? negated)*
    negated = "NOT"* (term | "(" either ")")

Each is a method below.
"""

from logriver.errors import BadQuery
from logriver.query.lexer import Token, tokens
from logriver.query.tree import Everything, Not, Query, Search, conjunction, disjunction

MAX_DEPTH = 50
"""Brackets and negations inside of each other; the engine's own limits are higher."""
MAX_TERMS = 500


def parse(text: str) -> Search:
    """The tree of a search text; an empty text is everything. Raises `BadQuery` with the position."""
    found = tokens(text)
    if sum(token.kind == "term" for token in found) > MAX_TERMS:
        raise BadQuery(f"a search text has at most {MAX_TERMS} terms")
    if found[0].kind == "end":
        return Search(Everything())
    # Nothing is left over: the lexer gives a closing bracket only for an open one, others are text.
    return Search(_Parser(found).either(depth=0))


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0

    def either(self, depth: int) -> Query:
        parts = [self.both(depth)]
        while self._take("OR"):
            parts.append(self.both(depth))
        return disjunction(parts)

    def both(self, depth: int) -> Query:
        parts = [self.negated(depth)]
        while self._take("AND") or self._next.kind in ("term", "NOT", "("):
            parts.append(self.negated(depth))
        return conjunction(parts)

    def negated(self, depth: int) -> Query:
        token = self._next
        if depth > MAX_DEPTH:
            raise BadQuery(f"brackets and negations go at most {MAX_DEPTH} deep", position=token.position)
        self.at += 1
        if token.kind == "NOT":
            return Not(self.negated(depth + 1))
        if token.kind == "(":
            inner = self.either(depth + 1)
            if not self._take(")"):
                raise BadQuery("the bracket is not closed", position=token.position, hint="add a ')' or use quotes")
            return inner
        if token.term is None:
            raise BadQuery(f"expected a word or a field{_before(token)}", position=token.position)
        return token.term

    @property
    def _next(self) -> Token:
        return self.tokens[self.at]

    def _take(self, kind: str) -> bool:
        if self._next.kind != kind:
            return False
        self.at += 1
        return True


def _before(token: Token) -> str:
    return " at the end" if token.kind == "end" else f" before {token.kind!r}"
