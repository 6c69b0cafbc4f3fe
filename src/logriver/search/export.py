"""Everything that matches a search text, as one stream in constant memory: NDJSON, CSV, Arrow or Parquet.

NDJSON has the documents of a search. The others have the columns of the table that users see, or the fields that
`| fields` names.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import msgspec

from logriver.columns import TABLE
from logriver.query.language import parser
from logriver.query.pipes.row_pipes import RowPipes, order_by, row_pipes
from logriver.query.sql import escaping
from logriver.query.sql.conditions import Condition
from logriver.query.sql.field_sql import value
from logriver.search import documents
from logriver.search.cursor import Order
from logriver.search.filter_sql import filter_sql
from logriver.search.scheduler import QueryScheduler
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.store.base import Chunks
from logriver.watermark import Watermark

NDJSON = "application/x-ndjson"
_FORMATS = {
    NDJSON: "JSONCompactEachRow",
    "text/csv": "CSVWithNames",
    "application/vnd.apache.arrow.stream": "ArrowStream",
    "application/vnd.apache.parquet": "Parquet",
}
MEDIA_TYPES = tuple(_FORMATS)

_COLUMNS = ("timestamp", "level", "message", "service", "host", "trace_id", "span_id", "attributes")
_REST = "attributes"
_OWN_COLUMNS = ("_source", "_received", "_id")

_decode_row = msgspec.json.Decoder(list[object]).decode


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported: a search text, times, order, how many rows (None is all), and as which of `MEDIA_TYPES`."""

    text: str = ""
    times: TimeRange = ANY_TIME
    order: Order = "desc"
    limit: int | None = None
    media_type: str = NDJSON


class Export:
    """Streams what is asked for; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized

    def stream(self, request: ExportRequest) -> AsyncGenerator[bytes, None]:
        """The file, piece by piece, of the records up to the watermark of now; see `QueryScheduler.stream`.

        Raises `BadQuery` at once for words that cannot be read.
        """
        search = parser.parse(request.text)
        pipes = row_pipes(search)
        made = filter_sql(search.where, request.times, self._watermark(), self._materialized())
        is_ndjson = request.media_type == NDJSON
        chosen = {} if is_ndjson else _chosen(pipes, made)
        columns = [f"{sql} AS c{at}" for at, sql in enumerate(chosen.values())] or documents.COLUMNS
        sql = (
            f"SELECT {', '.join(columns)} FROM {TABLE} WHERE {made.sql} ORDER BY {order_by(pipes, request.order, made)}"
        )
        limits = [limit for limit in (request.limit, pipes.limit) if limit is not None]
        if limits:
            sql += f" LIMIT {made.bind(min(limits), 'UInt64')}"
        if chosen:
            # Outside: in the condition and the order a name means the table's column, not what is given back for it.
            names = ", ".join(f"c{at} AS {escaping.identifier(name)}" for at, name in enumerate(chosen))
            sql = f"SELECT {names} FROM ({sql})"
        to_documents = (lambda pieces: _documents(pieces, pipes)) if is_ndjson else None
        return self._scheduler.stream("export", sql, made.params, _FORMATS[request.media_type], to_documents)


def _chosen(pipes: RowPipes, made: Condition) -> dict[str, str]:
    """The columns of a file: name and SQL."""
    names = pipes.fields or (*_COLUMNS, *_OWN_COLUMNS)
    values = {name: value(name, made) for name in names if name != _REST}
    chosen = {name: field.nullable if pipes.fields else field.sql for name, field in values.items()}
    return {name: chosen.get(name, _REST) for name in names}


def _documents(pieces: Chunks, pipes: RowPipes) -> Chunks:
    """Rows as lines of JSON to documents as lines."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield b"".join(documents.line(_decode_row(line), pipes.fields) + b"\n" for line in lines)
