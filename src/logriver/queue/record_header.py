"""The header of a record of the log, by version, and what stands beside it.

Version 2 says everything by places in arrays (`record_forms.py`) and knows positions in streams. Version 1 is read.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from logriver.columns import ROW_FORMAT
from logriver.record import Position, StreamRange
from logriver.record_forms import (
    FileRangeForm,
    StreamRangeForm,
    of_range,
    of_stream_range,
    to_range,
    to_stream_range,
)
from logriver.record_forms_v1 import FileRangeV1

HEADER_FORMAT = 2
"""The version of the headers that are written now."""


@dataclass(frozen=True, slots=True)
class Formats:
    """The versions of what stands in a segment: of the headers of its records, and of their rows."""

    headers: int = HEADER_FORMAT
    rows: int = ROW_FORMAT


PRESENT = Formats()
"""The versions that are written now."""


class RecordHeader(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What the log says of a batch. Rows take the numbers from `first_seq` on, dead letters those after them."""

    first_seq: int
    rows: int
    dead: int
    rows_bytes: int
    received_ns: int
    source: str = ""
    key_scope: bytes = b""
    key_content: bytes = b""
    rejected: int = 0
    range: FileRangeForm | None = None
    replays: int | None = None
    stream: StreamRangeForm | None = None

    @property
    def last_seq(self) -> int:
        """The last number the batch took."""
        return self.first_seq + self.rows + self.dead - 1

    @property
    def remembered(self) -> bool:
        """Whether the queue must know of it for longer than until it is stored."""
        return bool(self.key_scope) or self.has_position or self.replays is not None

    @property
    def has_position(self) -> bool:
        """Whether the batch covers a part of a file or of a stream."""
        return self.range is not None or self.stream is not None

    @property
    def position(self) -> Position | None:
        """Which part that is."""
        if self.range is not None:
            return to_range(self.range)
        return None if self.stream is None else to_stream_range(self.stream)


class RefusedLine(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A refused line inside of a record."""

    reason: str
    raw: bytes


class Index(msgspec.Struct, array_like=True):
    """The end of a sealed segment: its extents as (start, end, first_seq, last_seq), and headers to be remembered."""

    extents: list[tuple[int, int, int, int]]
    headers: list[RecordHeader]


class _HeaderV1(msgspec.Struct, array_like=True, gc=False, frozen=True):
    first_seq: int
    rows: int
    dead: int
    rows_bytes: int
    received_ns: int
    source: str = ""
    key_scope: bytes = b""
    key_content: bytes = b""
    rejected: int = 0
    range: FileRangeV1 | None = None
    replays: int | None = None

    def header(self) -> RecordHeader:
        """The same in the present version."""
        return RecordHeader(
            self.first_seq,
            self.rows,
            self.dead,
            self.rows_bytes,
            self.received_ns,
            self.source,
            self.key_scope,
            self.key_content,
            self.rejected,
            None if self.range is None else self.range.form(),
            self.replays,
        )


class _IndexV1(msgspec.Struct, array_like=True):
    extents: list[tuple[int, int, int, int]]
    headers: list[_HeaderV1]


_decode_header_1 = msgspec.msgpack.Decoder(_HeaderV1).decode
_decode_index_1 = msgspec.msgpack.Decoder(_IndexV1).decode

HEADER_DECODERS: dict[int, Callable[[bytes], RecordHeader]] = {
    1: lambda data: _decode_header_1(data).header(),
    2: msgspec.msgpack.Decoder(RecordHeader).decode,
}


def _index_1(data: bytes) -> Index:
    found = _decode_index_1(data)
    return Index(found.extents, [header.header() for header in found.headers])


INDEX_DECODERS: dict[int, Callable[[bytes], Index]] = {1: _index_1, 2: msgspec.msgpack.Decoder(Index).decode}


def position_forms(position: Position | None) -> tuple[FileRangeForm | None, StreamRangeForm | None]:
    """`range` and `stream` of a header."""
    if position is None:
        return None, None
    if isinstance(position, StreamRange):
        return None, of_stream_range(position)
    return of_range(position), None
