"""The records of one file, newest first: its lines, read from the end backwards, by the decoder of its format.

A line that begins with no time has that of the line before. A record that a container's runtime cut into several
lines is put together where they are read in one piece.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.formats import CONTAINERS, SAMPLE_BYTES, recognise
from logriver.errors import Unprocessable
from logriver.files.backwards import Backwards
from logriver.files.found_row import rows_of
from logriver.files.lines_within import LinesWithin
from logriver.files.log_files import LogFile
from logriver.files.matcher import Matcher, Span, matcher
from logriver.files.opened import Opened
from logriver.files.request import LogRequest
from logriver.query.match.needed_words import Choices
from logriver.query.match.row import Row

MAX_LINE_BYTES = 1_000_000
"""A longer line is passed over."""

_OPTIONS = Options(max_record_bytes=MAX_LINE_BYTES)
# In an object or in quotes a letter may be written so.
_WRITTEN_OUT = r"\\(?:u00[3-7]|[^nrtu\"\\/])"
_MAX_WORDS, _MAX_LETTERS = 50, 2_000


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """What `read_bytes` of the file have: the records that may be wanted, newest first."""

    read_bytes: int
    records: list[Row]


class RecordLines:
    """Of a file that is no text there are none. `words` as in `query/match/needed_words.py`."""

    def __init__(self, opened: Opened, file: LogFile, words: Choices, decoder: Decoder) -> None:
        self._opened = opened
        self._file = file
        self._decoder = decoder
        head = opened.read(0, min(opened.size, SAMPLE_BYTES))
        self._is_text = b"\0" not in head
        self._format = recognise(head) if self._is_text else "text"
        # What belongs to a record of a container may stand in another line.
        first, *others = words if words and self._format not in CONTAINERS else [frozenset[str]()]
        self._matcher = _matcher(first)
        self._others = list(map(_matcher, others))
        self._times = LinesWithin(opened, None, None)

    def pieces(self, to_ns: int | None, from_ns: Callable[[], int | None]) -> Iterator[FoundRecords]:
        """The file in pieces, without what is certainly newer than wanted; until what is left is older than that."""
        if not self._is_text:
            return
        offset = self._end(to_ns)
        way = Backwards(self._opened, self._matcher, offset)
        for spans in way.spans():
            begin = min(offset, way.read_last[0])
            yield FoundRecords(offset - begin, self._records(way, spans))
            offset = begin
            oldest_ns = from_ns()
            if oldest_ns is not None and LinesWithin(self._opened, oldest_ns, None).is_past(*way.read_last):
                return

    def _end(self, to_ns: int | None) -> int:
        if to_ns is None:
            return self._opened.size
        try:
            return LinesWithin(self._opened, None, to_ns).end()
        except Unprocessable:
            # No line has a time; the file's own may still be wanted.
            return self._opened.size

    def _records(self, way: Backwards, spans: list[Span]) -> list[Row]:
        """The records of lines, as the spans come newest first."""
        lines = [span for span in spans[::-1] if span[1] - span[0] <= MAX_LINE_BYTES]
        starts: dict[int, int] = {}
        offset = 0
        for start, end in lines:
            starts[offset] = start
            offset += end - start
        if not lines:
            return []
        text = b"".join(way.text(lines))
        for wanted in self._others:
            text, starts = _narrowed(text, starts, wanted)
        state = State(self._file.modified_ns, 0, self._format)
        decoded, _ = self._decoder.decode(text, _OPTIONS, state)
        rows = rows_of(decoded, self._file.path)
        for refused in decoded.refused:
            # It is no record of that format, and can still be what is looked for.
            as_text = state._replace(offset=refused.offset, format="text")
            rows += rows_of(self._decoder.decode(refused.raw, _OPTIONS, as_text)[0], self._file.path)
        rows.sort(key=_offset)
        return [self._timed(row, starts.get(offset)) for row, offset in reversed(rows)]

    def _timed(self, row: Row, start: int | None) -> Row:
        """A record without a time of its own was given that of the file."""
        if row.time_ns == self._file.modified_ns and start is not None:
            time_ns = self._times.time_at(start)
            return row if time_ns is None else Row(time_ns, row.columns, row.attributes)
        return row


def _offset(found: tuple[Row, int]) -> int:
    return found[1]


def _narrowed(text: bytes, starts: dict[int, int], wanted: Matcher) -> tuple[bytes, dict[int, int]]:
    """The lines that match of whole ones, and where each, by its offset in the text, starts in the file."""
    kept: list[bytes] = []
    offsets: dict[int, int] = {}
    offset = 0
    for start, end in wanted.spans(text, 0, len(text)):
        kept.append(text[start:end])
        offsets[offset] = starts[start]
        offset += end - start
    return b"".join(kept), offsets


def _matcher(words: frozenset[str]) -> Matcher:
    """What finds the lines that have one of the words, or that may have it written otherwise."""
    if not 0 < len(words) <= _MAX_WORDS or sum(map(len, words)) > _MAX_LETTERS:
        return matcher(LogRequest(""))
    pattern = "|".join([*sorted(words), _WRITTEN_OUT])
    return matcher(LogRequest("", keyword=pattern, regex=True, ignore_case=True))
