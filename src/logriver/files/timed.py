"""Lines with their times, so that those of several machines can be put in one order: blocks, newest first.

A block is a line that begins with a time and the lines without one that follow it in the file, such as a stack trace;
they come before it here, because everything comes from the end. A block whose lines are too many or too long is cut in
parts with the same time, of which only the last one ends with a line. What has no line with a time before it has the
time of the block that came before, and where there was none counts as the newest.

On the way a block is its time and length (16 bytes) and its text.
"""

import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from logriver import clock
from logriver.decode.time.line_times import OBJECT_BYTES, LineTimes
from logriver.errors import LogriverError

MAX_BLOCK_BYTES = 256_000
MAX_BLOCK_LINES = 1_000
# A block is full before the last line, which may be a long one's part.
_MAX_TEXT_BYTES = 10 * MAX_BLOCK_BYTES

_HEAD = struct.Struct(">qQ")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one time, or a part of a line: then `text` does not end with a line feed, and the rest comes next."""

    time_ns: int
    text: bytes


async def blocks(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Lines, newest first and in any pieces, as blocks on their way."""
    sorter = _Sorter()
    async with aclosing(lines) as pieces:
        async for piece in pieces:
            if found := b"".join(_encoded(block) for block in sorter.add(piece)):
                yield found
    if rest := b"".join(_encoded(block) for block in sorter.rest()):
        yield rest


async def decoded(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[Block], None]:
    """The blocks again, as they come. Raises `LogriverError` for what is none."""
    waiting = b""
    async with aclosing(pieces) as given:
        async for piece in given:
            found, used = _decoded(waiting + piece)
            waiting = (waiting + piece)[used:]
            if found:
                yield found
    if waiting:
        raise LogriverError("a block came in part")


def _decoded(text: bytes) -> tuple[list[Block], int]:
    """The whole blocks at the beginning of `text`, and how long they are together."""
    found, start = [], 0
    while len(text) - start >= _HEAD.size:
        time_ns, length = _HEAD.unpack_from(text, start)
        if not 0 < length <= _MAX_TEXT_BYTES:
            raise LogriverError(f"a block of {length} bytes came")
        end = start + _HEAD.size + length
        if end > len(text):
            break
        found.append(Block(time_ns, text[start + _HEAD.size : end]))
        start = end
    return found, start


def _encoded(block: Block) -> bytes:
    return _HEAD.pack(block.time_ns, len(block.text)) + block.text


class _Sorter:
    """Collects the lines of a block until its first line, which has the time, has come."""

    def __init__(self) -> None:
        self._times = LineTimes(clock.now_ns())
        self._last_ns = clock.MAX_TIME_NS
        self._held: list[bytes] = []
        self._held_bytes = 0
        # A line whose end has not come, and whether its beginning has gone out already.
        self._begun = b""
        self._is_in_line = False

    def add(self, piece: bytes) -> Iterator[Block]:
        """The blocks that are whole with this piece."""
        *lines, begun = (self._begun + piece).split(b"\n")
        for line in lines:
            yield from self._line(line + b"\n")
        self._begun = begun
        if len(begun) > OBJECT_BYTES:
            self._begun = b""
            yield from self._line(begun)

    def rest(self) -> Iterator[Block]:
        """What is left at the end."""
        if self._begun:
            yield from self._line(self._begun)
        yield from self._give()

    def _line(self, line: bytes) -> Iterator[Block]:
        """A line, or a part of a long one, of which the first is looked at for the time."""
        if self._is_in_line:
            yield Block(self._last_ns, line)
        else:
            time_ns = self._times.of(line)
            if len(line) + self._held_bytes > MAX_BLOCK_BYTES or len(self._held) == MAX_BLOCK_LINES:
                yield from self._give()
            self._held.append(line)
            self._held_bytes += len(line)
            is_part = not line.endswith(b"\n")
            if time_ns is not None or is_part:
                self._last_ns = self._last_ns if time_ns is None else time_ns
                yield from self._give()
        self._is_in_line = not line.endswith(b"\n")

    def _give(self) -> Iterator[Block]:
        if self._held:
            yield Block(self._last_ns, b"".join(self._held))
        self._held, self._held_bytes = [], 0
