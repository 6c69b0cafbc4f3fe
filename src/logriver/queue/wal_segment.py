"""A segment: one file of the write-ahead log, and everything about its bytes.

Layout, little-endian:

    file header   see `segment_header.py`
    record ...    magic (u32), header length (u32), payload length (u32), crc32c of lengths, header and payload (u32),
                  header (`record_header.py`), payload (rows as in `row_formats.py`, then MessagePack of dead letters)
    index         a record like the others with a magic of its own; its payload is MessagePack of `Index`
    trailer       offset of the index (u64), magic (u32)

Index and trailer are there only if the segment was sealed. One request is one record.

Invariants:
  - Numbers grow along the records without overlap. A gap is a skipped range: those numbers were never acknowledged.
  - A record is answered for only after the `fdatasync` that covers it; a new file's directory entry is synced before.
  - A segment ends sealed, or the next one's `previous_end` says up to where it is valid: after a failed write or sync
    nothing more is appended, and nothing to the one that was not sealed when the process ended. So recovery never
    brings back what was reported to its senders as lost, and notices an end that is missing.
  - A segment is removed only after a durable snapshot (`state.py`) covers it.

Recovery reads the index of a sealed segment, and record by record what has none. A record that fails its checksum and
has no valid record behind it is a torn tail: the crash came while it was written. One with valid records behind it is
damage; reading goes on at the next valid record. Both are reported. The writer checks each payload again when it reads
it, because an index says nothing about the bytes it points to. What is read record by record is synced first: the
process may have been killed between write and sync, and whoever sends it again is answered that it is on disk.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c
import msgspec

from logriver.queue.file_read import read_around, read_range
from logriver.queue.record_header import (
    HEADER_DECODERS,
    INDEX_DECODERS,
    PRESENT,
    Formats,
    Index,
    RecordHeader,
    RefusedLine,
)
from logriver.queue.segment_header import FILE_HEADER_BYTES, NO_END, SegmentHeader, decode_header

_PREFIX = struct.Struct("<IIII")
_TRAILER = struct.Struct("<QI")
_MAGIC = struct.Struct("<I")
_RECORD_MAGIC = 0xA5C3_4C52
_INDEX_MAGIC = 0xA5C3_4C49
_TRAILER_MAGIC = 0xA5C3_4C54
_MAX_WRITEV = 512


@dataclass(slots=True)
class Extent:
    """Records that stand one behind the other in a segment and have contiguous numbers.

    `ready` are their rows (complete, see `columns.py`), while they are still in memory and all of them are rows.
    """

    path: Path
    start: int
    end: int
    first_seq: int
    last_seq: int
    ready: list[bytes] | None = None
    formats: Formats = PRESENT

    def extend(self, other: "Extent", max_bytes: int) -> bool:
        """Take `other` in if it continues this one and both are small enough together."""
        if self.path != other.path or self.end != other.start or self.last_seq + 1 != other.first_seq:
            return False
        if other.end - self.start > max_bytes:
            return False
        # First what may fail for want of memory: nothing is changed then.
        if self.ready is None or other.ready is None:
            self.ready = None
        else:
            self.ready += other.ready
        self.end, self.last_seq = other.end, other.last_seq
        return True


@dataclass(slots=True)
class Contents:
    """What recovery found in a segment.

    `lost` are byte ranges without a valid record, a torn tail included; `unreadable` those that the disk did not give.
    `lost_numbers` is how many numbers the records behind the last valid one took at most. `torn` says that the file
    ends in the middle of a record, as it does where the process was killed while it wrote. `end` is that of the last
    valid record, `NO_END` of a sealed segment; `end_is_missing` says that there must have been more.
    """

    path: Path
    header: SegmentHeader
    extents: list[Extent] = field(default_factory=list)
    headers: list[RecordHeader] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    lost_numbers: int = 0
    torn: bool = False
    sealed: bool = False
    headless: bool = False
    end: int = 0
    end_is_missing: bool = False

    @property
    def number(self) -> int:
        """Which segment it is."""
        return self.header.number

    @property
    def first_seq(self) -> int:
        """Where its numbers begin."""
        return self.header.first_seq

    @property
    def previous_end(self) -> int:
        """Up to which byte the segment before it counts."""
        return self.header.previous_end


_encode = msgspec.msgpack.Encoder().encode
_decode_refused_lines = msgspec.msgpack.Decoder(list[RefusedLine]).decode


def encode_record(
    header: RecordHeader, rows: bytes, dead_letters: list[RefusedLine], magic: int = _RECORD_MAGIC
) -> list[bytes]:
    """A record as buffers to be written one after the other."""
    head = _encode(header)
    payload = [part for part in (rows, _encode(dead_letters) if dead_letters else b"") if part]
    length = sum(map(len, payload))
    crc = google_crc32c.extend(google_crc32c.value(struct.pack("<II", len(head), length)), head)
    for part in payload:
        crc = google_crc32c.extend(crc, part)
    return [_PREFIX.pack(magic, len(head), length, crc) + head, *payload]


def encode_apart(together: RecordHeader, rows: bytes) -> list[bytes]:
    """Each row as a record of its own; `together` is the header that one record of them all would have."""
    buffers: list[bytes] = []
    for seq, row in enumerate(rows.split(b"\n")[:-1], together.first_seq):
        header = RecordHeader(seq, 1, 0, len(row) + 1, together.received_ns, together.source)
        buffers += encode_record(header, row + b"\n", [])
    return [b"".join(buffers)]


def records(data: bytes, formats: Formats = PRESENT) -> Iterator[tuple[RecordHeader, bytes, list[RefusedLine]]]:
    """The valid records in the bytes of an extent: header, rows, refused lines. What is damaged is passed over."""
    at = 0
    while at < len(data):
        end = _record_end(data, at, _RECORD_MAGIC)
        if end is None:
            at = _next_record(data, at, len(data))
            continue
        header, body = _header_at(data, at, formats)
        rows_end = body + header.rows_bytes
        dead_letters = _decode_refused_lines(data[rows_end:end]) if header.dead else []
        yield header, data[body:rows_end], dead_letters
        at = end


def _header_at(data: bytes, at: int, formats: Formats) -> tuple[RecordHeader, int]:
    """The header of the valid record at `at`, and where its payload begins."""
    _, head_length, _, _ = _PREFIX.unpack_from(data, at)
    body = at + _PREFIX.size + head_length
    return HEADER_DECODERS[formats.headers](data[at + _PREFIX.size : body]), body


def _record_end(data: bytes, at: int, magic: int) -> int | None:
    """Where the record at `at` ends, None if there is no valid one."""
    if at + _PREFIX.size > len(data):
        return None
    found, head_length, length, crc = _PREFIX.unpack_from(data, at)
    body = at + _PREFIX.size
    end = body + head_length + length
    if found != magic or end > len(data):
        return None
    own = google_crc32c.extend(google_crc32c.value(data[at + 4 : at + 12]), data[body:end])
    return end if own == crc else None


class SegmentWriter:
    """The segment that is being written. Used by one thread."""

    def __init__(self, path: Path, header: SegmentHeader) -> None:
        """Make the file, durable with its directory entry. Raises `OSError`."""
        self.path = path
        self.size = FILE_HEADER_BYTES
        self.last_seq = header.first_seq - 1
        self._extents: list[Extent] = []
        self._headers: list[RecordHeader] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._write([header.encode()])
            os.fdatasync(self._file)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except BaseException:
            os.close(self._file)
            path.unlink(missing_ok=True)
            raise

    def append(self, buffers: list[bytes], extents: list[Extent], headers: list[RecordHeader]) -> None:
        """Write records and make them durable: they are exactly if `size` has grown, whatever is raised.

        After an error the segment must be abandoned.
        """
        self._write(buffers)
        os.fdatasync(self._file)
        for extent in extents:
            if not (self._extents and self._extents[-1].extend(extent, NO_END)):
                self._extents.append(Extent(extent.path, extent.start, extent.end, extent.first_seq, extent.last_seq))
        self._headers += headers
        if extents:
            self.last_seq = extents[-1].last_seq
        self.size += sum(map(len, buffers))

    def seal(self) -> None:
        """Write the index and close; recovery then need not read the records. Raises `OSError`."""
        try:
            index = Index([(s.start, s.end, s.first_seq, s.last_seq) for s in self._extents], self._headers)
            empty = RecordHeader(0, 0, 0, 0, 0)
            buffers = encode_record(empty, _encode(index), [], _INDEX_MAGIC)
            self._write([*buffers, _TRAILER.pack(self.size, _TRAILER_MAGIC)])
            os.fdatasync(self._file)
        finally:
            os.close(self._file)

    def abandon(self) -> None:
        """After a failure: cut off what was written since the last good sync, as far as the disk lets us, and close."""
        try:
            os.ftruncate(self._file, self.size)
            os.fdatasync(self._file)
        finally:
            os.close(self._file)

    def _write(self, buffers: list[bytes]) -> None:
        for start in range(0, len(buffers), _MAX_WRITEV):
            group = buffers[start : start + _MAX_WRITEV]
            written = os.writev(self._file, group)
            if written < sum(map(len, group)):
                rest = memoryview(b"".join(group))[written:]
                while rest:
                    rest = rest[os.write(self._file, rest) :]


def read_header(path: Path) -> SegmentHeader | None:
    """The header of a segment, None if there is no valid one. Raises `OSError`, and as `decode_header` does."""
    data, _ = read_around(path, 0, FILE_HEADER_BYTES)
    return decode_header(data, path)


def read_segment(path: Path, valid_end: int = NO_END, formats: Formats = PRESENT) -> Contents | None:
    """What is in a segment, up to `valid_end`; None if not even its header was written (nothing was answered for).

    Where records stand behind a header that is damaged, they are read, as of these `formats`: each of them says its own
    numbers. Raises `OSError`, and as `decode_header` does.
    """
    header, size = read_header(path), path.stat().st_size
    if header is None and size <= FILE_HEADER_BYTES:
        return None
    if header is None:
        header = SegmentHeader("", int(path.stem), 0, NO_END, formats, 0)
        contents = Contents(path, header, headless=True)
    else:
        contents = Contents(path, header, end=header.size)
        if size == header.size or (valid_end == NO_END and _read_index(size, contents)):
            return contents
    data, contents.unreadable = read_around(path, 0, size)
    if valid_end:
        _sync(path)
    _scan(data, contents, min(size, valid_end))
    return contents


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def _read_index(size: int, contents: Contents) -> bool:
    """Read the index at the end of a sealed segment, and nothing else of it. False if there is no valid one."""
    path, trailer_start = contents.path, size - _TRAILER.size
    try:
        start, magic = _TRAILER.unpack(read_range(path, trailer_start, size))
        if magic != _TRAILER_MAGIC or start >= trailer_start:
            return False
        data = read_range(path, start, trailer_start)
    except OSError:
        # Whatever it is, reading record by record meets it too, and says it.
        return False
    if _record_end(data, 0, _INDEX_MAGIC) != len(data):
        return False
    _, head_length, _, _ = _PREFIX.unpack_from(data, 0)
    formats = contents.header.formats
    index = INDEX_DECODERS[formats.headers](data[_PREFIX.size + head_length :])
    contents.extents = [Extent(path, *extent, None, formats) for extent in index.extents]
    contents.headers = index.headers
    contents.sealed, contents.end = True, NO_END
    return True


def _scan(data: bytes, contents: Contents, valid_end: int) -> None:
    at, formats = contents.header.size, contents.header.formats
    while at < valid_end:
        end = _record_end(data, at, _RECORD_MAGIC)
        header = _header_or_none(data, at, formats) if end is not None and end <= valid_end else None
        if header is None or end is None:
            at = _pass_over(data, at, contents, valid_end)
            continue
        contents.lost_numbers, contents.torn, contents.end = 0, False, end
        extent = Extent(contents.path, at, end, header.first_seq, header.last_seq, None, formats)
        if header.rows + header.dead and not (contents.extents and contents.extents[-1].extend(extent, NO_END)):
            contents.extents.append(extent)
        if header.remembered:
            contents.headers.append(header)
        at = end


def _pass_over(data: bytes, at: int, contents: Contents, valid_end: int) -> int:
    """Note that there is no valid record at `at`, unless it is the index; where the next one is."""
    found = _next_record(data, at, valid_end)
    if _record_end(data, at, _INDEX_MAGIC) is None:
        contents.lost.append((at, found))
        contents.lost_numbers = _numbers_at_most(data, at, found)
        contents.torn = _is_cut_short(data, at)
    return found


def _header_or_none(data: bytes, at: int, formats: Formats) -> RecordHeader | None:
    """The header of the record whose checksum is right; None if it is of another format, as behind a damaged header."""
    try:
        return _header_at(data, at, formats)[0]
    except msgspec.DecodeError:
        return None


def _is_cut_short(data: bytes, start: int) -> bool:
    """Whether the file ends within the record or index at `start`, by what that says of its length."""
    if start + _PREFIX.size > len(data):
        return True
    magic, head_length, length, _ = _PREFIX.unpack_from(data, start)
    return bool(magic in (_RECORD_MAGIC, _INDEX_MAGIC) and start + _PREFIX.size + head_length + length > len(data))


def _numbers_at_most(data: bytes, start: int, end: int) -> int:
    """How many numbers the damaged records in a range of bytes took: each row has a byte at least.

    Of a record that was cut off, the payload's length is used, where that can still be read.
    """
    if start + _PREFIX.size > len(data):
        return end - start
    magic, _, length, _ = _PREFIX.unpack_from(data, start)
    return max(end - start, length) if magic == _RECORD_MAGIC else end - start


def _next_record(data: bytes, at: int, valid_end: int) -> int:
    """The next valid record behind `at`, or the end."""
    magic = _MAGIC.pack(_RECORD_MAGIC)
    found = data.find(magic, at + 1)
    while 0 <= found < valid_end:
        if _record_end(data, found, _RECORD_MAGIC) is not None:
            return found
        found = data.find(magic, found + 1)
    return valid_end
