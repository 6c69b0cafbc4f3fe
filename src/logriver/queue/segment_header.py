"""The first bytes of a segment: which one it is, where its numbers begin, and in which formats it was written.

    magic (8), node (16), number (u64), first_seq (u64), previous_end (u64),
    format of the record headers (u32), format of the rows (u32), crc32c of these (u32)

The layout never changes again; what follows it is by the two formats. Files whose magic is `LRLOG001` have neither:
both are 1 there. The checksum is looked at before the formats, so that a damaged header is never taken for one of a
newer release.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from logriver.errors import DataDirectoryError
from logriver.queue.record_header import HEADER_DECODERS, PRESENT, Formats
from logriver.queue.row_formats import DECODERS

_LAYOUT = struct.Struct("<8s16sQQQII")
_LAYOUT_1 = struct.Struct("<8s16sQQQ")
_CRC = struct.Struct("<I")
_MAGIC = b"LRLOG002"
_MAGIC_1 = b"LRLOG001"
FILE_HEADER_BYTES = _LAYOUT.size + _CRC.size
NO_END = 2**64 - 1
"""`previous_end` of a segment whose predecessor ended well, or that has none."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What it says. `size` is how many bytes it takes: the first record begins there."""

    node: str
    number: int
    first_seq: int
    previous_end: int
    formats: Formats = PRESENT
    size: int = FILE_HEADER_BYTES

    def encode(self) -> bytes:
        """Its bytes, in the layout that is written now."""
        formats = self.formats
        head = _LAYOUT.pack(
            _MAGIC,
            self.node.encode(),
            self.number,
            self.first_seq,
            self.previous_end,
            formats.headers,
            formats.rows,
        )
        return head + _CRC.pack(google_crc32c.value(head))


def decode_header(data: bytes, path: Path) -> SegmentHeader | None:
    """The header at the start of `data`, None if there is no valid one.

    Raises `DataDirectoryError` where it is valid and says a format that this release does not know.
    """
    if _is_valid(data, _LAYOUT, _MAGIC):
        _, node, number, first_seq, previous_end, headers, rows = _LAYOUT.unpack_from(data)
        if headers not in HEADER_DECODERS or rows not in DECODERS:
            raise DataDirectoryError(
                f"log segment '{path}' has headers of format {headers} and rows of format {rows}; this release reads "
                f"headers up to format {max(HEADER_DECODERS)} and rows up to format {max(DECODERS)}",
                hint="start the newer release of logriver that wrote it; nothing was changed",
            )
        return SegmentHeader(_text(node), number, first_seq, previous_end, Formats(headers, rows))
    if _is_valid(data, _LAYOUT_1, _MAGIC_1):
        _, node, number, first_seq, previous_end = _LAYOUT_1.unpack_from(data)
        size = _LAYOUT_1.size + _CRC.size
        return SegmentHeader(_text(node), number, first_seq, previous_end, Formats(1, 1), size)
    return None


def _is_valid(data: bytes, layout: struct.Struct, magic: bytes) -> bool:
    if len(data) < layout.size + _CRC.size or not data.startswith(magic):
        return False
    return bool(google_crc32c.value(data[: layout.size]) == _CRC.unpack_from(data, layout.size)[0])


def _text(node: bytes) -> str:
    return node.rstrip(b"\0").decode(errors="replace")
