"""Records as two earlier systems gave them back: the newest first, under the names and levels that were sent."""

from collections.abc import Callable

import msgspec

from logriver import clock
from logriver.columns import TABLE
from logriver.compat.rules import RuleFilter
from logriver.query.sql.conditions import Condition
from logriver.query.sql.field_sql import value
from logriver.record import MAX_SEQ, given_name
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.watermark import Watermark

MAX_RESULTS = 10_000
"""Records of one answer."""

_SENT_LEVEL = "if(_level = '', level, _level)"

_COLUMNS = (
    "toUnixTimestamp64Nano(timestamp) AS timestamp_ns",
    "message",
    f"{_SENT_LEVEL} AS sent_level",
    "trace_id",
    "span_id",
    "service",
    "host",
    "attributes",
)
_NAMES = ("level", "traceId", "spanId", "service", "host")
_INGESTOR_KEYS = ("message", "spanId", "commit", "traceId", "timestamp", "metadata", "level", "resourceId")

Record = dict[str, object]
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class RecordSearch:
    """Finds records for the calls of the earlier systems; `materialized` are the keys of fields that have columns."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    async def records(self, filter: RuleFilter, limit: int, offset: int = 0) -> list[Record]:
        """`limit` records after the newest `offset`, every field as it came, absent ones left out.

        Raises what `QueryScheduler.ask` and `filter_sql` raise.
        """
        found = filter_sql(filter.query, filter.times, self._watermark(), self._materialized())
        # There are never more records than numbers.
        place = f"LIMIT {found.bind(limit, 'UInt64')} OFFSET {found.bind(min(offset, MAX_SEQ), 'UInt64')}"
        order = "ORDER BY timestamp DESC, _node DESC, _seq DESC"
        sql = f"SELECT {', '.join(_COLUMNS)} FROM {TABLE} WHERE {found.sql} {order} {place}"
        answer = await self._scheduler.ask("compat", sql, found.params)
        return [_record(row) for row in answer.rows]


def ingestor_record(record: Record) -> Record:
    """The eight keys that the log ingestor gave, null where the record has none."""
    return {key: record.get(key) for key in _INGESTOR_KEYS}


def sent_level(scope: Condition) -> str:
    """SQL for a record's level in the spelling that was sent."""
    return _SENT_LEVEL


def resource_id(scope: Condition) -> str:
    """SQL for the text of a record's resource id."""
    return value("resourceId", scope).sql


def _record(row: list[object]) -> Record:
    time_ns, message, *texts, attributes = row
    record: Record = {"timestamp": clock.to_text(int(str(time_ns))), "message": message}
    record.update((name, text) for name, text in zip(_NAMES, texts, strict=True) if text)
    if attributes not in ("", "{}"):
        record.update((given_name(name), value) for name, value in _fields(str(attributes)).items())
    return record
