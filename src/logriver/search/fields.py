"""The fields that records have, from a sample of the newest that match: names, types, and how many have each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from logriver.columns import GIVEN_BACK, TABLE, attribute_key
from logriver.query.language import parser
from logriver.query.sql.binding import Condition
from logriver.record import given_name
from logriver.search.cost import Cost
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.watermark import Watermark

SAMPLE_ROWS = 10_000
MAX_FIELDS = 1_000
"""Fields of an answer, those that most records have."""
_SAMPLE_BYTES = 16_000_000
_RECORD_BYTES = 64_000
# Records that are looked at for the newest of each source, for each that is taken.
_TIMES_AS_MANY = 40
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", type(None): "null"}
_COLUMN_TYPES = dict.fromkeys(("timestamp", "_received"), "time")
_TEXT_COLUMNS = tuple(name for name in GIVEN_BACK if name not in _COLUMN_TYPES)

_decode = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its `types`, the most frequent first, and the share of the sampled records that have it."""

    name: str
    types: list[str]
    share: float
    materialized: bool
    column: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields by their share; `sampled` is how many records they were found in, `complete` whether these are all."""

    fields: list[Field]
    sampled: int
    complete: bool
    cost: Cost


class FieldList:
    """Lists fields; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def sample(
        self, text: str = "", times: TimeRange = ANY_TIME, rows: int = SAMPLE_ROWS, of_each_source: bool = False
    ) -> Fields:
        """The fields of the newest `rows` records that match. Raises `BadQuery`, and what `QueryScheduler.ask` raises.

        `of_each_source`: of the newest of each source and service, so that none with many records hides the others.
        """
        materialized = self._materialized()
        condition = filter_sql(parser.parse(text).where, times, self._watermark(), materialized)
        cost = Cost()
        answer = cost.add(await self._scheduler.ask("fields", _sql(condition, rows, of_each_source), condition.params))
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for attributes, *there in answer.rows:
            for path, value in _leaves(_decode(str(attributes))):
                found[path][_TYPES[type(value)]] += 1
            for name, filled in zip(_TEXT_COLUMNS, there, strict=True):
                if filled:
                    found[name]["string"] += 1
        sampled = len(answer.rows)
        columns = [Field(name, [kind], 1.0, False, True) for name, kind in _COLUMN_TYPES.items() if sampled]
        fields = columns + [_field(name, types, sampled, materialized) for name, types in found.items()]
        fields.sort(key=lambda field: (not field.column, -field.share, field.name))
        return Fields(fields[:MAX_FIELDS], sampled, sampled < rows and len(fields) <= MAX_FIELDS, cost)


def _sql(condition: Condition, rows: int, of_each_source: bool) -> str:
    """The newest records, as many as fit; of a very large one only the columns."""
    there = ", ".join(f"{name} != '' AS has_{name}" for name in _TEXT_COLUMNS)
    newest = "timestamp DESC, _node DESC, _seq DESC"
    fields = f"if(length(attributes) <= {_RECORD_BYTES}, attributes, '{{}}') AS fields"
    records = f"{TABLE} WHERE {condition.sql}"
    if of_each_source:
        # The newest of each, then the second newest of each, and so on.
        rank = f"row_number() OVER (PARTITION BY _source, service ORDER BY {newest})"
        many = f"SELECT * FROM {records} ORDER BY {newest} LIMIT {rows * _TIMES_AS_MANY}"
        records = f"(SELECT *, {rank} AS rank FROM ({many})) ORDER BY rank, {newest}"
    else:
        records += f" ORDER BY {newest}"
    sample = f"SELECT timestamp, _node, _seq, {fields}, {there} FROM {records} LIMIT {condition.bind(rows, 'UInt64')}"
    up_to = f"sum(length(fields)) OVER (ORDER BY {newest} ROWS UNBOUNDED PRECEDING) AS up_to"
    names = ", ".join(f"has_{name}" for name in _TEXT_COLUMNS)
    return f"SELECT fields, {names} FROM (SELECT *, {up_to} FROM ({sample})) WHERE up_to <= {_SAMPLE_BYTES}"


def _leaves(fields: dict[str, object]) -> Iterator[tuple[str, object]]:
    """The paths of a record under which it is searched, with their values; lists are values."""
    waiting = [(given_name(name), value) for name, value in fields.items()]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}", inner) for name, inner in value.items()]
        else:
            yield path, value


def _field(name: str, types: Counter[str], sampled: int, materialized: frozenset[str]) -> Field:
    # A key with a dot in its name and a path may mean the same field, and one record have both.
    share = min(1.0, types.total() / sampled)
    column = name in _TEXT_COLUMNS
    kinds = [kind for kind, _ in types.most_common()]
    return Field(name, kinds, round(share, 4), not column and attribute_key(name) in materialized, column)
