"""What containers print, to rows: the lines of `container_lines.py`, joined to records.

Streams are joined apart: what goes on continues the same stream, whatever the other one prints in between. A text that
is a JSON object has the fields of that, as in `json`, and the container's time where it has none of its own; any other
is a message as in `text`, at the container's time. Each record has its `stream`, and the labels that Docker was told to
add (`attrs`). A line that the runtime did not write is read as text.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from logriver.clock import Zone
from logriver.decode.json.lines import JsonLines
from logriver.decode.labels import Labels
from logriver.decode.lines.container_lines import ContainerLine
from logriver.decode.lines.multiline import Multiline
from logriver.decode.lines.text import values_of
from logriver.decode.lines.whole_lines import Line, split
from logriver.decode.row_builder import encode
from logriver.decode.row_builder import line as row_line
from logriver.decode.time.cache import TimeCache
from logriver.decode.time.timestamps import Stamps
from logriver.record import Decoded, Refused


@dataclass(slots=True)
class _Record:
    """What belongs together of one stream: the bytes from `start` to `end` of the file, less those of the other."""

    start: int
    end: int
    first: ContainerLine
    text: str
    open: bool

    def go_on(self, other: "_Record", between: str) -> None:
        self.end, self.open = other.end, other.open
        self.text += between + other.text


class _Seen(NamedTuple):
    """What is in some lines, with places in them."""

    lines: bytes
    now_ns: int
    records: list[_Record]
    refused: list[Refused]


class ContainerLines:
    """The decoder of one file. `line_of` reads a line, `multiline` says which lines of a stream are one record."""

    def __init__(
        self,
        line_of: Callable[[str], ContainerLine | None],
        max_record_bytes: int,
        zone: Zone,
        multiline: Multiline | None = None,
    ) -> None:
        self._line_of = line_of
        self._max_record_bytes = max_record_bytes
        self._multiline = multiline
        self._json_lines = JsonLines(max_record_bytes, zone)
        self._times = TimeCache()
        self._seen: _Seen | None = None

    def whole(self, lines: bytes, now_ns: int) -> int:
        """How many of the bytes of `lines`, from the first, are records that do not go on in the next lines."""
        records, refused = self._records(lines, 0, now_ns)
        self._seen = _Seen(lines, now_ns, records, refused)
        whole = min((record.start for record in records if record.open), default=len(lines))
        for record in reversed(records):
            # None is cut in two: of the streams' records, one may begin before and end after another begins.
            if record.start < whole < record.end:
                whole = record.start
        return whole or self._bound(lines)

    def _bound(self, lines: bytes) -> int:
        """The lines that are within what a record may have at most, 0 if it is not reached."""
        if len(lines) <= self._max_record_bytes:
            return 0
        return (lines.rfind(b"\n", 0, self._max_record_bytes) + 1) or (lines.find(b"\n") + 1)

    def decode(self, chunk: bytes, offset: int, stamps: Stamps) -> Decoded:
        """Rows of whole lines that begin at byte `offset` of their file; only lines that are too long are refused."""
        records, refused = self._seen_in(chunk, offset, stamps.now_ns) or self._records(chunk, offset, stamps.now_ns)
        there = [record for record in records if record.text.strip("\r\n")]
        rows = self._rows(there, stamps)
        parts = [Decoded(refused=refused)]
        place = 0
        for (stream, attrs), together in groupby(there, lambda record: (record.first.stream, record.first.attrs)):
            count = sum(1 for _ in together)
            block = Decoded(encode(rows[place : place + count]), count)
            _labels(stream, attrs).add(block)
            parts.append(block)
            place += count
        return Decoded.joined(parts)

    def _seen_in(self, chunk: bytes, offset: int, now_ns: int) -> tuple[list[_Record], list[Refused]] | None:
        """What was found in lines that begin with the chunk, as of the chunk; None where that was not looked at."""
        seen, self._seen = self._seen, None
        if seen is None or seen.now_ns != now_ns or not seen.lines.startswith(chunk):
            return None
        records = [record for record in seen.records if record.start < len(chunk)]
        if any(record.end > len(chunk) for record in records):
            return None
        for record in records:
            record.start, record.end = record.start + offset, record.end + offset
        refused = [one for one in seen.refused if one.offset < len(chunk)]
        return records, [replace(one, offset=one.offset + offset) for one in refused]

    def _rows(self, records: list[_Record], stamps: Stamps) -> list[str]:
        texts = [record.text.strip("\r\n") for record in records]
        lines: list[Line] = [(1, record.start, text) for record, text in zip(records, texts, strict=True)]
        objects = {place for place, text in enumerate(texts) if text[0] == "{"}
        # Times and levels of texts are found for all of them together, which is cheaper by far.
        others = iter(values_of([line for place, line in enumerate(lines) if place not in objects], stamps))
        rows = []
        for place, (record, text) in enumerate(zip(records, texts, strict=True)):
            row = self._of_json(record, text, stamps.now_ns) if place in objects else None
            if row is None:
                values = next(others) if place not in objects else values_of([lines[place]], stamps)[0]
                row = row_line((record.first.time, *values[1:]) if record.first.time else values)
            rows.append(row)
        return rows

    def _of_json(self, record: _Record, text: str, now_ns: int) -> str | None:
        """The row of a JSON object; None if it is none that can be stored."""
        try:
            time_ns = int(record.first.time or now_ns)
            return self._json_lines.row(text.encode(), time_ns, record.start, followed=True)
        except ValueError:
            return None

    def _container_line(self, text: str, now_ns: int) -> ContainerLine:
        """What a line says; of one that is not the runtime's, or has no time that can be stored, all is text."""
        said = self._line_of(text)
        if said:
            with contextlib.suppress(ValueError):
                return said._replace(time=self._times.digits_of(said.time, now_ns))
        return ContainerLine("", "", text, goes_on=False)

    def _records(self, chunk: bytes, offset: int, now_ns: int) -> tuple[list[_Record], list[Refused]]:
        """The records in the order of their beginnings, and the lines that are refused."""
        lines, refused = split(chunk, offset, self._max_record_bytes)
        records: list[_Record] = []
        going_on: dict[str, _Record] = {}
        for _, at, text in lines:
            said = self._container_line(text, now_ns)
            end = chunk.find(b"\n", at - offset) + 1 or len(chunk)
            fresh = _Record(at, offset + end, said, said.text, said.goes_on)
            known = going_on.pop(said.stream, None)
            if known and fresh.end - known.start <= self._max_record_bytes:
                known.go_on(fresh, "")
            else:
                records.append(fresh)
                known = fresh
            if said.goes_on:
                going_on[said.stream] = known
        return (self._joined(records, self._multiline) if self._multiline else records), refused

    def _joined(self, records: list[_Record], multiline: Multiline) -> list[_Record]:
        """Records of one line each to such of several, stream by stream; the last of each stream may go on."""
        by_stream: dict[str, list[_Record]] = {}
        for record in records:
            by_stream.setdefault(record.first.stream, []).append(record)
        joined: list[_Record] = []
        for of_stream in by_stream.values():
            texts = [record.text.encode() + b"\n" for record in of_stream]
            begins = set(multiline.beginnings(b"".join(texts), self._max_record_bytes))
            place = 0
            for record, text in zip(of_stream, texts, strict=True):
                if place in begins or record.end - joined[-1].start > self._max_record_bytes:
                    joined.append(record)
                else:
                    joined[-1].go_on(record, "\n")
                place += len(text)
            joined[-1].open = True
        return sorted(joined, key=lambda record: record.start)


@lru_cache(1024)
def _labels(stream: str, attrs: tuple[tuple[str, str], ...]) -> Labels:
    given: dict[str, object] = {"stream": stream} if stream else {}
    return Labels(given | {"attrs": dict(attrs)} if attrs else given)
