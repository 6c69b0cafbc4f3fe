"""Hints for a search that found nothing: where its words would have matched, with the search text that finds them.

What may have been meant is tried, the likeliest first, each with a query for one record. All together end after
`MAX_SECONDS`: a hint is worth no waiting.
"""

import contextlib
import difflib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import anyio
from anyio.lowlevel import checkpoint

from logriver import clock
from logriver.columns import ALIASES, RESERVED, TABLE, attribute_key
from logriver.errors import LogriverError
from logriver.query.hints.hints import (
    as_field,
    in_any_case,
    name_of,
    other_name,
    other_operators,
    other_pipes,
    over_words,
    renamed,
    spaced,
    spaced_column,
    whole_day,
    written_elsewhere,
)
from logriver.query.language import parser, text
from logriver.query.language.tree import (
    And,
    Anywhere,
    Field,
    Not,
    Or,
    Part,
    Query,
    Search,
    Text,
    conjunction,
    disjunction,
)
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.registry import PIPES
from logriver.query.sql.field_conditions import kind_of
from logriver.search.fields import FieldList
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.search.unknown_fields import MAX_NAME, SAMPLE_ROWS, near_names, spellings
from logriver.watermark import Watermark

MAX_SECONDS = 1.0
_LIKENESS = 0.7
_OF_FEW_VALUES = ("level", "service", "host")
_MAX_VALUES = 500
_WITHOUT_SPACES = "a condition is a field, a colon and a value, without spaces"


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
    pipes: tuple[Pipe, ...] | None = None
    """Where they are others than the text's."""


_Named = tuple[str, Query]
"""A condition and the field that it is about."""


class Hints:
    """Finds hints; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._fields = FieldList(scheduler, watermark, materialized)

    async def hint(self, given: str, times: TimeRange) -> Hint | None:
        """What finds something where `given` does not; None if `given` does, nothing does, or that takes too long.

        `given` is a text that could be read. The hint is an extra: a query that fails gives none.
        """
        search = parser.parse(given)
        with contextlib.suppress(LogriverError), anyio.move_on_after(MAX_SECONDS):
            if await self._newest(_Guess("", search.where), times) is not None:
                return None
            async for guess in self._guesses(given, search.where, times):
                newest = await self._newest(guess, ANY_TIME if guess.any_time else times)
                if newest is not None:
                    pipes = search.pipes if guess.pipes is None else guess.pipes
                    query = text.search_text(Search(guess.where, pipes))
                    when = f", the newest at {clock.to_text(newest)}" if guess.any_time else ""
                    return Hint(f"{guess.message}{when}: `{query}`", query)
        return None

    async def _newest(self, guess: _Guess, times: TimeRange) -> int | None:
        """The time of the newest record that it finds, where that matters, else of any; None if there is none."""
        order = "ORDER BY timestamp DESC" if guess.any_time else ""
        try:
            made = filter_sql(guess.where, times, self._watermark(), self._materialized())
            asked = f"SELECT toUnixTimestamp64Nano(timestamp) FROM {TABLE} WHERE {made.sql} {order} LIMIT 1"
            answer = await self._scheduler.ask("hint", asked, made.params)
        except LogriverError:
            return None
        return int(str(answer.rows[0][0])) if answer.rows else None

    async def _guesses(self, given: str, query: Query, times: TimeRange) -> AsyncIterator[_Guess]:
        """What may be meant, the cheapest first: what stands in any field is looked for at last."""
        terms = _terms(query)
        fields = [(name, term) for term in terms if (name := name_of(term)) is not None]
        texts = [term for term in terms if isinstance(term, Text)]
        for guess in _other_readings(given, query, fields, texts):
            yield guess
        async for guess in self._near_names(query, fields, times):
            yield guess
        async for guess in self._near_values(query, fields):
            yield guess
        for guess in _last_guesses(query, fields, texts, times):
            yield guess
        conditions = spaced(given) if times != ANY_TIME else None
        if conditions:
            yield _Guess(f"{_WITHOUT_SPACES}; at other times", parser.parse(conditions).where, any_time=True)

    async def _near_names(self, query: Query, fields: list[_Named], times: TimeRange) -> AsyncIterator[_Guess]:
        """The same with names of fields that exist and are written nearly so."""
        unknown = [(name, condition) for name, condition in fields if name not in RESERVED]
        if not unknown:
            return
        sampled = await self._fields.sample(times=times, rows=SAMPLE_ROWS, of_each_source=True)
        names = {field.name for field in sampled.fields}
        written = spellings(names)
        for name, condition in unknown:
            # Comparing takes long, and the deadline is met only where something is waited for.
            await checkpoint()
            if attribute_key(name) in names:
                continue
            for meant in near_names(name, written):
                replaced = _replaced(query, condition, renamed(condition, meant))
                yield _Guess(f"there is no field {name[:60]!r}, but {meant[:60]!r}", replaced)

    async def _near_values(self, query: Query, fields: list[_Named]) -> AsyncIterator[_Guess]:
        """The same with values that exist and are written nearly so, of the columns that have few of them."""
        for name, condition in fields:
            column = ALIASES.get(name, name)
            if column not in _OF_FEW_VALUES or not isinstance(condition, Field):
                continue
            answer = await self._scheduler.ask("hint", f"SELECT DISTINCT {column} FROM {TABLE} LIMIT {_MAX_VALUES}", {})
            values = [str(value) for (value,) in answer.rows if value and len(str(value)) <= MAX_NAME]
            for near in _near(condition.value[:MAX_NAME], values):
                replaced = _replaced(query, condition, replace(condition, value=near))
                yield _Guess(f"no {name} is {condition.value[:60]!r}, but {near!r}", replaced)


def of_what_is_found(given: str) -> Hint | None:
    """What a text may be meant to be that finds something.

    `level: error` looks for two words, and `-service=api` leaves a text out.
    """
    conditions = spaced_column(given)
    if conditions:
        return Hint(f"{_WITHOUT_SPACES}: `{conditions}`", conditions)
    leaves_out = "-" in given or "NOT" in given
    if not leaves_out or not any(sign in given for sign in "=<>"):
        # Nearly every text: reading it once more would take a fiftieth of a page's time.
        return None
    search = parser.parse(given)
    meant = _with_negated_fields(search.where)
    if meant == search.where:
        return None
    query = text.search_text(Search(meant, search.pipes))
    return Hint(f"what is left out is a text, as a field it is: `{query}`", query)


def _with_negated_fields(query: Query) -> Query:
    match query:
        case Not(Text(left_out)):
            return Not(as_field(left_out) or Text(left_out))
        case Not(of):
            return Not(_with_negated_fields(of))
        case And(parts):
            return conjunction([_with_negated_fields(part) for part in parts])
        case Or(parts):
            return disjunction([_with_negated_fields(part) for part in parts])
    return query


def _other_readings(given: str, query: Query, fields: list[_Named], texts: list[Text]) -> Iterator[_Guess]:
    """What the text alone may mean else."""
    operators = other_operators(given)
    if operators:
        yield _Guess("operators are words in capitals", parser.parse(operators).where)
    elsewhere = written_elsewhere(given)
    if elsewhere:
        yield _Guess("here that is written so", parser.parse(elsewhere).where)
    piped = other_pipes(given)
    if piped:
        yield _Guess(f"pipes are {', '.join(PIPES)}", piped.where, pipes=piped.pipes)
    conditions = spaced(given)
    if conditions:
        yield _Guess(_WITHOUT_SPACES, parser.parse(conditions).where)
    for word in texts:
        condition = as_field(word.text)
        if condition is not None:
            yield _Guess(f"{word.text[:60]!r} is text, as a field there is", _replaced(query, word, condition))
    for name, condition in fields:
        yield from _other_conditions(query, name, condition)
    either = _either_value(query)
    if either is not None:
        yield _Guess("a field has one value, with OR there is", either)


def _either_value(query: Query) -> Query | None:
    """`status:(500 503)` with any of the values; None where no field has to have several."""
    parts = query.all if isinstance(query, And) else ()
    names = [part.name for part in parts if isinstance(part, Field)]
    name = next((name for name in names if names.count(name) > 1), None)
    if name is None:
        return None
    values: list[Query] = [part for part in parts if isinstance(part, Field) and part.name == name]
    return conjunction([disjunction(values), *(part for part in parts if part not in values)])


def _other_conditions(query: Query, name: str, condition: Query) -> Iterator[_Guess]:
    """What a condition on the field `name` may mean else."""
    if isinstance(condition, Field):
        day = whole_day(condition)
        if day is not None:
            yield _Guess("a time is one moment, of that day there is", _replaced(query, condition, day))
        quoted = Text(f"{name}:{condition.value}")
        yield _Guess("as a text in quotes there is", _replaced(query, condition, quoted))
    other = other_name(name)
    if other:
        moved = _replaced(query, condition, renamed(condition, other))
        yield _Guess(f"not in {name[:60]!r}, but in {other[:60]!r}", moved)


def _last_guesses(query: Query, fields: list[_Named], texts: list[Text], times: TimeRange) -> Iterator[_Guess]:
    """What is expensive to look for, or less likely meant."""
    for name, condition in fields:
        if (
            isinstance(condition, Field)
            and condition.value
            and kind_of(ALIASES.get(name, name)) in ("attribute", "text")
        ):
            said = f"no {name[:60]!r} is {condition.value[:60]!r}, but it is"
            yield _Guess(f"{said} there in another case", _replaced(query, condition, in_any_case(condition)))
            inside = Part(name, ("", condition.value, ""))
            yield _Guess(f"{said} in some", _replaced(query, condition, inside))
            yield _Guess(f"{said} the value of another field", _replaced(query, condition, Anywhere(condition.value)))
    yield from _parts_of_words(query, texts, begun=True)
    if times != ANY_TIME:
        begin, end = times.from_ns, times.to_ns
        is_empty = begin is not None and end is not None and begin >= end
        said = "these times end before they begin; at others" if is_empty else "nothing at these times, but at others"
        yield _Guess(said, query, any_time=True)
    for phrase in texts:
        words = phrase.text.split()
        if len(words) > 1:
            in_any_order = conjunction([Text(word) for word in words])
            yield _Guess("the words are there, not in this order", _replaced(query, phrase, in_any_order))
    for word in texts:
        if len(word.text.split()) == 1:
            yield _Guess(f"{word.text[:60]!r} is in a field", _replaced(query, word, Anywhere(word.text)))
    yield from _parts_of_words(query, texts, begun=False)


def _parts_of_words(query: Query, texts: list[Text], begun: bool) -> Iterator[_Guess]:
    """Words as the beginning of one, or as any part of one; and parts with several stars, which may mean many words."""
    for word in texts:
        if len(word.text.split()) == 1 and word.text[0].isalnum() and word.text[-1].isalnum():
            part = Part(None, (word.text, "")) if begun else Part(None, ("", word.text, ""))
            said = "some begin so" if begun else "some have it in them"
            yield _Guess(f"no word is {word.text[:60]!r}, but {said}", _replaced(query, word, part))
    for term in _terms(query):
        over = over_words(term) if begun and isinstance(term, Part) else None
        if over is not None:
            yield _Guess("a star stands within one word, over several there is", _replaced(query, term, over))


def _near(value: str, values: list[str]) -> list[str]:
    """Those of `values` that are written nearly as `value`, in any case."""
    folded = {there.casefold(): there for there in values}
    return [folded[near] for near in difflib.get_close_matches(value.casefold(), folded, n=2, cutoff=_LIKENESS)]


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
