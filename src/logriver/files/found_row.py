"""A line of a file as a record: what its decoder made of it, and the document that an answer gives."""

from collections.abc import Sequence

import msgspec

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.row_builder import values
from logriver.query.match.chosen_fields import chosen
from logriver.query.match.row import Row
from logriver.record import Decoded, given_name

_NAMES = [column.name for column in DECODED_COLUMNS]
_SHOWN = ("level", "message", "service", "host", "trace_id", "span_id", "_source")
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def rows_of(decoded: Decoded, path: str) -> list[tuple[Row, int]]:
    """The records that were decoded of a file, each with its offset."""
    found = []
    for line in decoded.rows.decode().split("\n")[:-1]:
        columns = dict(zip(_NAMES, values(line), strict=True))
        columns["_source"] = path
        time_ns, offset, attributes = columns.pop("timestamp"), columns.pop("_offset"), columns.pop("attributes")
        found.append((Row(int(time_ns), columns, attributes), int(offset or 0)))
    return found


def document(row: Row, names: Sequence[str]) -> dict[str, object]:
    """The record as a search gives stored ones, but for what only those have; the fields `names` where some are given.

    A search's rows are made in `search/documents.py`.
    """
    given: dict[str, object] = {"timestamp": clock.to_text(row.time_ns)}
    given.update((name, row.columns[name]) for name in _SHOWN if row.columns[name])
    fields = {} if row.attributes in ("", "{}") else _decode_fields(row.attributes)
    if names:
        return chosen(given, fields, names)
    given.update((given_name(name), value) for name, value in fields.items())
    return given
