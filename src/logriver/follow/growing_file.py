"""One incarnation of one file, open for reading: the whole lines after what is committed, and nothing else.

Blocking; called from threads, one at a time. A `Checkpoint` is an offset in the file together with what proves that the
bytes before it are still the same: it moves only when its user says that those up to the new one are on disk elsewhere.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import google_crc32c

from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES, too_long
from logriver.file_position import Committed
from logriver.follow.file_calls import answered, progressed
from logriver.record import Refused

HEAD_BYTES = 1024
TAIL_BYTES = 256
CHUNK_BYTES = 1_000_000
# Of a file that was known by its inode so much is compared in full; of a larger one the first and last bytes.
_COMPARED_BYTES = 16_000_000


class NotTheSame(Exception):
    """The file no longer begins with the bytes that are committed: it was truncated or written anew."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The bytes 0 to `end` of a file: their CRC32C and the last 256 of them."""

    end: int = 0
    crc: int = 0
    tail: bytes = b""

    def after(self, more: bytes) -> "Checkpoint":
        """The checkpoint behind `more`, which follows this one."""
        tail = more[-TAIL_BYTES:] if len(more) >= TAIL_BYTES else (self.tail + more)[-TAIL_BYTES:]
        return Checkpoint(self.end + len(more), google_crc32c.extend(self.crc, more), tail)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines from `start` to the checkpoint `after`; of a line that is too long only the refusal."""

    start: int
    after: Checkpoint
    lines: bytes
    too_long: Refused | None = None


@dataclass(slots=True)
class _LongLine:
    """A line over the limit, of which the end was not seen yet: its beginning, and how far it was read."""

    start: int
    beginning: bytes
    read: Checkpoint


class GrowingFile:
    """Reads on from `checkpoint`."""

    def __init__(self, path: Path, max_line_bytes: int) -> None:
        """Open the file. Raises `OSError`."""
        self.path = path
        self.checkpoint = Checkpoint()
        self._max_line_bytes = max_line_bytes
        progressed()
        self._file = path.open("rb", buffering=0)
        # Closing waits for the read under way, whose descriptor could be another file's by then.
        self._in_use = Lock()
        self._long_line: _LongLine | None = None
        self._compared = Checkpoint()
        self._same_as: dict[Path, int] = {}

    def close(self) -> None:
        """Close the file; a read under way is finished first."""
        with self._in_use:
            self._file.close()

    def stat(self) -> os.stat_result:
        """What the file system says about the open file, whatever its path is now."""
        with self._in_use:
            progressed()
            status = os.fstat(self._file.fileno())
            answered()
            return status

    def is_at(self, path: Path) -> bool:
        """Whether a path leads to the open file."""
        try:
            return os.path.samestat(path.stat(), self.stat())
        except OSError:
            return False

    def size(self) -> int:
        """How long the content is."""
        return self.stat().st_size

    def head(self, length: int) -> bytes:
        """The first bytes of the file."""
        return self._read(0, length)

    def still_is(self, committed: Committed) -> bool:
        """Whether a file that was known under this key has what is committed of it."""
        if not self.begins_as(committed):
            return False
        if committed.end <= _COMPARED_BYTES:
            return self.same_up_to(committed)
        return self._read(committed.end - len(committed.tail), len(committed.tail)) == committed.tail

    def same_up_to(self, committed: Committed) -> bool:
        """Whether all committed bytes of another file are the same here; what was compared is not read again."""
        if not self.begins_as(committed):
            return False
        try:
            begin = self._compared if self._compared.end <= committed.end else Checkpoint()
            self._compared = self._checkpoint_at(committed.end, begin)
        except NotTheSame:
            return False
        return (self._compared.crc, self._compared.tail) == (committed.crc, committed.tail)

    def begins_as(self, committed: Committed) -> bool:
        """Whether the file may have what is committed of another: its first bytes, and enough of them."""
        length = committed.identity.head_length
        return head_hash(self.head(length)) == committed.identity.head_hash and self.size() >= committed.end

    def is_beginning_of(self, path: Path) -> bool:
        """Whether another file has everything that this one has. Raises `OSError`."""
        end = self.size()
        progressed()
        with path.open("rb", buffering=0) as other:
            at = min(self._same_as.get(path, 0), end)
            while at < end:
                piece = self._read(at, min(CHUNK_BYTES, end - at))
                progressed()
                if not piece or os.pread(other.fileno(), len(piece), at) != piece:
                    return False
                at += len(piece)
        self._same_as = {path: end}
        return True

    def go_to(self, end: int) -> None:
        """Put the checkpoint at `end` by reading everything before it. Raises `NotTheSame` if the file is shorter."""
        self.move_to(self._checkpoint_at(end))

    def old_lines(self, size: int) -> Chunk:
        """The whole lines within the first `size` bytes, as a chunk that covers them and has none of them."""
        end = size
        while end > 0:
            start = max(0, end - CHUNK_BYTES)
            newline = self._read(start, end - start).rfind(b"\n")
            if newline >= 0:
                return Chunk(0, self._checkpoint_at(start + newline + 1), b"")
            end = start
        return Chunk(0, Checkpoint(), b"")

    def next_chunk(self, whole: Callable[[bytes], int] = len) -> Chunk | None:
        """The whole lines after the checkpoint, about 1 MB of them; None while there are none.

        `whole` says how many of the bytes of some lines are records that do not go on in the next lines. Raises
        `NotTheSame` if the bytes before the checkpoint are not what they were.
        """
        if self._long_line:
            return self._end_of(self._long_line)
        length = CHUNK_BYTES
        while True:
            fresh = self._read_after(self.checkpoint, length)
            if chunk := self._whole_lines(self.checkpoint, fresh, whole):
                return chunk
            if len(fresh) > self._max_line_bytes:
                beginning, read = fresh[:MAX_REFUSED_BYTES], self.checkpoint.after(fresh)
                self._long_line = _LongLine(self.checkpoint.end, beginning, read)
                return self._end_of(self._long_line)
            if len(fresh) < length:
                return None
            length = self._max_line_bytes + 1

    def chunk_after(self, checkpoint: Checkpoint, whole: Callable[[bytes], int]) -> Chunk | None:
        """The same after one that is not committed yet; None too where a record is longer than what is read at once."""
        return self._whole_lines(checkpoint, self._read_after(checkpoint, CHUNK_BYTES), whole)

    def _whole_lines(self, checkpoint: Checkpoint, fresh: bytes, whole: Callable[[bytes], int]) -> Chunk | None:
        lines = fresh[: fresh.rfind(b"\n") + 1]
        if lines and len(fresh) > self._max_line_bytes:
            # Where not one record is whole, the next line would make it too long: it ends before that.
            lines = lines[: whole(lines) or None]
        elif lines:
            lines = lines[: whole(lines)]
        return Chunk(checkpoint.end, checkpoint.after(lines), lines) if lines else None

    def rest(self) -> Chunk | None:
        """What is behind the last whole line, as a line of its own; None if there is nothing.

        Raises `NotTheSame` as `next_chunk` does.
        """
        if self._long_line:
            line = self._long_line
            refusal = too_long(1, line.start, line.read.end - line.start, self._max_line_bytes, line.beginning)
            return Chunk(line.start, line.read, b"", refusal)
        # Less than the longest line, or there would have been a chunk; a newline that came just now ends it.
        fresh = self._read_after(self.checkpoint, self._max_line_bytes + 1)
        line_end = fresh.find(b"\n") + 1 or len(fresh)
        return Chunk(self.checkpoint.end, self.checkpoint.after(fresh[:line_end]), fresh[:line_end]) if fresh else None

    def move_to(self, checkpoint: Checkpoint) -> None:
        """Everything before `checkpoint`, which came from a chunk, is committed now."""
        self.checkpoint, self._long_line = checkpoint, None

    def _checkpoint_at(self, end: int, checkpoint: Checkpoint | None = None) -> Checkpoint:
        checkpoint = checkpoint or Checkpoint()
        while checkpoint.end < end:
            piece = self._read(checkpoint.end, min(CHUNK_BYTES, end - checkpoint.end))
            if not piece:
                raise NotTheSame(f"{checkpoint.end} bytes long, {end} bytes of it are committed")
            checkpoint = checkpoint.after(piece)
        return checkpoint

    def _end_of(self, line: _LongLine) -> Chunk | None:
        """Read on to the end of a line that is too long, in constant memory."""
        while True:
            fresh = self._read_after(line.read, CHUNK_BYTES)
            if not fresh:
                return None
            newline = fresh.find(b"\n")
            if newline >= 0:
                after = line.read.after(fresh[: newline + 1])
                size = after.end - 1 - line.start
                refusal = too_long(1, line.start, size, self._max_line_bytes, line.beginning)
                return Chunk(line.start, after, b"", refusal)
            line.read = line.read.after(fresh)

    def _read_after(self, checkpoint: Checkpoint, length: int) -> bytes:
        """Up to `length` bytes after the checkpoint, read together with the bytes before it, which must be the same."""
        before = len(checkpoint.tail)
        data = self._read(checkpoint.end - before, before + length)
        if data[:before] != checkpoint.tail:
            changed = f"the bytes before byte {checkpoint.end} have changed"
            raise NotTheSame(changed if len(data) >= before else "truncated")
        return data[before:]

    def _read(self, start: int, length: int) -> bytes:
        with self._in_use:
            progressed()
            data = os.pread(self._file.fileno(), length, start)
            answered()
            return data


def head_hash(head: bytes) -> str:
    """The hash by which the first bytes of an incarnation are known."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()
