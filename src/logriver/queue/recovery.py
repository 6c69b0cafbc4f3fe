"""Reading the log at start: what is still to be stored, what is lost, and where numbering goes on."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from logriver.errors import DataDirectoryError
from logriver.queue.state import Hole, State
from logriver.queue.wal_segment import NO_END, Contents, RecordHeader, Span, node_of, read_segment


@dataclass(slots=True)
class Recovered:
    """`mark`: done up to here. `segments`: the files that exist with their last numbers, oldest first."""

    mark: int
    last_seq: int
    next_number: int = 1
    spans: list[Span] = field(default_factory=list)
    headers: list[RecordHeader] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    segments: list[tuple[Path, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def segment_path(directory: Path, number: int) -> Path:
    """The file of a segment; the names sort by age."""
    return directory / f"{number:012}.log"


def nodes_of(directory: Path) -> set[str]:
    """The names of the nodes that wrote the segments. Raises `OSError`."""
    return {node for path in directory.glob("*.log") if (node := node_of(path)) is not None}


def recover(directory: Path, state: State, stored_seq: int) -> Recovered:
    """Read every segment. `stored_seq` is the highest number in the store: it must never be handed out again."""
    mark, highest = state.mark("mark"), state.mark("highest")
    found = Recovered(mark=mark, last_seq=mark)
    lost_numbers = 0
    for contents in _segments(directory, found):
        found.headers += contents.headers
        last_seq = contents.spans[-1].last_seq if contents.spans else contents.first_seq - 1
        found.segments.append((contents.path, last_seq))
        _skip_to(found, contents.first_seq - 1, "no valid record in the log")
        for span in contents.spans:
            _add(found, span)
        _report(found, contents)
        lost_numbers = contents.lost_numbers
    # What was lost behind the last valid record may have had numbers that were given out.
    _skip_to(found, found.last_seq + lost_numbers, "torn or damaged at the end of the log")
    _skip_to(found, highest, "handed out and never durable")
    if stored_seq > found.last_seq and highest and not found.problems:
        # Only after damage in the log, which is reported, is the store ahead of it. Files would be read twice.
        raise DataDirectoryError(
            f"store/ has records up to number {stored_seq}, log/ and state.db know only of {found.last_seq}",
            hint="one of them is older, from a backup: restore all of them from the same backup; if there is none, an "
            "empty file in the place of state.db lets the server start, and files that are followed are read again",
        )
    _skip_to(found, stored_seq, "in the store and not in the log")
    return found


def _segments(directory: Path, found: Recovered) -> list[Contents]:
    paths = sorted(directory.glob("*.log"))
    heads = [read_segment(path, 0) for path in paths]
    segments = []
    _report_missing(paths, found)
    for place, (path, head) in enumerate(zip(paths, heads, strict=True)):
        found.next_number = int(path.stem) + 1
        follower = next((later for later in heads[place + 1 :] if later), None)
        if head is None:
            # Nothing was answered for before the header was synced; if it is not the newest file, the disk broke it.
            if follower is not None:
                size = path.stat().st_size
                found.problems.append(f"log segment {path.name}: the header is damaged, {size} bytes lost")
            path.rename(path.with_suffix(".damaged"))
            continue
        valid_end = follower.previous_end if follower and follower.number == head.number + 1 else NO_END
        contents = read_segment(path, valid_end)
        if contents is None or (contents.headless and not contents.spans):
            found.problems.append(f"log segment {path.name}: no valid record in {path.stat().st_size} bytes")
            path.rename(path.with_suffix(".damaged"))
            continue
        segments.append(contents)
    return segments


def _report_missing(paths: list[Path], found: Recovered) -> None:
    """Segments go from the oldest on, so none can be missing between two others unless somebody else removed it."""
    for before, after in pairwise(paths):
        for number in range(int(before.stem) + 1, int(after.stem)):
            path = segment_path(before.parent, number)
            if not path.with_suffix(".damaged").exists():
                found.problems.append(f"log segment {path.name} is missing")


def _add(found: Recovered, span: Span) -> None:
    if span.last_seq <= found.last_seq:
        return
    if span.first_seq <= found.last_seq:
        # Joined records of which some are done. Those are passed over when it is read: retention may have removed them
        # since, so that the store does not tell whether they were there.
        span = replace(span, first_seq=found.last_seq + 1)
    _skip_to(found, span.first_seq - 1, "no valid record in the log")
    found.spans.append(span)
    found.last_seq = span.last_seq


def _skip_to(found: Recovered, seq: int, reason: str) -> None:
    if seq > found.last_seq:
        found.holes.append(Hole(found.last_seq + 1, seq, reason))
        found.last_seq = seq


def _report(found: Recovered, contents: Contents) -> None:
    for start, end in contents.lost:
        name = contents.path.name
        behind = any(span.end > end for span in contents.spans)
        what = "damaged" if behind or contents.sealed else "torn: written when the process or machine stopped"
        found.problems.append(f"log segment {name}: bytes {start} to {end} are {what}")
