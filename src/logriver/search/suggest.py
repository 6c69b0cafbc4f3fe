"""Completions of a search text that is being typed, from the newest records and the words of the language."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from logriver.columns import ALIASES, TABLE
from logriver.levels import LEVELS
from logriver.query.hints.suggest import Completion, complete
from logriver.query.language.text import column_name, field_name, value_text
from logriver.query.language.tree import Everything
from logriver.query.language.words import FUNCTION_EXAMPLES
from logriver.query.pipes.registry import PIPES
from logriver.query.sql import field_sql
from logriver.search.fields import FieldList
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME
from logriver.watermark import Watermark

MAX_ITEMS = 30
# A suggestion has to be there before the next key is pressed, so few records are read.
_FIELD_ROWS = 500
_VALUE_ROWS = 10_000
_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Item:
    """A `text` to put at the cursor, and what it is."""

    text: str
    detail: str


_TABLE_PIPES = "|".join(keyword for keyword, pipe in PIPES.items() if pipe.makes_table)
_MAKES_TABLE = re.compile(rf"\|\s*(?:{_TABLE_PIPES})\b")


class Suggestions:
    """Suggests; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self,
        scheduler: QueryScheduler,
        watermark: Callable[[], Watermark],
        materialized: Callable[[], frozenset[str]],
        fields: FieldList,
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._fields = fields

    async def at(self, text: str, at: int) -> tuple[Completion, list[Item]]:
        """What is being typed at the character `at` of `text`, and what it may become, the likeliest first."""
        completion = complete(text, at)
        items: list[Item] = []
        match completion.kind:
            case "pipe":
                has_table = _MAKES_TABLE.search(text, 0, completion.start) is not None
                fitting = (pipe for pipe in PIPES.values() if has_table or not pipe.needs_table)
                items = [Item(pipe.keyword, pipe.example) for pipe in fitting]
            case "value":
                items = await self._values(completion.field)
            case "field":
                after = "" if text[completion.end : completion.end + 1] == ":" else ":"
                items = [
                    Item(f"{field_name(name)}{after}", detail) for name, detail in await self._names(completion.prefix)
                ]
            case "column" if completion.columns:
                items = [Item(column_name(name), "column of the result") for name in completion.columns]
            case "column":
                items = [Item(column_name(name), detail) for name, detail in await self._names(completion.prefix)]
        items += [Item(word, FUNCTION_EXAMPLES.get(word.removesuffix("("), "")) for word in completion.keywords]
        return completion, _fitting(items, completion.prefix)

    async def _names(self, prefix: str) -> list[tuple[str, str]]:
        """Names of fields with their types; other names of columns only for one who begins to type them."""
        found = (await self._fields.sample(rows=_FIELD_ROWS)).fields
        if not any(prefix.casefold() in field.name.casefold() for field in found):
            # Three times as long, so not with each key: names of sources that are not among the newest.
            found = (await self._fields.sample(rows=_FIELD_ROWS, of_each_source=True)).fields
        names = {field.name: " or ".join(field.types) for field in found}
        if prefix:
            names |= {alias: f"means {column}" for alias, column in ALIASES.items() if alias not in names}
        return list(names.items())

    async def _values(self, field: str) -> list[Item]:
        """Values of `field` in the newest records, the most frequent first."""
        condition = filter_sql(Everything(), ANY_TIME, self._watermark(), self._materialized())
        value = field_sql.value(field, condition)
        newest = (
            f"SELECT {value.text} AS value FROM {TABLE} WHERE {condition.sql}"
            f" ORDER BY timestamp DESC, _node DESC, _seq DESC LIMIT {_VALUE_ROWS}"
        )
        each = field_sql.each_value(field, "value")
        sql = (
            f"SELECT {each} AS one, count() AS records FROM ({newest}) WHERE isNotNull(value)"
            f" GROUP BY one ORDER BY records DESC, one LIMIT {_VALUES}"
        )
        rows = (await self._scheduler.ask("suggest", sql, condition.params)).rows
        values = {str(text): f"in {count} of the newest {_VALUE_ROWS} records" for text, count in rows}
        if ALIASES.get(field) == "level":
            values |= {level: "level" for level in LEVELS if level not in values}
        return [Item(value_text(text), detail) for text, detail in values.items()]


def _fitting(items: Iterable[Item], prefix: str) -> list[Item]:
    """Those that begin with what is typed, then those that hold it."""
    typed = prefix.casefold()
    ranked = [(_rank(item.text.casefold().lstrip('"`'), typed), item) for item in items]
    return [item for rank, item in sorted(ranked, key=lambda pair: pair[0]) if rank < _NOT_AT_ALL][:MAX_ITEMS]


_NOT_AT_ALL = 2


def _rank(text: str, typed: str) -> int:
    return 0 if text.startswith(typed) else 1 if typed in text else _NOT_AT_ALL
