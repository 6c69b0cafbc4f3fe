"""The lines around one: those of the same source, host and service that were taken before and after it.

A followed file is taken in its own order, so numbers are in the order of its lines, also over a rotation.
"""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.columns import TABLE
from logriver.errors import NotFound
from logriver.query import ids
from logriver.query.sql import escaping
from logriver.search import documents
from logriver.search.scheduler import QueryScheduler
from logriver.store.base import Param
from logriver.watermark import Watermark

MAX_LINES = 1_000
"""On each side."""
# How many numbers away lines are looked for: near ones on both sides with the record itself, which is one query of few
# granules; then on each side where that was not enough, None is all there are.
_NEAR = 500
_FURTHER = (20_000, 1_000_000, None)

Row = list[object]


@dataclass(frozen=True, slots=True)
class Lines:
    """Documents (JSON), the oldest first, and which of them is the one that was asked for."""

    documents: list[bytes]
    position: int
    rows_read: int
    bytes_read: int
    incomplete: tuple[str, ...]


class Context:
    """Finds the lines around a record."""

    def __init__(self, scheduler: QueryScheduler, watermark: Callable[[], Watermark]) -> None:
        self._scheduler = scheduler
        self._watermark = watermark

    async def around(self, id: str, before: int, after: int) -> Lines:
        """At most `before` and `after` lines beside the record `id`. Raises `NotFound`."""
        found = ids.decode(id)
        watermark = self._watermark()
        if found is None or not watermark.covers(*found):
            raise NotFound(f"no record has the id {id[:60]!r}")
        asked = _Asked(self._scheduler, escaping.parameter(found[0]), found[1], watermark.get(found[0], 0))
        near = await asked.near()
        seqs = [int(str(row[documents.SEQ])) for row in near]
        if found[1] not in seqs:
            raise NotFound(f"no record has the id {id[:60]!r}")
        at = seqs.index(found[1])
        earlier, row, later = near[:at], near[at], near[at + 1 :]
        if len(earlier) < before:
            earlier = (await asked.beside(row, before, "<", "DESC"))[::-1]
        if len(later) < after:
            later = await asked.beside(row, after, ">", "ASC")
        earlier = earlier[max(0, len(earlier) - before) :]
        rows = [*earlier, row, *later[:after]]
        found_lines = [documents.document(row) for row in rows]
        return Lines(found_lines, len(earlier), asked.rows_read, asked.bytes_read, asked.incomplete)


class _Asked:
    """The queries about one record of a node, up to `last_seq`, and what they cost."""

    def __init__(self, scheduler: QueryScheduler, node: str, seq: int, last_seq: int) -> None:
        self._scheduler = scheduler
        self._seq = seq
        self._last_seq = last_seq
        self._params: dict[str, Param] = {"node": node, "seq": seq}
        self.incomplete: tuple[str, ...] = ()
        self.rows_read = 0
        self.bytes_read = 0

    async def near(self) -> list[Row]:
        """The record, if there is one, and the lines of its source that are near, in order."""
        itself = f"SELECT _source, host, service FROM {TABLE} WHERE _seq = {{seq:UInt64}} AND _node = {{node:String}}"
        return await self._rows(_NEAR, f"(_source, host, service) IN ({itself})", "ORDER BY _seq")

    async def beside(self, row: Row, count: int, side: str, order: str) -> list[Row]:
        """The `count` lines next to `row` on one `side` of it, the nearest first."""
        for name in ("_source", "host", "service"):
            self._params[name] = escaping.parameter(str(row[documents.NAMES.index(name)]))
        condition = (
            f"_seq {side} {{seq:UInt64}} "
            "AND _source = {_source:String} AND host = {host:String} AND service = {service:String}"
        )
        rows: list[Row] = []
        for distance in _FURTHER:
            rows = await self._rows(distance or self._last_seq, condition, f"ORDER BY _seq {order} LIMIT {count}")
            if len(rows) == count:
                break
        return rows

    async def _rows(self, distance: int, condition: str, rest: str) -> list[Row]:
        self._params |= {"low": max(1, self._seq - distance), "high": min(self._last_seq, self._seq + distance)}
        sql = (
            f"SELECT {', '.join(documents.COLUMNS)} FROM {TABLE} WHERE {condition} "
            f"AND _seq BETWEEN {{low:UInt64}} AND {{high:UInt64}} AND _node = {{node:String}} {rest}"
        )
        answer = await self._scheduler.ask("context", sql, self._params)
        self.incomplete = answer.incomplete or self.incomplete
        self.rows_read += answer.rows_read
        self.bytes_read += answer.bytes_read
        return answer.rows
