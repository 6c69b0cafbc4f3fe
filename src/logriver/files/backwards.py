"""Reads a file from its end backwards: the lines that match, newest first.

It reads pieces of at most `PIECE_BYTES`, each beginning with a line; a line that is longer than that is searched in
pieces and given in pieces, so that memory does not depend on what the file holds. Nothing is mapped into memory: a file
that is truncated meanwhile would kill the process.
"""

from collections.abc import Iterator

from logriver.files.matcher import REACH_BYTES, Matcher, Span
from logriver.files.opened import Opened

# The first is read for its newest lines alone.
_FIRST_BYTES = 65_536
PIECE_BYTES = 524_288
_SENT_BYTES = 262_144


class Backwards:
    """The way through one file from `end`, which is the start of a line or the size, to its beginning."""

    def __init__(self, file: Opened, matcher: Matcher, end: int) -> None:
        self._file = file
        self._matcher = matcher
        self._end = end
        self._base = 0
        self._piece = b""
        self.read_last: Span = (end, end)
        """Which part of the file the last list is of, but for lines that begin before it."""

    def spans(self) -> Iterator[list[Span]]:
        """The spans of whole lines that match, newest first: a list for each piece, often an empty one.

        Ask for the `text` of what a list has before the next one.
        """
        size = _FIRST_BYTES
        # Lines whose match may turn out to overlap with one that begins earlier.
        kept: list[Span] = []
        while self._end > 0:
            begin = self._read(size)
            if begin > 1 or self._base == 0 or size == PIECE_BYTES:
                found = self._found(begin)
                self.read_last = self._base + begin, self._end
                self._end = min(self._base + begin, found[0][0] if found else self._end)
                if self._matcher.beyond:
                    found, kept = _joined(found + kept, self._end + REACH_BYTES if self._end else 0)
                yield found[::-1]
            size = min(2 * size, PIECE_BYTES)
        yield kept[::-1]

    def stop(self) -> None:
        """Read no further: only what was found already comes yet."""
        self._end = 0

    def text(self, spans: list[Span]) -> Iterator[bytes]:
        """The lines of spans, in pieces; what has no end gets one, so that no two lines become one."""
        near: list[bytes] = []
        for start, end in spans:
            if start >= self._base and end <= self._base + len(self._piece):
                line = self._piece[start - self._base : end - self._base]
                near.append(line if line.endswith(b"\n") else line + b"\n")
                continue
            yield b"".join(near)
            near.clear()
            yield from self._far_text(start, end)
        yield b"".join(near)

    def _far_text(self, start: int, end: int) -> Iterator[bytes]:
        part = b""
        for offset in range(start, end, _SENT_BYTES):
            part = self._file.read(offset, min(end, offset + _SENT_BYTES))
            yield part
        if not part.endswith(b"\n"):
            yield b"\n"

    def _read(self, size: int) -> int:
        """Read the `size` bytes before the end, and what the matcher needs beyond.

        Gives where in the piece the first whole line begins: 1 (the byte before is known) where none does.
        """
        end = self._end
        whole = end == self._file.size or self._file.read(end - 1, end) == b"\n"
        beyond = 0 if whole and not self._matcher.beyond else REACH_BYTES + 1
        self._base = max(0, end - size - 1)
        self._piece = self._file.read(self._base, min(self._file.size, end + beyond))
        if self._base == 0:
            return 0
        return self._piece.find(b"\n", 0, end - self._base - 1) + 1 or 1

    def _found(self, begin: int) -> list[Span]:
        """The spans of the piece as offsets in the file; a line that goes beyond it is looked for to its ends."""
        base = self._base
        spans = self._matcher.spans(self._piece, begin, self._end - base)
        beyond = any(end < 0 for _, end in spans)
        last = self._file.line_end(base + len(self._piece)) if beyond else 0
        found = [(base + start, base + end if end > 0 else last) for start, end in spans]
        if found and found[0][0] == base > 0:
            found[0] = self._file.line_start(base), found[0][1]
        return found


def _joined(spans: list[Span], safe: int) -> tuple[list[Span], list[Span]]:
    """Spans in their order, those that overlap as one: from `safe` on, and the others, which may still grow."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    kept = [span for span in joined if span[0] <= safe] if safe else []
    return joined[len(kept) :], kept
