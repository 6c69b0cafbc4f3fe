"""A segment: one file of the write-ahead log, and everything about its bytes.

Layout, little-endian:

    file header   magic "LRLOG001", node (16), number (u64), first_seq (u64), previous_end (u64), crc32c of these (u32)
    record ...    magic (u32), header length (u32), payload length (u32), crc32c of lengths, header and payload (u32),
                  header (MessagePack of `RecordHeader`), payload (rows, then MessagePack of dead letters)
    index         a record like the others with a magic of its own; its payload is MessagePack of `Index`
    trailer       offset of the index (u64), magic (u32)

Index and trailer are there only if the segment was sealed. One request is one record.

Invariants:
  - Numbers grow along the records without overlap. A gap is a hole: those numbers were never acknowledged.
  - A record is answered for only after the `fdatasync` that covers it; a new file's directory entry is synced before.
  - After a failed write or sync nothing more is appended to the file. The next segment's `previous_end` says up to
    where it is valid, so that recovery never brings back what its senders were told is lost.
  - A segment is removed only after a durable snapshot (`state.py`) covers it.

Recovery reads the index of a sealed segment, and record by record what has none. A record that fails its checksum and
has no valid record behind it is a torn tail: the crash came while it was written. One with valid records behind it is
damage; reading goes on at the next valid record. Both are reported. The writer checks each payload again when it reads
it, because an index says nothing about the bytes it points to. What is read record by record is synced first: the
process may have been killed between write and sync, and whoever sends it again is told that it is on disk.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c
import msgspec

from logriver.record import FileRange

_FILE_HEADER = struct.Struct("<8s16sQQQ")
_CRC = struct.Struct("<I")
_PREFIX = struct.Struct("<IIII")
_TRAILER = struct.Struct("<QI")
_FILE_MAGIC = b"LRLOG001"
_RECORD_MAGIC = 0xA5C3_4C52
_INDEX_MAGIC = 0xA5C3_4C49
_TRAILER_MAGIC = 0xA5C3_4C54
_MAX_WRITEV = 512
FILE_HEADER_BYTES = _FILE_HEADER.size + _CRC.size
NO_END = 2**64 - 1
"""`previous_end` of a segment whose predecessor ended well, or that has none."""


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
    range: FileRange | None = None
    replays: int | None = None

    @property
    def last_seq(self) -> int:
        """The last number the batch took."""
        return self.first_seq + self.rows + self.dead - 1

    @property
    def remembered(self) -> bool:
        """Whether the queue must know of it for longer than until it is stored."""
        return bool(self.key_scope) or self.range is not None or self.replays is not None


class Letter(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A refused line inside of a record."""

    reason: str
    raw: bytes


@dataclass(slots=True)
class Span:
    """Records that stand one behind the other in a segment and have contiguous numbers.

    `ready` are their rows (complete, see `columns.py`), while they are still in memory and all of them are rows.
    """

    path: Path
    start: int
    end: int
    first_seq: int
    last_seq: int
    ready: list[bytes] | None = None

    def extend(self, other: "Span", max_bytes: int) -> bool:
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


class Index(msgspec.Struct, array_like=True):
    """The end of a sealed segment: its spans as (start, end, first_seq, last_seq), and the headers to be remembered."""

    spans: list[tuple[int, int, int, int]]
    headers: list[RecordHeader]


@dataclass(slots=True)
class Contents:
    """What recovery found in a segment. `lost` are byte ranges without a valid record, a torn tail included.

    `lost_numbers` is how many numbers the records behind the last valid one took at most.
    """

    path: Path
    number: int
    first_seq: int
    previous_end: int
    spans: list[Span] = field(default_factory=list)
    headers: list[RecordHeader] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    lost_numbers: int = 0
    sealed: bool = False
    headless: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(RecordHeader).decode
_decode_letters = msgspec.msgpack.Decoder(list[Letter]).decode
_decode_index = msgspec.msgpack.Decoder(Index).decode


def encode_record(
    header: RecordHeader, rows: list[bytes], letters: list[Letter], magic: int = _RECORD_MAGIC
) -> list[bytes]:
    """A record as buffers to be written one after the other."""
    head = _encode(header)
    payload = [*rows, _encode(letters)] if letters else rows
    length = sum(map(len, payload))
    crc = google_crc32c.extend(google_crc32c.value(struct.pack("<II", len(head), length)), head)
    for part in payload:
        crc = google_crc32c.extend(crc, part)
    return [_PREFIX.pack(magic, len(head), length, crc) + head, *payload]


def encode_apart(together: RecordHeader, rows: list[bytes]) -> list[bytes]:
    """Each row as a record of its own; `together` is the header that one record of them all would have."""
    buffers: list[bytes] = []
    for seq, row in enumerate(rows, together.first_seq):
        header = RecordHeader(seq, 1, 0, len(row), together.received_ns, together.source)
        buffers += encode_record(header, [row], [])
    return [b"".join(buffers)]


def records(data: bytes) -> Iterator[tuple[RecordHeader, bytes, list[Letter]]]:
    """The valid records in the bytes of a span: header, rows, letters. What is damaged in between is passed over."""
    at = 0
    while at < len(data):
        end = _record_end(data, at, _RECORD_MAGIC)
        if end is None:
            at = _next_record(data, at, len(data))
            continue
        header, body = _header_at(data, at)
        rows_end = body + header.rows_bytes
        letters = _decode_letters(data[rows_end:end]) if header.dead else []
        yield header, data[body:rows_end], letters
        at = end


def _header_at(data: bytes | mmap.mmap, at: int) -> tuple[RecordHeader, int]:
    """The header of the valid record at `at`, and where its payload begins."""
    _, head_length, _, _ = _PREFIX.unpack_from(data, at)
    body = at + _PREFIX.size + head_length
    return _decode_header(data[at + _PREFIX.size : body]), body


def _record_end(data: bytes | mmap.mmap, at: int, magic: int) -> int | None:
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

    def __init__(self, path: Path, node: str, number: int, first_seq: int, previous_end: int) -> None:
        """Make the file, durable with its directory entry. Raises `OSError`."""
        self.path = path
        self.number = number
        self.size = FILE_HEADER_BYTES
        self.last_seq = first_seq - 1
        self._spans: list[Span] = []
        self._headers: list[RecordHeader] = []
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            head = _FILE_HEADER.pack(_FILE_MAGIC, node.encode(), number, first_seq, previous_end)
            self._write([head, _CRC.pack(google_crc32c.value(head))])
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

    def append(self, buffers: list[bytes], spans: list[Span], headers: list[RecordHeader]) -> None:
        """Write records and make them durable: they are exactly if `size` has grown, whatever is raised.

        After an error the segment must be abandoned.
        """
        self._write(buffers)
        os.fdatasync(self._file)
        for span in spans:
            if not (self._spans and self._spans[-1].extend(span, NO_END)):
                self._spans.append(Span(span.path, span.start, span.end, span.first_seq, span.last_seq))
        self._headers += headers
        if spans:
            self.last_seq = spans[-1].last_seq
        self.size += sum(map(len, buffers))

    def seal(self) -> None:
        """Write the index and close; recovery then need not read the records. Raises `OSError`."""
        try:
            index = Index([(s.start, s.end, s.first_seq, s.last_seq) for s in self._spans], self._headers)
            empty = RecordHeader(0, 0, 0, 0, 0)
            buffers = encode_record(empty, [_encode(index)], [], _INDEX_MAGIC)
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


def read_segment(path: Path, valid_end: int = NO_END) -> Contents | None:
    """What is in a segment, up to `valid_end`; None if not even its header was written (nothing was answered for).

    Where records stand behind a header that is damaged, they are read: each of them says its own numbers.
    """
    with path.open("rb") as file:
        head = file.read(FILE_HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
        contents = _read_file_header(path, head)
        if contents is None and size <= FILE_HEADER_BYTES:
            return None
        if contents is None:
            contents = Contents(path, int(path.stem), 0, NO_END, lost=[(0, FILE_HEADER_BYTES)], headless=True)
        if size == FILE_HEADER_BYTES:
            return contents
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if valid_end == NO_END and not contents.headless and _read_index(data, contents):
                return contents
            if valid_end:
                os.fdatasync(file.fileno())
            _scan(data, contents, min(size, valid_end))
    return contents


def _read_file_header(path: Path, head: bytes) -> Contents | None:
    if len(head) < FILE_HEADER_BYTES or google_crc32c.value(head[: -_CRC.size]) != _CRC.unpack(head[-_CRC.size :])[0]:
        return None
    magic, _, number, first_seq, previous_end = _FILE_HEADER.unpack_from(head)
    return Contents(path, number, first_seq, previous_end) if magic == _FILE_MAGIC else None


def _read_index(data: mmap.mmap, contents: Contents) -> bool:
    start, magic = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    if magic != _TRAILER_MAGIC or _record_end(data, start, _INDEX_MAGIC) != len(data) - _TRAILER.size:
        return False
    _, head_length, length, _ = _PREFIX.unpack_from(data, start)
    body = start + _PREFIX.size + head_length
    index = _decode_index(data[body : body + length])
    contents.spans = [Span(contents.path, *span) for span in index.spans]
    contents.headers = index.headers
    contents.sealed = True
    return True


def _scan(data: mmap.mmap, contents: Contents, valid_end: int) -> None:
    at = FILE_HEADER_BYTES
    while at < valid_end:
        end = _record_end(data, at, _RECORD_MAGIC)
        if end is None or end > valid_end:
            found = _next_record(data, at, valid_end)
            if _record_end(data, at, _INDEX_MAGIC) is None:
                contents.lost.append((at, found))
                contents.lost_numbers = _numbers_at_most(data, at, found)
            at = found
            continue
        contents.lost_numbers = 0
        header, _ = _header_at(data, at)
        span = Span(contents.path, at, end, header.first_seq, header.last_seq)
        if header.rows + header.dead and not (contents.spans and contents.spans[-1].extend(span, NO_END)):
            contents.spans.append(span)
        if header.remembered:
            contents.headers.append(header)
        at = end


def _numbers_at_most(data: mmap.mmap, start: int, end: int) -> int:
    """How many numbers the damaged records in a range of bytes took: each row has a byte at least.

    Of a record that was cut off, the payload's length is used, where that can still be read.
    """
    if start + _PREFIX.size > len(data):
        return end - start
    magic, _, length, _ = _PREFIX.unpack_from(data, start)
    return max(end - start, length) if magic == _RECORD_MAGIC else end - start


def _next_record(data: bytes | mmap.mmap, at: int, valid_end: int) -> int:
    """The next valid record behind `at`, or the end."""
    magic = _CRC.pack(_RECORD_MAGIC)
    found = data.find(magic, at + 1)
    while 0 <= found < valid_end:
        if _record_end(data, found, _RECORD_MAGIC) is not None:
            return found
        found = data.find(magic, found + 1)
    return valid_end
