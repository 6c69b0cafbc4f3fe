"""What is shown of followed files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from logriver.file_position import Committed, Gap
from logriver.follow.incarnations import Incarnations
from logriver.follow.reader import FileReader
from logriver.path_text import path_of, text_of


@dataclass(frozen=True, slots=True)
class IncarnationStatus:
    """One incarnation of a file: what is committed of it, whether it is still there, and what of it is lost."""

    inode: int
    incarnation: int
    committed_bytes: int
    state: str
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How far a file is followed. `last_event_ns` is when lines of it last reached the disk, 0 for never.

    `path` is what its lines have as source, `identity` the one that `file` is read as, empty while that is not known.
    `lag_seconds` is for how long the oldest byte that is not committed has been seen. `incarnations` and `gaps` are
    those of all files under that source.
    """

    path: str
    format: str
    committed_bytes: int
    size_bytes: int
    last_event_ns: int
    error: str
    file: str = ""
    identity: str = ""
    lag_seconds: float = 0.0
    gaps: tuple[Gap, ...] = ()
    incarnations: tuple[IncarnationStatus, ...] = ()

    @property
    def lag_bytes(self) -> int:
        """What the file has and the sink does not."""
        return max(0, self.size_bytes - self.committed_bytes)


def statuses(
    readers: list[FileReader], incarnations: Incarnations, is_followed: Callable[[Path], bool]
) -> list[SourceStatus]:
    """One for each file that is followed; followed paths without a file but with a past come last."""
    by_path: dict[str, list[Committed]] = {}
    for committed in incarnations.all():
        by_path.setdefault(committed.path, []).append(committed)
    shown = [_status(reader, by_path, incarnations) for reader in readers]
    past = by_path.keys() - {status.path for status in shown}
    followed = (path for path in sorted(past) if is_followed(Path(path_of(path))))
    return shown + [_past(path, by_path[path], incarnations) for path in followed]


def _status(reader: FileReader, by_path: dict[str, list[Committed]], incarnations: Incarnations) -> SourceStatus:
    committed = by_path.get(reader.path, [])
    # Of a file that is held back, everything equals what is committed of another.
    held_back = bool(reader.problem) and not reader.error
    return SourceStatus(
        reader.path,
        reader.format.name,
        reader.checkpoint.end,
        max(reader.checkpoint.end, reader.seen.st_size),
        reader.last_event_ns,
        reader.problem,
        text_of(str(reader.where)),
        reader.identity.id if reader.identity else "",
        0.0 if held_back else reader.lag.seconds(reader.checkpoint.end),
        tuple(gap for entry in committed for gap in entry.gaps),
        tuple(_incarnation(entry, incarnations) for entry in committed),
    )


def _past(path: str, committed: list[Committed], incarnations: Incarnations) -> SourceStatus:
    end = committed[-1].end
    gaps = tuple(gap for entry in committed for gap in entry.gaps)
    past = tuple(_incarnation(entry, incarnations) for entry in committed)
    return SourceStatus(path, "", end, end, 0, "its file is not there now", gaps=gaps, incarnations=past)


def _incarnation(committed: Committed, incarnations: Incarnations) -> IncarnationStatus:
    _, inode = committed.file_key
    if committed.over and committed.identity.head_length:
        state = "truncated"
    elif committed.gone_ns:
        state = "gone"
    else:
        state = "followed" if incarnations.claimed(committed) else "finished"
    return IncarnationStatus(inode, committed.identity.incarnation, committed.end, state, committed.gaps)
