"""Which lines of a piece of a file match, by a keyword or a pattern.

Everything is searched by RE2, literals too: it looks for the first and last byte of a literal with vector instructions,
does not hold the interpreter's lock, and takes linear time whatever the pattern. Where one match is found others are
often near: of a plain keyword those are looked for by `bytes.find` first, which costs less a match.
"""

import re
from typing import Protocol

import re2

from logriver.errors import BadQuery
from logriver.files.request import LogRequest

REACH_BYTES = 65_536
"""How far behind the start of its line, and behind the end of a piece of a longer line, a match can reach."""

MAX_PATTERN_LETTERS = 4_000
_NEAR_BYTES = 1_024

Span = tuple[int, int]
"""First byte and end of lines in a piece; -1 for an end that is not in it."""

# In a pattern that is looked for in many lines at once these would mean the piece and not the line.
_OF_WHOLE_TEXT = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[Az]|\(\?[a-zA-Z]*-[a-zA-Z]*m)")


class Matcher(Protocol):
    """Finds the lines of matches that start in `piece[begin:end]`.

    Either end may be in the middle of a line that is longer than the piece. What stands before `begin` and after `end`
    is there for the borders of matches; after it no more than a match can reach, and that only where `beyond` asks for
    it or a line goes on.
    """

    beyond: bool

    def spans(self, piece: bytes, begin: int, end: int) -> list[Span]:
        """The lines."""


def matcher(request: LogRequest) -> Matcher:
    """What finds what a request asks for. Raises `BadQuery` for a pattern that is none."""
    if not request.keyword:
        return _EveryLine()
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.never_nl = not request.multiline
    text = request.keyword if request.regex else re2.escape(request.keyword)
    if len(request.keyword) > MAX_PATTERN_LETTERS:
        raise BadQuery(f"a keyword has at most {MAX_PATTERN_LETTERS} letters")
    if request.regex and (found := _OF_WHOLE_TEXT.search(request.keyword)):
        raise BadQuery(f"{found[0]!r} has no meaning here", hint="^ and $ are the start and the end of a line")
    flags = "(?im)" if request.ignore_case else "(?m)"
    try:
        pattern = re2.compile((flags + text).encode("utf-8", "surrogateescape"), options)
    except re2.error as error:
        reason = _reason(error).replace(flags, "", 1)
        raise BadQuery(f"not a regular expression: {reason}", hint="the syntax is that of RE2") from None
    if request.multiline:
        return _Across(pattern)
    literal = b"" if request.regex or request.ignore_case else request.keyword.encode("utf-8", "surrogateescape")
    return _InLines(pattern, literal)


def _reason(error: Exception) -> str:
    reason = error.args[0]
    return (reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason))[:100]


def _with_end_of_file(piece: bytes, end: int) -> int:
    """What matches may start before: also at the end of a last line that has no line feed."""
    return end + 1 if end == len(piece) and not piece.endswith(b"\n") else end


class _EveryLine:
    beyond = False

    def spans(self, piece: bytes, begin: int, end: int) -> list[Span]:
        """Every line."""
        found = []
        start = piece.rfind(b"\n", 0, begin) + 1
        while start < end:
            after = piece.find(b"\n", max(start, begin)) + 1
            found.append((start, after or -1))
            start = after or end
        return found


class _InLines:
    """Matches within one line. `literal` is the keyword where that is what the pattern looks for."""

    beyond = False

    def __init__(self, pattern: re2._Regexp, literal: bytes) -> None:
        self._pattern = pattern
        self._literal = literal

    def spans(self, piece: bytes, begin: int, end: int) -> list[Span]:
        """Each line that has a match."""
        found: list[Span] = []
        match = self._pattern.search(piece, begin)
        offset = match.start() if match else -1
        end = _with_end_of_file(piece, end)
        while 0 <= offset < end:
            start, after = piece.rfind(b"\n", 0, offset) + 1, piece.find(b"\n", offset) + 1
            found.append((start, after or -1))
            offset = self._next(piece, after) if after else -1
        return found

    def _next(self, piece: bytes, begin: int) -> int:
        near = piece.find(self._literal, begin, begin + _NEAR_BYTES) if self._literal else -1
        if near >= 0:
            return near
        match = self._pattern.search(piece, begin)
        return match.start() if match else -1


class _Across:
    """Matches that may span lines: for each line the first that starts in it.

    It ends with the line or `REACH_BYTES` behind the line's start, whichever is later, so that which lines are found
    does not depend on how the file is cut into pieces.
    """

    beyond = True

    def __init__(self, pattern: re2._Regexp) -> None:
        self._pattern = pattern

    def spans(self, piece: bytes, begin: int, end: int) -> list[Span]:
        """The lines of each match; those of two may overlap."""
        found: list[Span] = []
        while begin < end:
            begin = self._candidate(piece, begin, end)
            if begin >= end:
                break
            after = piece.find(b"\n", begin) + 1 or len(piece)
            match = self._pattern.search(piece, begin, max(after, min(begin + REACH_BYTES, len(piece))))
            if match and match.start() < min(_with_end_of_file(piece, after), _with_end_of_file(piece, end)):
                last = max(match.start(), match.end() - 1)
                found.append((piece.rfind(b"\n", 0, match.start()) + 1, piece.find(b"\n", last) + 1 or -1))
            begin = after
        return found

    def _candidate(self, piece: bytes, begin: int, end: int) -> int:
        """The start of a line at or after `begin` before which no match starts; `end` if none does."""
        while begin < end:
            seen = min(begin + 2 * REACH_BYTES, len(piece))
            match = self._pattern.search(piece, begin, seen)
            if match:
                return max(begin, piece.rfind(b"\n", 0, match.start()) + 1)
            # What starts in the second half could end behind it.
            line = end if seen == len(piece) else piece.rfind(b"\n", 0, seen - REACH_BYTES) + 1
            if line <= begin:
                return begin
            begin = line
        return end
