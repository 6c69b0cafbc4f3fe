"""The records of a followed file by their offsets, for whoever proves that every line of it is held.

Of a record there is its offset, its times, and a hash of all else that a decoder made of its line. `_source` and
`_offset` have no index, so each question reads these two columns of all records, and little of the others.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from logriver import clock
from logriver.columns import HASHED_COLUMNS, TABLE
from logriver.query.sql import escaping
from logriver.search.desk import Desk
from logriver.store.base import Param

MAX_SPAN_BYTES = 16_000_000
"""So many bytes of a file can be asked for at one time: its records are sorted in memory."""

# Of the attributes the parts between commas, sorted: which field comes first is up to the decoder that met them.
_SORTED = "arrayStringConcat(arraySort(splitByChar(',', substring(attributes, 2, length(attributes) - 2))), ',')"
_VALUES = ", '\\t', ".join(_SORTED if name == "attributes" else name for name in HASHED_COLUMNS)
_HASH = f"halfMD5(concat({_VALUES}))"


@dataclass(frozen=True, slots=True)
class Wanted:
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


class HeldLines:
    """Asks for records of followed files, up to the visible mark."""

    def __init__(self, desk: Desk, mark: Callable[[], int]) -> None:
        self._desk = desk
        self._mark = mark

    def stream(self, wanted: Wanted) -> AsyncGenerator[bytes, None]:
        """Lines of JSON `[offset, timestamp_ns, received_ns, hash]`, by offset. Raises as `Desk.stream` does."""
        sql = (
            f"SELECT _offset, toUnixTimestamp64Nano(timestamp), toUnixTimestamp64Nano(_received), {_HASH} FROM {TABLE} "
            f"WHERE {self._of_source()} AND _offset >= {{start:UInt64}} AND _offset < {{end:UInt64}} ORDER BY _offset"
        )
        params = self._params(wanted.source) | {"start": wanted.start, "end": wanted.end}
        return self._desk.stream("held_lines", sql, params, "JSONCompactEachRow")

    async def searchable(self, source: str) -> Searchable:
        """What can be found of a source. Raises as `Desk.ask` does."""
        received_ns = "toUnixTimestamp64Nano(_received)"
        sql = (
            f"SELECT count(), min({received_ns}), max({received_ns}), argMin(_offset, _seq) FROM {TABLE} "
            f"WHERE {self._of_source()}"
        )
        answer = await self._desk.ask("searchable", sql, self._params(source))
        records, oldest_ns, newest_ns, offset = (int(str(value)) for value in answer.rows[0])
        if not records:
            return Searchable(0)
        return Searchable(records, clock.to_text(oldest_ns), clock.to_text(newest_ns), offset)

    @staticmethod
    def _of_source() -> str:
        return "_source = {source:String} AND _seq <= {mark:UInt64}"

    def _params(self, source: str) -> dict[str, Param]:
        return {"source": escaping.parameter(source), "mark": self._mark()}
