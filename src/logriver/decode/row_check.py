"""Rows that somebody else decoded: whether they are what our own decoders would have written.

An agent has the token and may be old or broken all the same, and what is wrong with a row would only be found when the
engine reads it, after it was acknowledged. `problem` says what a row must be; whole slices of rows are looked at
column by column, and only one that is not plainly good is gone through row by row.
"""

import msgspec

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.record_mapping import PLACES
from logriver.decode.validator import LONG_RECORD_BYTES, JsonValidator
from logriver.errors import BadBody

_SLICE_BYTES = 256 * 1024
_COLUMNS = len(DECODED_COLUMNS)
_TIME, _ATTRIBUTES, _OFFSET = (PLACES[name] for name in ("timestamp", "attributes", "_offset"))
# Fewer than the largest unsigned number of 64 bits has.
_OFFSET_DIGITS = 19
# What a row may be larger than its record: a control byte becomes an escape of six characters whose backslash is
# escaped again, the message may hold all of the record beside that, and there are labels.
_GROWTH = 10
_LABELS_BYTES = 64 * 1024


class _AnyObject(msgspec.Struct):
    """A JSON object, whatever is in it."""


class RowCheck:
    """For records of at most `max_record_bytes`. Not for two threads at once."""

    def __init__(self, max_record_bytes: int) -> None:
        self._max_row_bytes = _GROWTH * max_record_bytes + _LABELS_BYTES
        self._validator = JsonValidator()
        self._objects = msgspec.json.Decoder(_AnyObject)

    def check(self, rows: bytes, count: int) -> None:
        """Raises `BadBody`, which names the row (from 1), unless these are `count` good rows."""
        found = rows.count(b"\n")
        if found != count or (rows and not rows.endswith(b"\n")):
            raise BadBody(f"{found} whole rows, where {count} were announced")
        start = passed = 0
        while start < len(rows):
            end = rows.rfind(b"\n", start, start + _SLICE_BYTES) + 1 or rows.find(b"\n", start) + 1
            piece = rows[start : end - 1]
            if not self._are_good(piece):
                self._check_each(piece, passed)
            start, passed = end, passed + piece.count(b"\n") + 1

    def problem(self, row: bytes) -> str | None:
        """Why a row is none of ours, None if it is."""
        if len(row) > self._max_row_bytes:
            return f"{len(row)} bytes, the limit is {self._max_row_bytes}"
        if not _is_utf8(row):
            return "not valid UTF-8"
        values = row.split(b"\t")
        if len(values) != _COLUMNS:
            return f"{len(values)} columns instead of {_COLUMNS}"
        if not _is_escaped(row):
            return "a backslash that escapes neither itself nor a tab nor a newline"
        if not _are_times([values[_TIME]]):
            return f"{values[_TIME][:40]!r} is not a time that can be stored"
        if not _are_offsets([values[_OFFSET]]):
            return f"{values[_OFFSET][:40]!r} is not an offset in a file"
        return self._attributes_problem(_unescaped(values[_ATTRIBUTES]))

    def _check_each(self, piece: bytes, passed: int) -> None:
        for number, row in enumerate(piece.split(b"\n"), passed + 1):
            if reason := self.problem(row):
                raise BadBody(f"row {number}: {reason}")

    def _are_good(self, piece: bytes) -> bool:
        """Whether all rows are good for certain."""
        if len(piece) > self._max_row_bytes or not _is_utf8(piece) or not _is_escaped(piece):
            return False
        values = piece.replace(b"\n", b"\t\n").split(b"\t")
        # Each row has all columns if each line end is now the beginning of a time.
        times = values[_TIME::_COLUMNS]
        whole = len(values) % _COLUMNS == 0 and b"".join(times).count(b"\n") == piece.count(b"\n") == len(times) - 1
        return (
            whole
            and _are_times(times)
            and _are_offsets(values[_OFFSET::_COLUMNS])
            and self._are_attributes(set(values[_ATTRIBUTES::_COLUMNS]))
        )

    def _are_attributes(self, texts: set[bytes]) -> bool:
        if max(map(len, texts)) >= LONG_RECORD_BYTES:
            return False
        joined = _unescaped(b"\n".join(texts))
        if joined.count(b"\n") != len(texts) - 1 or not self._validator.fits(joined):
            return False
        # Each is an object of its own: those that only make sense together would be fewer than there are lines.
        try:
            return len(self._objects.decode_lines(joined)) == len(texts)
        except (msgspec.DecodeError, RecursionError):
            return False

    def _attributes_problem(self, text: bytes) -> str | None:
        if refusal := self._validator.refusal(text):
            return f"its attributes: {refusal}"
        try:
            self._objects.decode(text)
        except msgspec.DecodeError as error:
            return f"its attributes are not a JSON object: {str(error)[:100]}"
        return None


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_escaped(text: bytes) -> bool:
    if b"\\" not in text:
        return True
    rest = text.replace(b"\\\\", b"")
    return rest.count(b"\\") == rest.count(b"\\t") + rest.count(b"\\n")


def _unescaped(value: bytes) -> bytes:
    """What `rows.escape` was given."""
    if b"\\" not in value:
        return value
    parts = value.split(b"\\\\")
    return b"\\".join(part.replace(b"\\t", b"\t").replace(b"\\n", b"\n") for part in parts)


def _are_times(texts: list[bytes]) -> bool:
    # `int` leaves the line ends out, but also other spaces, underscores and a plus sign.
    if not b"".join(texts).translate(None, b"-\n").isdigit():
        return False
    try:
        times = [int(text) for text in texts]
    except ValueError:
        return False
    return min(times) >= clock.MIN_TIME_NS and max(times) <= clock.MAX_TIME_NS


def _are_offsets(texts: list[bytes]) -> bool:
    lengths = list(map(len, texts))
    return b"".join(texts).isdigit() and min(lengths) > 0 and max(lengths) <= _OFFSET_DIGITS
