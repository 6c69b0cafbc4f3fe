"""The records of a followed file by their offsets, for whoever proves that every line of it is stored.

Of a record there is its offset, its times, and a hash of all else that a decoder made of its line. `_source` and
`_offset` have no index, so each request reads these two columns of all records, and little of the others.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from logriver import clock
from logriver.columns import HASHED_COLUMNS, TABLE
from logriver.query.sql import watermark_sql
from logriver.query.sql.binding import Condition
from logriver.search.scheduler import QueryScheduler
from logriver.watermark import Watermark

MAX_SPAN_BYTES = 16_000_000
"""So many bytes of a file can be asked for at one time: its records are sorted in memory."""

# Of the attributes the parts between commas, sorted: which field comes first is up to the decoder that met them.
_SORTED = "arrayStringConcat(arraySort(splitByChar(',', substring(attributes, 2, length(attributes) - 2))), ',')"
_VALUES = ", '\\t', ".join(_SORTED if name == "attributes" else name for name in HASHED_COLUMNS)
_HASH = f"halfMD5(concat({_VALUES}))"


@dataclass(frozen=True, slots=True)
class SourceLinesRequest:
    """The records of `source` whose lines begin at `start` or later and before `end`."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Searchable:
    """What can be found of a source: how many records, when the first and the last of them were received.

    `oldest_offset` is where the line of the first one begins: what was before it in its file was removed by retention,
    or had no record.
    """

    records: int
    oldest: str | None = None
    newest: str | None = None
    oldest_offset: int | None = None


class SourceLines:
    """Asks for records of followed files, up to the watermark."""

    def __init__(self, scheduler: QueryScheduler, watermark: Callable[[], Watermark]) -> None:
        self._scheduler = scheduler
        self._watermark = watermark

    def stream(self, asked: SourceLinesRequest) -> AsyncGenerator[bytes, None]:
        """Lines of JSON `[offset, timestamp_ns, received_ns, hash]`, by offset. Raises as `stream` does."""
        made = self._of_source(asked.source)
        sql = (
            f"SELECT _offset, toUnixTimestamp64Nano(timestamp), toUnixTimestamp64Nano(_received), {_HASH} FROM {TABLE} "
            f"WHERE {made.sql} AND _offset >= {made.bind(asked.start, 'UInt64')} "
            f"AND _offset < {made.bind(asked.end, 'UInt64')} ORDER BY _offset"
        )
        return self._scheduler.stream("source_lines", sql, made.params, "JSONCompactEachRow")

    async def searchable(self, source: str) -> Searchable:
        """What can be found of a source. Raises as `QueryScheduler.ask` does."""
        made = self._of_source(source)
        received_ns = "toUnixTimestamp64Nano(_received)"
        sql = (
            f"SELECT count(), min({received_ns}), max({received_ns}), argMin(_offset, _seq) FROM {TABLE} "
            f"WHERE {made.sql}"
        )
        answer = await self._scheduler.ask("searchable", sql, made.params)
        records, oldest_ns, newest_ns, offset = (int(str(value)) for value in answer.rows[0])
        if not records:
            return Searchable(0)
        return Searchable(records, clock.to_text(oldest_ns), clock.to_text(newest_ns), offset)

    def _of_source(self, source: str) -> Condition:
        made = Condition()
        made.sql = f"_source = {made.bind(source)} AND {watermark_sql.below(self._watermark(), made.bind)}"
        return made
