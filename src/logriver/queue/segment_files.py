"""The files of the log, in order, with those that should be there and are not.

Segments have consecutive numbers. The queue's file says which one was the last to be made, and up to which one they may
have been removed, so that a missing one is noticed wherever it was.
"""

import contextlib
import logging
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from logriver.errors import DataDirectoryError
from logriver.queue.damage import set_aside_path
from logriver.queue.file_read import is_regular
from logriver.queue.record_header import PRESENT
from logriver.queue.segment_header import NO_END, SegmentHeader
from logriver.queue.state import State
from logriver.queue.wal_segment import Contents, SegmentWriter, read_header, read_segment

NAME = "{:012}.log"
_NAME = re.compile(r"[0-9]{12}\.log")
_MISSING = "is missing"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SegmentFile:
    """One that is there, or should be. Without `contents`, `what` says why; it is empty where nothing was in it yet."""

    number: int
    path: Path
    contents: Contents | None = None
    what: str = ""

    def set_aside_if_useless(self) -> None:
        """Give a file that has nothing for us another name, or remove it where nothing was written yet."""
        if self.contents is not None or self.what == _MISSING:
            return
        try:
            if self.what:
                self.path.rename(set_aside_path(self.path))
            else:
                self.path.unlink()
        except OSError as error:
            # It stays, and is passed over at the next start too.
            log.warning("cannot be set aside: %s", error, extra={"fields": {"file": str(self.path)}})


def segment_path(directory: Path, number: int) -> Path:
    """The file of a segment; the names sort by age."""
    return directory / NAME.format(number)


def make_segment(directory: Path, header: SegmentHeader, state: State) -> SegmentWriter:
    """Make the next segment, and note that it is there before anything in it is answered for. Raises `OSError`."""
    path = segment_path(directory, header.number)
    segment = SegmentWriter(path, header)
    try:
        state.begin_segment(header.number, header.first_seq)
    except BaseException as error:
        # Its number is given out again.
        with contextlib.suppress(OSError):
            segment.abandon()
        path.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise OSError(f"the queue's file cannot be written: {error}") from error
        raise
    return segment


def nodes_of(directory: Path) -> set[str]:
    """The names of the nodes that wrote the segments, as far as those can be read. Raises as `decode_header` does."""
    nodes = set()
    for path in directory.glob("*.log"):
        # What is wrong with a file is said when the log is read.
        with contextlib.suppress(OSError):
            header = read_header(path) if is_regular(path) else None
            nodes |= {header.node} if header else set()
    return nodes


def segment_files(directory: Path, state: State) -> list[SegmentFile]:
    """Read all of them. Nothing is changed.

    Raises `OSError`, and `DataDirectoryError` where a file may not be read, or is of a newer release.
    """
    paths = {int(path.stem): path for path in directory.iterdir() if _NAME.fullmatch(path.name)}
    removed, made = state.number("segments_removed"), state.number("segments_made")
    # An older release did not note what it removed and made.
    first = removed + 1 if state.number_or_none("segments_removed") is not None else min(paths, default=made + 1)
    numbers = sorted({*paths, *range(first, made + 1), *range(min(paths, default=1), max(paths, default=0))})
    try:
        headers = {number: read_header(paths[number]) for number in paths if is_regular(paths[number])}
        return [
            _read(SegmentFile(number, segment_path(directory, number)), number in paths, headers, made)
            for number in numbers
            if number in paths or not set_aside_path(segment_path(directory, number)).exists()
        ]
    except PermissionError as error:
        raise DataDirectoryError(
            f"log segment '{error.filename}' cannot be read: {error.strerror}",
            hint="run the server as the owner of the data directory, or give the file back to it",
        ) from None


def _read(file: SegmentFile, is_there: bool, headers: dict[int, SegmentHeader | None], made: int) -> SegmentFile:
    if not is_there:
        file.what = _MISSING
        return file
    if file.number not in headers:
        file.what = "is not a file any more"
        return file
    following = headers.get(file.number + 1)
    valid_end = following.previous_end if following else NO_END
    # What a file says that lost its own header is read as its neighbours say.
    neighbour = headers.get(file.number - 1) or following
    contents = read_segment(file.path, valid_end, neighbour.formats if neighbour else PRESENT)
    size = file.path.stat().st_size
    if contents is None:
        # Nothing was answered for before the header was synced, and it was synced before this was noted.
        is_being_made = file.number > made and not any(number > file.number for number in headers)
        file.what = "" if is_being_made else f"has no valid record in {size} bytes"
    elif contents.headless and not contents.extents:
        file.what = "cannot be read from the disk" if contents.unreadable else f"has no valid record in {size} bytes"
    else:
        file.contents = contents
        # The first format did not say where a segment ended that the process left open.
        if following and following.formats.headers > 1 and not contents.sealed:
            contents.end_is_missing = valid_end == NO_END or size < valid_end
    return file
