"""Reading the log at start: what is still to be stored, what is lost, and where numbering goes on.

Segments are read in order. What cannot be read, or is not there, stays suspected until the next valid record or header
says where the numbers go on: those in between are lost, unless they were stored or skipped before. Behind the last
valid record nothing says that, only how far the log had got when the last snapshot was made.
"""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from logriver.errors import DataDirectoryError
from logriver.queue.damage import Damage, Damages
from logriver.queue.record_header import RecordHeader
from logriver.queue.segment_files import SegmentFile, segment_files
from logriver.queue.segment_header import NO_END, SegmentHeader
from logriver.queue.state import SkippedRange, State
from logriver.queue.wal_segment import Contents, Extent

# More numbers than a segment that is gone can have had.
_NUMBERS_OF_A_SEGMENT = 2**26

log = logging.getLogger(__name__)

_Bytes = tuple[int, int]

StoredIn = Callable[[int, int], int]
"""How many of the numbers from the first to the last are in the store."""


@dataclass(slots=True)
class Recovered:
    """`watermark`: done up to here. `segments`: the files that exist with their last numbers, oldest first.

    `previous_end` is for the next segment: up to where the newest one counts.
    """

    watermark: int
    last_seq: int
    next_number: int = 1
    extents: list[Extent] = field(default_factory=list)
    headers: list[RecordHeader] = field(default_factory=list)
    skipped_ranges: list[SkippedRange] = field(default_factory=list)
    segments: list[tuple[Path, int]] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    previous_end: int = NO_END
    problems: list[str] = field(default_factory=list)

    def next_segment(self, node: str) -> SegmentHeader:
        """The header of the next segment, but for its first number."""
        return SegmentHeader(node, self.next_number, 0, self.previous_end)


@dataclass(frozen=True, slots=True)
class _Suspect:
    """Something that cannot be read. `torn`: perhaps only what was being written when the process was killed."""

    file: str
    place: str
    what: str
    torn: bool = False


def recover(directory: Path, state: State, damages: Damages, stored_seq: int, stored_in: StoredIn) -> Recovered:
    """Read every segment. `stored_seq` is the highest number in the store: it must never be handed out again.

    Raises `OSError`, and `DataDirectoryError` where somebody has to do something first; then nothing was changed.
    """
    files = segment_files(directory, state)
    found = _Recovery(state, stored_seq, stored_in).run(files)
    damages.found(found.damages)
    try:
        # What is lost is lost once: the next start must not find it anew.
        skipped_ranges = found.skipped_ranges if found.damages else []
        state.note_start(skipped_ranges, files[0].number - 1 if files else 0, found.next_number - 1)
    except sqlite3.Error as error:
        log.warning("what was found at start cannot be kept: %s", error)
    else:
        for file in files:
            file.set_aside_if_useless()
    return found


class _Recovery:
    def __init__(self, state: State, stored_seq: int, stored_in: StoredIn) -> None:
        self._state = state
        self._stored_seq = stored_seq
        self._stored_in = stored_in
        self._suspects: list[_Suspect] = []
        watermark = state.number("watermark")
        self._found = Recovered(watermark, watermark)
        self._lost_numbers = 0

    def run(self, files: list[SegmentFile]) -> Recovered:
        """All of it."""
        found = self._found
        self._check_state(files)
        for file in files:
            found.next_number = file.number + 1
            if file.contents is None:
                self._suspect_file(file)
            else:
                self._read(file.contents)
        self._end()
        return found

    def _check_state(self, files: list[SegmentFile]) -> None:
        """Before a segment is written, the queue's file says so. Where it does not, it is not the one of this log."""
        says_nothing = self._state.number_or_none("segments_made") is None
        if says_nothing and (self._stored_seq or any(file.contents for file in files)):
            what = "was empty; idempotency keys, dead letters and how far files had been read are lost"
            self._found.damages.append(Damage("state.db", f"state.db:{self._stored_seq}", what))

    def _suspect_file(self, file: SegmentFile) -> None:
        self._found.segments.append((file.path, self._found.last_seq))
        self._found.previous_end = NO_END
        if file.what:
            self._suspects.append(_Suspect(file.path.name, f"{file.path.name}:0", file.what))
        self._lost_numbers = _NUMBERS_OF_A_SEGMENT if file.what else 0

    def _read(self, contents: Contents) -> None:
        found = self._found
        found.headers += contents.headers
        if not contents.headless:
            self._reach(contents.first_seq)
        items: list[_Bytes | Extent] = [*contents.lost, *contents.extents]
        for item in sorted(items, key=_start):
            if isinstance(item, Extent):
                self._reach(item.first_seq)
                self._add(item)
            else:
                self._suspects.append(_suspect(contents, *item))
        if contents.end_is_missing and not self._suspects:
            name = contents.path.name
            self._suspects.append(_Suspect(name, f"{name}:end", "its end is missing"))
        last_seq = contents.extents[-1].last_seq if contents.extents else max(0, contents.first_seq - 1)
        found.segments.append((contents.path, last_seq))
        self._lost_numbers, found.previous_end = contents.lost_numbers, contents.end

    def _add(self, extent: Extent) -> None:
        found = self._found
        if extent.last_seq <= found.last_seq:
            return
        if extent.first_seq <= found.last_seq:
            # Joined records of which some are done. Those are passed over when it is read: retention may have removed
            # them since, so that the store does not show whether they were there.
            extent = replace(extent, first_seq=found.last_seq + 1)
        found.extents.append(extent)
        found.last_seq = extent.last_seq

    def _reach(self, first_seq: int) -> None:
        """The log goes on with this number: what is between is lost if anything is suspected, and else was skipped."""
        start, end = self._found.last_seq + 1, first_seq - 1
        self._skip_to(end, "damaged in the log" if self._suspects else "no valid record in the log")
        records = self._lost(start, end) if self._suspects else 0
        self._settle(start, end, records, exact=True)

    def _settle(self, start: int, end: int, records: int, *, exact: bool) -> None:
        for place, suspect in enumerate(self._suspects):
            what = suspect.what
            if place:
                what, records = f"{what} (its records are counted with {self._suspects[0].file})", 0
            first, last = (start, end) if start <= end else (0, 0)
            self._found.damages.append(Damage(suspect.file, suspect.place, what, first, last, records, exact))
        self._suspects = []

    def _lost(self, start: int, end: int) -> int:
        """How many of these numbers were records that are nowhere else."""
        if start > end:
            return 0
        skipped = sum(
            max(0, min(skipped_range.last_seq, end) - max(skipped_range.first_seq, start) + 1)
            for skipped_range in self._state.skipped_ranges()
        )
        elsewhere = self._stored_in(start, end) + len(self._state.dead_lettered(start, end)) + skipped
        return max(0, end - start + 1 - elsewhere)

    def _end(self) -> None:
        """Behind the last valid record: what the last snapshot knew to be on disk is lost for sure."""
        found = self._found
        start, durable = found.last_seq + 1, self._state.number("durable")
        known_lost = self._lost(start, durable)
        if known_lost and not self._suspects:
            # Cut at the end of a record, so that nothing else shows it.
            file = found.segments[-1][0].name if found.segments else "log"
            self._suspects.append(_Suspect(file, f"{file}:end:{start}", "its end is missing"))
        if not known_lost:
            torn = [suspect for suspect in self._suspects if suspect.torn]
            found.problems += [f"log file {suspect.file}: {suspect.what}" for suspect in torn]
            self._suspects = [suspect for suspect in self._suspects if not suspect.torn]
        self._settle(start, durable, known_lost, exact=False)
        self._skip_to(durable, "damaged in the log")
        # What was lost behind the last valid record may have had numbers that were given out.
        self._skip_to(found.last_seq + self._lost_numbers, "torn or damaged at the end of the log")
        highest = self._state.number("highest")
        self._skip_to(highest, "handed out and never durable")
        if highest and not found.damages and not found.problems:
            self._check_store(found.last_seq)
        self._skip_to(self._stored_seq, "in the store and not in the log")

    def _check_store(self, last_seq: int) -> None:
        """Only after damage in the log, which is reported, is the store ahead of it. Files would be read twice."""
        if self._stored_seq > last_seq:
            raise DataDirectoryError(
                f"store/ has records up to number {self._stored_seq}, log/ and state.db know only of {last_seq}",
                hint="one of them is older, from a backup: restore all of them from the same backup; if there is none, "
                "an empty file in the place of state.db lets the server start, and files that are followed are read "
                "again",
            )

    def _skip_to(self, seq: int, reason: str) -> None:
        found = self._found
        if seq > found.last_seq:
            found.skipped_ranges.append(SkippedRange(found.last_seq + 1, seq, reason))
            found.last_seq = seq


def _start(item: _Bytes | Extent) -> int:
    return item.start if isinstance(item, Extent) else item[0]


def _suspect(contents: Contents, start: int, end: int) -> _Suspect:
    name = contents.path.name
    is_last = (start, end) == contents.lost[-1]
    torn = contents.torn and is_last
    is_unreadable = any(first < end and start < last for first, last in contents.unreadable)
    if is_unreadable:
        what = "cannot be read from the disk"
    else:
        what = "are torn: written when the process or machine stopped" if torn else "are damaged"
    return _Suspect(name, f"{name}:{start}", f"bytes {start} to {end} {what}", torn)
