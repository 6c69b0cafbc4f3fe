"""Records of several lines: where each begins.

By indentation (`indent`), a line belongs to the one before it if it begins with a space, a tab or a closing bracket, is
empty, or is one that stack traces have at the margin: `Caused by: ..`, the dotted name of an exception (Java writes it
under the log line), `Traceback (most recent call last):` with all that is indented under it and the name of the
exception after that, and Python's sentences between two tracebacks. By a pattern, a line that does not match belongs to
the one before it.

A record ends after a thousand lines or the bytes that a record may have; the next line then begins another.
"""

import re
from itertools import pairwise
from typing import Protocol

from logriver.decode.lines.user_pattern import line_pattern
from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES, Line, too_long
from logriver.decode.tables.read import table
from logriver.record import Refused

MAX_LINES = 1_000
"""A record has at most so many lines."""

_MULTILINE = table("multiline")
_INDENTED_RECORD = re.compile(_MULTILINE.pattern(_MULTILINE.data["record"], backtracking=True).encode())


class Beginnings(Protocol):
    """Where records begin, in whole lines of which the first begins one."""

    def all(self, lines: bytes) -> list[int]:
        """The place of each, 0 first."""
        ...

    def last(self, lines: bytes) -> int:
        """The place of the last."""
        ...


class ByIndentation:
    """Lines that go on are indented."""

    def all(self, lines: bytes) -> list[int]:
        """See `Beginnings`."""
        return [found.start() for found in _INDENTED_RECORD.finditer(lines)]

    def last(self, lines: bytes) -> int:
        """See `Beginnings`."""
        return self.all(lines)[-1]


class ByPattern:
    """A line begins a record if it matches."""

    def __init__(self, pattern: str) -> None:
        """Raises `SettingsError` for a pattern that cannot be compiled."""
        self._begins = line_pattern(pattern, "multiline_start").search

    def all(self, lines: bytes) -> list[int]:
        """See `Beginnings`."""
        return [start for start, end in _line_places(lines) if not start or self._begins(lines[start:end])]

    def last(self, lines: bytes) -> int:
        """See `Beginnings`; looks from the end, so that only the lines of the last record are asked."""
        end = len(lines)
        while end > 0:
            start = lines.rfind(b"\n", 0, end - 1) + 1
            if not start or self._begins(lines[start : end - 1]):
                return start
            end = start
        return 0


class Multiline:
    """Records by their beginnings, with their bounds."""

    def __init__(self, beginnings: Beginnings) -> None:
        self._beginnings = beginnings

    def whole(self, lines: bytes, max_record_bytes: int) -> int:
        """How many of the bytes of `lines` are records that are whole: the last one may go on in the next lines."""
        last = self._beginnings.last(lines)
        return last + _bounded(lines[last:], max_record_bytes)[-1]

    def beginnings(self, lines: bytes, max_record_bytes: int) -> list[int]:
        """Where records begin, 0 first, none of them too long but by a line that is too long alone."""
        places: list[int] = []
        starts = self._beginnings.all(lines)
        for start, end in pairwise([*starts, len(lines)]):
            # What is shorter than so many bytes has fewer lines.
            if end - start <= min(MAX_LINES, max_record_bytes):
                places.append(start)
            else:
                places += [start + place for place in _bounded(lines[start:end], max_record_bytes)]
        return places

    def split(self, chunk: bytes, offset: int, max_record_bytes: int) -> tuple[list[Line], list[Refused]]:
        """As `lines.split`, but each a whole record. Empty lines around a record are left out, within it they stay."""
        lines: list[Line] = []
        refused: list[Refused] = []
        ended = chunk if chunk.endswith(b"\n") else chunk + b"\n"
        for start, end in pairwise([*self.beginnings(ended, max_record_bytes), len(ended)]):
            record = ended[start:end].lstrip(b"\r\n")
            at = offset + end - len(record)
            record = record.rstrip(b"\r\n")
            if len(record) > max_record_bytes:
                number = chunk.count(b"\n", 0, at - offset) + 1
                refused.append(too_long(number, at, len(record), max_record_bytes, record[:MAX_REFUSED_BYTES]))
            elif record:
                lines.append((len(lines) + 1, at, record.replace(b"\r\n", b"\n").decode("utf-8", "replace")))
        return lines, refused


def _bounded(record: bytes, max_record_bytes: int) -> list[int]:
    """Where the parts of a record begin, 0 first, none of more lines or bytes than a record may have."""
    if len(record) <= min(MAX_LINES, max_record_bytes):
        return [0]
    places, count = [0], 0
    for start, end in _line_places(record):
        if count == MAX_LINES or (count and end + 1 - places[-1] > max_record_bytes):
            places.append(start)
            count = 0
        count += 1
    return places


def _line_places(lines: bytes) -> list[tuple[int, int]]:
    """Where each line begins and ends, its newline not included."""
    ends = [found.start() for found in re.finditer(rb"\n", lines)]
    return list(zip([0, *(end + 1 for end in ends)], ends, strict=False))
