"""What is shown of followed files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from logriver.file_position import Committed, Gap
from logriver.follow.incarnations import Incarnations
from logriver.follow.reader import FileReader
from logriver.path_text import path_of, text_of


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """One life of a file: what is held of it, whether it is still there, and what of it is lost."""

    inode: int
    life: int
    held_bytes: int
    state: str
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How far a file is followed. `last_event_ns` is when lines of it last reached the disk, 0 for never.

    `path` is what its lines have as source, `generation` the one that `file` is read as, empty while that is not known.
    `lag_seconds` is for how long the oldest byte that is not held has been seen. `generations` and `gaps` are those of
    all files under that source.
    """

    path: str
    format: str
    held_bytes: int
    size_bytes: int
    last_event_ns: int
    error: str
    file: str = ""
    generation: str = ""
    lag_seconds: float = 0.0
    gaps: tuple[Gap, ...] = ()
    generations: tuple[GenerationStatus, ...] = ()

    @property
    def lag_bytes(self) -> int:
        """What the file has and the sink does not."""
        return max(0, self.size_bytes - self.held_bytes)


def statuses(
    readers: list[FileReader], generations: Incarnations, is_followed: Callable[[Path], bool]
) -> list[SourceStatus]:
    """One for each file that is followed; followed paths without a file but with a past come last."""
    by_path: dict[str, list[Committed]] = {}
    for held in generations.all():
        by_path.setdefault(held.path, []).append(held)
    shown = [_status(reader, by_path, generations) for reader in readers]
    past = by_path.keys() - {status.path for status in shown}
    followed = (path for path in sorted(past) if is_followed(Path(path_of(path))))
    return shown + [_past(path, by_path[path], generations) for path in followed]


def _status(reader: FileReader, by_path: dict[str, list[Committed]], generations: Incarnations) -> SourceStatus:
    held = by_path.get(reader.path, [])
    # Of a file that is held back, everything equals what is held of another.
    held_back = bool(reader.problem) and not reader.error
    return SourceStatus(
        reader.path,
        reader.format.name,
        reader.checkpoint.end,
        max(reader.checkpoint.end, reader.seen.st_size),
        reader.last_event_ns,
        reader.problem,
        text_of(str(reader.where)),
        reader.generation.id if reader.generation else "",
        0.0 if held_back else reader.lag.seconds(reader.checkpoint.end),
        tuple(gap for entry in held for gap in entry.gaps),
        tuple(_generation(entry, generations) for entry in held),
    )


def _past(path: str, held: list[Committed], generations: Incarnations) -> SourceStatus:
    end = held[-1].end
    gaps = tuple(gap for entry in held for gap in entry.gaps)
    lives = tuple(_generation(entry, generations) for entry in held)
    return SourceStatus(path, "", end, end, 0, "its file is not there now", gaps=gaps, generations=lives)


def _generation(held: Committed, generations: Incarnations) -> GenerationStatus:
    _, inode = held.place
    if held.over and held.generation.head_length:
        state = "truncated"
    elif held.gone_ns:
        state = "gone"
    else:
        state = "followed" if generations.claimed(held) else "finished"
    return GenerationStatus(inode, held.generation.life, held.end, state, held.gaps)
