"""Whether the lines of a file are stored: each compared with the records that a server has of it.

A line is stored if there is a record with its offset and with all that the decoder of its format makes of it. Where
several incarnations of a file were followed under one path, records do not say of which they are: those that are of no
line here may be another incarnation's, and a line may be stored once for each.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from logriver.cli.source_answers import Record
from logriver.columns import HASHED_COLUMNS
from logriver.record import Decoded, Refused

MAX_EXAMPLES = 10
_SHOWN_BYTES = 120
Decode = Callable[[bytes, int, int], Decoded]
"""Whole lines, the offset of the first in the file, the time of reading, to rows."""

# The escapes of a row, see `decode/row_builder.py`.
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"t": b"\t", b"n": b"\n"}

_ATTRIBUTES = HASHED_COLUMNS.index("attributes")

Line = tuple[int, int, int]
"""Of a line: its offset, the timestamp that it gets, the hash of all else that it becomes."""


class KnownDeadLetters(Protocol):
    """The dead letters of a source."""

    def has(self, raw: bytes) -> bool:
        """Whether a line that was refused is one; each dead letter stands for one line."""
        ...

    def has_row_at(self, offset: int) -> bool:
        """Whether the record of the line there is one, because the engine refused it."""
        ...


@dataclass(slots=True)
class Tally:
    """How many lines are what, and examples of those that are not stored.

    `head_missing` are those of the missing ones that come before every line that is stored. `others` are records that
    are of no line.
    """

    stored: int = 0
    left_out: int = 0
    refused: int = 0
    refused_gone: int = 0
    missing: int = 0
    head_missing: int = 0
    different: int = 0
    doubled: int = 0
    others: int = 0
    examples: list[str] = field(default_factory=list)


class Judge:
    """Of one incarnation, whose lines come in order. `other_ends` is how far other incarnations under the path are
    stored.

    Of several ways in which its lines may have become records the one counts, chunk by chunk, that most are stored by.
    """

    def __init__(
        self,
        decodes: list[Decode],
        dead_letters: Callable[[], KnownDeadLetters],
        *,
        now_ns: int,
        left_out_end: int,
        other_ends: list[int],
    ) -> None:
        """`dead_letters` is called where a line was refused or is missing; nothing before `left_out_end` is stored."""
        self.tally = Tally()
        self._decodes = decodes
        self._dead_letters = dead_letters
        self._now_ns = now_ns
        self._left_out_end = left_out_end
        self._other_ends = other_ends

    def lines(self, data: bytes, start: int, records: Iterable[Record]) -> None:
        """Whole lines that begin at byte `start`, and all records that begin within them."""
        there: dict[int, list[Record]] = defaultdict(list)
        for record in records:
            there[record[0]].append(record)
        decoded, lines = self._as_stored(data, start, there)
        # Where a line ends only those need to know that are not simply stored.
        ends: dict[int, int] | None = None
        for line in lines:
            here = there.pop(line[0], [])
            if len(here) == 1 and self._is(here[0], line) and line[0] >= self._left_out_end:
                self.tally.stored += 1
                continue
            ends = ends or _ends(lines, decoded.refused, start + len(data))
            piece = data[line[0] - start : ends[line[0]] - start]
            self._look_closer(line, piece, here, there)
        for refused in decoded.refused:
            self.refused(refused)
        self.tally.others += sum(map(len, there.values()))

    def refused(self, refused: Refused) -> None:
        """A line that its format refuses."""
        if refused.offset < self._left_out_end:
            self.tally.left_out += 1
        elif self._dead_letters().has(refused.raw):
            self.tally.refused += 1
        else:
            self.tally.refused_gone += 1
            self._example("refused, its dead letter is gone", refused.offset, refused.raw)

    def _as_stored(self, data: bytes, start: int, there: dict[int, list[Record]]) -> tuple[Decoded, list[Line]]:
        """The lines in the way that most of them are stored by, which is tried first from then on."""
        best, found = -1, (Decoded(), list[Line]())
        for decode in list(self._decodes):
            decoded = decode(data, start, self._now_ns)
            lines = lines_of(decoded)
            stored = sum(any(self._is(record, line) for record in there.get(line[0], ())) for line in lines)
            if stored > best:
                best, found = stored, (decoded, lines)
                self._decodes.remove(decode)
                self._decodes.insert(0, decode)
            if stored == len(lines):
                break
        return found

    def _is(self, record: Record, line: Line) -> bool:
        """A line without a time of its own has that of its reading, whatever it was."""
        return record[3] == line[2] and (record[1] == line[1] or line[1] == self._now_ns)

    def _look_closer(self, line: Line, piece: bytes, here: list[Record], there: dict[int, list[Record]]) -> None:
        """A line that is not simply stored: `piece` are its bytes, `here` the records at its offset, `there` others."""
        offset = line[0]
        if offset < self._left_out_end:
            self.tally.left_out += 1
            self.tally.others += len(here)
            return
        same = [record for record in here if self._is(record, line) or self._was(record, piece)]
        if same:
            self._stored(offset, piece, len(same))
            self.tally.others += len(here) - len(same)
        elif here and self._is_in_pieces(piece, offset, here, there):
            self.tally.stored += 1
        else:
            self._not_stored(offset, piece, len(here))

    def _stored(self, offset: int, piece: bytes, times: int) -> None:
        """There are so many records that equal a line, one of which may be of each incarnation of the file."""
        incarnations = 1 + sum(end > offset for end in self._other_ends)
        self.tally.stored += 1
        self.tally.others += min(times, incarnations) - 1
        if times > incarnations:
            self.tally.doubled += times - incarnations
            self._example("doubled", offset, piece)

    def _was(self, record: Record, piece: bytes) -> bool:
        """Whether the record is what the line became when it was read: its year may come from that time."""
        offset, _, received_ns, _ = record
        lines = lines_of(self._decodes[0](piece, offset, received_ns))
        return len(lines) == 1 and lines[0][1:] == (record[1], record[3])

    def _is_in_pieces(self, piece: bytes, offset: int, here: list[Record], there: dict[int, list[Record]]) -> bool:
        """Whether it was read in pieces: a line whose end took too long is taken, and what comes later is another."""
        end = offset + len(piece)
        places = [offset, *sorted(place for place in there if offset < place < end)]
        for start, stop in pairwise([*places, end]):
            part = piece[start - offset : stop - offset]
            lines = lines_of(self._decodes[0](part, start, self._now_ns))
            records = here if start == offset else there[start]
            if len(lines) != 1 or not any(self._is(record, lines[0]) or self._was(record, part) for record in records):
                return False
        self.tally.others += len(here) - 1 + sum(len(there.pop(place)) - 1 for place in places[1:])
        return True

    def _not_stored(self, offset: int, piece: bytes, others: int) -> None:
        """No record equals a line; so many others are at its offset."""
        self.tally.others += others
        if self._dead_letters().has_row_at(offset):
            self.tally.refused += 1
        elif others and not any(end > offset for end in self._other_ends):
            self.tally.different += 1
            self.tally.others -= 1
            self._example("different", offset, piece)
        else:
            self.tally.missing += 1
            if not self.tally.stored:
                self.tally.head_missing += 1
            self._example("missing", offset, piece)

    def _example(self, what: str, offset: int, piece: bytes) -> None:
        if len(self.tally.examples) < MAX_EXAMPLES:
            text = piece[:_SHOWN_BYTES].decode(errors="replace").rstrip("\r\n")
            self.tally.examples.append(f"byte {offset}: {what}: {text}")


class SourceDeadLetters:
    """Dead letters, gathered one by one."""

    def __init__(self) -> None:
        self._raws: Counter[bytes] = Counter()
        self._offsets: set[int] = set()

    def add_line(self, raw: bytes) -> None:
        """A line that its format refused."""
        self._raws[hashlib.blake2b(raw, digest_size=16).digest()] += 1

    def add_row(self, offset: int) -> None:
        """A record that the engine refused."""
        self._offsets.add(offset)

    def has(self, raw: bytes) -> bool:
        """See `KnownDeadLetters`."""
        key = hashlib.blake2b(raw, digest_size=16).digest()
        self._raws[key] -= 1
        return self._raws[key] >= 0

    def has_row_at(self, offset: int) -> bool:
        """See `KnownDeadLetters`."""
        return offset in self._offsets


def lines_of(decoded: Decoded) -> list[Line]:
    """The lines that became rows."""
    return [_line(row) for row in decoded.rows.split(b"\n")[:-1]]


def _line(row: bytes) -> Line:
    """Time first, offset last: what is between them is hashed as the server does it (`search/source_lines.py`)."""
    time, *values, offset = row.split(b"\t")
    if b"\\" in row:
        values = [_ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), value) for value in values]
    values[_ATTRIBUTES] = b",".join(sorted(values[_ATTRIBUTES][1:-1].split(b",")))
    digest = hashlib.md5(b"\t".join(values), usedforsecurity=False).digest()
    return int(offset), int(time), int.from_bytes(digest[:8], "big")


def _ends(lines: list[Line], refused: list[Refused], end: int) -> dict[int, int]:
    """Where each line ends: where the next begins."""
    places = sorted([line[0] for line in lines] + [one.offset for one in refused])
    return dict(pairwise([*places, end]))
