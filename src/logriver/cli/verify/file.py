"""Reading a file anew for `logriver verify`: which incarnation it is, and its lines up to where that is committed."""

from collections.abc import Callable, Iterator
from pathlib import Path

from logriver.cli.source_answers import Incarnation, SourceAnswer
from logriver.errors import NotFound
from logriver.follow.archive import Archive
from logriver.follow.growing_file import Checkpoint, Chunk, GrowingFile, NotTheSame, head_hash
from logriver.follow.paths import ARCHIVES


def open_file(path: Path, max_record_bytes: int) -> GrowingFile:
    """The file, or what is compressed in it. Raises `OSError`."""
    return (Archive if path.suffix in ARCHIVES else GrowingFile)(path, max_record_bytes)


def incarnation_of(file: GrowingFile, sources: list[SourceAnswer]) -> tuple[SourceAnswer, Incarnation]:
    """The one of which everything that is committed is in the file, byte for byte by its CRC32C; the longest of
    several.

    Raises `NotFound` with the reason why it is none, and `OSError`.
    """
    incarnations = [
        (source, incarnation)
        for source in sources
        for incarnation in source.incarnations
        if incarnation.committed_bytes
    ]
    if not incarnations:
        raise NotFound("nothing is committed of that source", hint="logriver sources shows what is")
    begins_alike = [
        (source, incarnation)
        for source, incarnation in incarnations
        if head_hash(file.head(incarnation.head_length)) == incarnation.head_hash
    ]
    if not begins_alike:
        raise NotFound(f"the file begins otherwise than all {len(incarnations)} that are committed under that source")
    for source, incarnation in sorted(begins_alike, key=lambda one: -one[1].committed_bytes):
        try:
            file.go_to(incarnation.committed_bytes)
        except NotTheSame:
            continue
        if f"{file.checkpoint.crc:08x}" == incarnation.crc32c:
            file.move_to(Checkpoint())
            return source, incarnation
    longest = max(incarnation.committed_bytes for _, incarnation in begins_alike)
    raise NotFound(f"of none that begins so the file has all that is committed, {longest} bytes at most")


def chunks(file: GrowingFile, end: int, whole: Callable[[bytes], int]) -> Iterator[Chunk]:
    """The records of its bytes up to `end`, the last of them cut there; `whole` as in `GrowingFile.next_chunk`.

    Raises `NotTheSame` if the file changes.
    """
    while file.checkpoint.end < end:
        chunk = file.next_chunk(whole) or file.next_chunk() or file.rest()
        if chunk is None:
            raise NotTheSame("it became shorter")
        if chunk.after.end > end:
            committed = chunk.lines[: end - chunk.start]
            chunk = Chunk(chunk.start, file.checkpoint.after(committed), committed)
        yield chunk
        file.move_to(chunk.after)
