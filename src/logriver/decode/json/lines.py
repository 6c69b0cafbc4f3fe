"""NDJSON: one JSON object a line, to rows.

The hot path. `document.py` defines what becomes of one record; here the same is done for whole slices of lines, column
by column, as long as they fit, have the schema of those before and are plain. Anything else takes the way through
`document.py`, a record at a time. Both ways give the same rows (`tests/decode/test_json_lines.py`), but for which of
the other fields comes first: together they have the order of the schema.

msgspec holds the interpreter lock while it decodes; slices are small so that other threads get their turn.
"""

from itertools import accumulate, chain
from typing import Any

import msgspec

from logriver import clock
from logriver.clock import Zone
from logriver.columns import DECODED_COLUMNS
from logriver.decode.json.document import fields_of, row_of
from logriver.decode.json.schema import Schema
from logriver.decode.record_mapping import PLACES, levels
from logriver.decode.row_builder import encode, encode_unescaped
from logriver.decode.row_builder import line as row_line
from logriver.decode.time.cache import TimeCache
from logriver.decode.validator import LONG_RECORD_BYTES, JsonValidator
from logriver.record import Decoded, Refused

_SLICE_BYTES = 128 * 1024
_MAX_PATIENCE = 1024
# Below this many bytes a slice is a few records, and the columns cost more than they save.
_SMALL_BYTES = 4096
_MAX_REFUSED_BYTES = 64 * 1024
# Escapes of a tab or a newline in a value, and a tab as a space between the parts of one.
_TIME, _LEVEL, _SENT_LEVEL, _OFFSET = (PLACES[name] for name in ("timestamp", "level", "_level", "_offset"))
_MAY_BREAK_ROWS = (b"\\n", b"\\t", b"\\u", b"\t")


class JsonLines:
    """A decoder with its memory of schemas and times. Not for two threads at once."""

    def __init__(self, max_record_bytes: int, zone: Zone | None = None) -> None:
        """A time without a zone is one of `zone`, of UTC where that is None."""
        self._max_record_bytes = max_record_bytes
        self._slice_bytes = min(_SLICE_BYTES, max_record_bytes)
        self._validator = JsonValidator()
        self._times = TimeCache(zone)
        self._schema = Schema()
        # How many slices missed the schema since it was made, and how many must before it is made anew.
        self._misses = 0
        self._patience = 1

    def decode(self, data: bytes, now_ns: int, *, offset: int | None = None) -> Decoded:
        """Rows of `data`. Each bad line is refused alone, with its number; empty lines are none.

        `offset` is where `data` begins in a followed file (None otherwise): rows then carry their own offset, refusals
        their bytes, and a time that cannot be stored does not refuse the record (see `document.row_of`).
        """
        if len(data) <= _SMALL_BYTES:
            return self._one_by_one(data, 0, len(data), now_ns, offset)
        parts: list[Decoded] = []
        start = 0
        while start < len(data):
            end = self._slice_end(data, start)
            piece = data[start:end]
            at = None if offset is None else offset + start
            parts.append(self._together(piece, now_ns, at) or self._one_by_one(data, start, end, now_ns, at))
            start = end
        return Decoded.joined(parts)

    def _slice_end(self, data: bytes, start: int) -> int:
        limit = start + self._slice_bytes
        # A small rest would go the long way.
        if limit + _SMALL_BYTES >= len(data):
            return len(data)
        end = data.rfind(b"\n", start, limit)
        if end < 0:
            end = data.find(b"\n", limit)
        return len(data) if end < 0 else end + 1

    def _together(self, piece: bytes, now_ns: int, offset: int | None) -> Decoded | None:
        """A slice in which every record fits, has the schema and is plain; None otherwise.

        `fits` and the decoder together make sure that each line is one record: there is no place inside of a JSON value
        where both a newline and a comma may stand.
        """
        schema, lines = self._schema, piece.rstrip(b"\r\n")
        if schema.decode is None or not _SMALL_BYTES < len(lines) <= self._max_record_bytes:
            return None
        if not self._validator.fits(lines):
            return None
        try:
            records: list[Any] = schema.decode(lines)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        taken = schema.take(records)
        if taken is None:
            return None
        nothing: list[Any] = [None] * len(records)
        columns = {"attributes": schema.left(records)}
        if max(map(len, columns["attributes"])) >= LONG_RECORD_BYTES:
            return None
        columns["_offset"] = _line_offsets(lines, offset) if offset is not None else ["0"] * len(records)
        try:
            columns["timestamp"] = self._digits(taken.pop("timestamp", nothing), now_ns)
        except ValueError:
            return None
        columns |= _levels(taken.pop("level", nothing)) | taken
        rows = _rows(columns, len(records), lines)
        return None if rows is None else Decoded(rows, len(records))

    def _digits(self, times: list[Any], now_ns: int) -> list[str]:
        if set(map(type, times)) == {str}:
            return self._times.digits(times, now_ns)
        return [self._time_digits(time, now_ns) for time in times]

    def _time_digits(self, time: str | int | float | None, now_ns: int) -> str:
        if isinstance(time, str):
            return self._times.digits_of(time, now_ns)
        return str(now_ns if time is None else clock.from_number(time))

    def _one_by_one(self, data: bytes, start: int, end: int, now_ns: int, offset: int | None) -> Decoded:
        lines = data[start:end].split(b"\n")
        decoded = Decoded()
        rows: list[str] = []
        at = offset or 0
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rows.append(self.row(line, now_ns, at, followed=offset is not None))
                except ValueError as error:
                    raw = b"" if offset is None else line[:_MAX_REFUSED_BYTES]
                    decoded.refused.append(Refused(number, str(error), raw, at))
            if offset is not None:
                at += len(line) + 1
        if decoded.refused and start:
            before = data.count(b"\n", 0, start)
            for refused in decoded.refused:
                refused.line += before
        if rows:
            decoded.rows, decoded.count = encode(rows), len(rows)
        return decoded

    def row(self, record: bytes, now_ns: int, offset: int = 0, *, followed: bool = False) -> str:
        """The row of one record. Raises `ValueError` with the reason why it is refused."""
        if len(record) > self._max_record_bytes:
            raise ValueError(f"record of {len(record)} bytes, the limit is {self._max_record_bytes}")
        refusal = self._validator.refusal(record)
        row = None if refusal else self._row_alone(record, now_ns, offset)
        if row is not None:
            return row
        fields = fields_of(record)
        if refusal:
            raise ValueError(refusal)
        self._miss([record])
        return row_of(fields, self._times, now_ns, offset=offset, followed=followed)

    def _row_alone(self, record: bytes, now_ns: int, offset: int) -> str | None:
        """The row of a record of the schema with a time that can be stored; None for any other."""
        values = self._schema.take_alone(record)
        if values is None or not values[_TIME]:
            return None
        try:
            values[_TIME] = self._times.digits_of(values[_TIME], now_ns)
        except ValueError:
            return None
        values[_LEVEL], values[_SENT_LEVEL] = levels(values[_LEVEL])
        values[_OFFSET] = str(offset)
        return row_line(values)

    def _miss(self, lines: list[bytes]) -> None:
        """Learn the schema of lines that missed it, less and less eagerly: making a decoder is expensive."""
        self._misses += 1
        if self._misses >= self._patience:
            self._misses = 0
            self._patience = min(self._patience * 2, _MAX_PATIENCE)
            self._schema.learn(lines)


def _rows(columns: dict[str, list[str]], count: int, source: bytes) -> bytes | None:
    """Columns to rows; a column that is not there is empty. None if a value has a tab or a newline.

    A value can have what TabSeparated must escape only if the JSON text `source` has an escape or a tab.
    """
    nothing = [""] * count
    values = (columns.get(column.name, nothing) for column in DECODED_COLUMNS)
    rows = list(map("\t".join, zip(*values, strict=True)))
    if b"\\" not in source and b"\t" not in source:
        return encode(rows)
    return encode_unescaped(rows, counted=any(escape in source for escape in _MAY_BREAK_ROWS))


def _levels(sent: list[Any]) -> dict[str, list[str]]:
    """The columns `level` and, where a spelling differs from its meaning, `_level`."""
    meaning = {value: ("", "") if value is None else levels(value) for value in set(sent)}
    columns = {"level": [meaning[value][0] for value in sent]}
    if any(spelling for _, spelling in meaning.values()):
        columns["_level"] = [meaning[value][1] for value in sent]
    return columns


def _line_offsets(lines: bytes, offset: int) -> list[str]:
    lengths = (len(line) + 1 for line in lines.split(b"\n"))
    return [str(at) for at in accumulate(chain([offset], lengths))][:-1]
