"""Hints for a search that found nothing: where its words would have matched, with the search text that finds them.

What may have been meant is tried, the likeliest first, each with a question for one record. All together end after
`MAX_SECONDS`: a hint is worth no waiting.
"""

import difflib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio

from logriver.columns import ALIASES, RESERVED, TABLE, attribute_key
from logriver.errors import LogriverError
from logriver.query import parser, text
from logriver.query.hints import lower_case_operators
from logriver.query.tree import And, Anywhere, Field, Not, Or, Query, Search, Text, conjunction, disjunction
from logriver.search.desk import Desk
from logriver.search.fields import FieldList
from logriver.search.scope import ANY_TIME, Times, where

MAX_SECONDS = 0.4
_SAMPLE_ROWS = 1_000
_LIKENESS = 0.7


@dataclass(frozen=True, slots=True)
class Hint:
    """A sentence that ends with `query` in backticks; `query` finds records within `times`."""

    message: str
    query: str


@dataclass(frozen=True, slots=True)
class _Guess:
    message: str
    where: Query
    any_time: bool = False


class Hints:
    """Finds hints; `promoted` are the keys of fields that have columns in the store."""

    def __init__(self, desk: Desk, mark: Callable[[], int], promoted: Callable[[], frozenset[str]]) -> None:
        self._desk = desk
        self._mark = mark
        self._promoted = promoted
        self._fields = FieldList(desk, mark, promoted)

    async def hint(self, given: str, times: Times) -> Hint | None:
        """What finds something where `given` does not; None if nothing does or that takes too long.

        `given` is a text that could be read. The hint is an extra: a question that fails gives none.
        """
        search = parser.parse(given)
        with anyio.move_on_after(MAX_SECONDS):
            async for guess in self._guesses(given, search.where, times):
                if await self._finds(guess, ANY_TIME if guess.any_time else times):
                    query = text.search_text(Search(guess.where, search.pipes))
                    return Hint(f"{guess.message}: `{query}`", query)
        return None

    async def _finds(self, guess: _Guess, times: Times) -> bool:
        try:
            wanted = where(guess.where, times, self._mark(), self._promoted())
            answer = await self._desk.ask("hint", f"SELECT 1 FROM {TABLE} WHERE {wanted.sql} LIMIT 1", wanted.params)
        except LogriverError:
            return False
        return bool(answer.rows)

    async def _guesses(self, given: str, query: Query, times: Times) -> AsyncIterator[_Guess]:
        """What may be meant, the cheap first: what stands in any field is looked for at last."""
        capitals = lower_case_operators(given)
        if capitals:
            yield _Guess("operators are in capitals", parser.parse(capitals).where)
        terms = _terms(query)
        fields = [term for term in terms if isinstance(term, Field)]
        for field in fields:
            yield _Guess("as a text in quotes there is", _replaced(query, field, Text(f"{field.name}:{field.value}")))
        async for guess in self._near_names(query, fields):
            yield guess
        if times != ANY_TIME:
            yield _Guess("nothing at these times, but at others", query, any_time=True)
        texts = [term for term in terms if isinstance(term, Text)]
        for phrase in texts:
            if len(phrase.text.split()) > 1:
                words = conjunction([Text(word) for word in phrase.text.split()])
                yield _Guess("the words are there, not in this order", _replaced(query, phrase, words))
        for word in texts:
            if len(word.text.split()) == 1:
                yield _Guess(f"{word.text[:60]!r} is in a field", _replaced(query, word, Anywhere(word.text)))

    async def _near_names(self, query: Query, fields: list[Field]) -> AsyncIterator[_Guess]:
        """The same with names of fields that exist and are written nearly so."""
        unknown = [field for field in fields if field.name not in RESERVED]
        if not unknown:
            return
        sampled = await self._fields.sample(rows=_SAMPLE_ROWS)
        names = {field.name for field in sampled.fields}
        # By its last part too: whoever asks for `status` may mean `http.status`.
        written = {name.rpartition(".")[2].lower(): name for name in names}
        written |= {name.lower(): name for name in (*names, *ALIASES)}
        for field in unknown:
            if attribute_key(field.name) in names:
                continue
            for near in difflib.get_close_matches(field.name.lower(), written, n=2, cutoff=_LIKENESS):
                meant = written[near]
                replaced = _replaced(query, field, Field(meant, field.value))
                yield _Guess(f"there is no field {field.name[:60]!r}, but {meant[:60]!r}", replaced)


def _terms(query: Query) -> list[Query]:
    """The conditions that have to hold, without those that must not."""
    match query:
        case And(parts) | Or(parts):
            return [term for part in parts for term in _terms(part)]
        case Not():
            return []
    return [query]


def _replaced(query: Query, old: Query, new: Query) -> Query:
    if query == old:
        return new
    match query:
        case And(parts):
            return conjunction([_replaced(part, old, new) for part in parts])
        case Or(parts):
            return disjunction([_replaced(part, old, new) for part in parts])
    return query
