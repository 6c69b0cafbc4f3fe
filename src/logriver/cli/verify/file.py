"""Reading a file anew for `logriver verify`: which generation it is, and its lines up to where that is held."""

from collections.abc import Callable, Iterator
from pathlib import Path

from logriver.cli.source_answers import Generation, SourceAnswer
from logriver.errors import NotFound
from logriver.follow.archive import Archive
from logriver.follow.growing_file import Checkpoint, Chunk, GrowingFile, NotTheSame, head_hash
from logriver.follow.paths import ARCHIVES


def open_file(path: Path, max_record_bytes: int) -> GrowingFile:
    """The file, or what is compressed in it. Raises `OSError`."""
    return (Archive if path.suffix in ARCHIVES else GrowingFile)(path, max_record_bytes)


def generation_of(file: GrowingFile, sources: list[SourceAnswer]) -> tuple[SourceAnswer, Generation]:
    """The one of which everything that is held is in the file, byte for byte by its CRC32C; the longest of several.

    Raises `NotFound` with the reason why it is none, and `OSError`.
    """
    lives = [(source, life) for source in sources for life in source.generations if life.held_bytes]
    if not lives:
        raise NotFound("nothing is held of that source", hint="logriver sources shows what is")
    begins_alike = [
        (source, life) for source, life in lives if head_hash(file.head(life.head_length)) == life.head_hash
    ]
    if not begins_alike:
        raise NotFound(f"the file begins otherwise than all {len(lives)} that are held under that source")
    for source, life in sorted(begins_alike, key=lambda one: -one[1].held_bytes):
        try:
            file.go_to(life.held_bytes)
        except NotTheSame:
            continue
        if f"{file.checkpoint.crc:08x}" == life.crc32c:
            file.move_to(Checkpoint())
            return source, life
    longest = max(life.held_bytes for _, life in begins_alike)
    raise NotFound(f"of none that begins so the file has all that is held, {longest} bytes at most")


def chunks(file: GrowingFile, end: int, whole: Callable[[bytes], int]) -> Iterator[Chunk]:
    """The records of its bytes up to `end`, the last of them cut there; `whole` as in `GrowingFile.next_chunk`.

    Raises `NotTheSame` if the file changes.
    """
    while file.checkpoint.end < end:
        chunk = file.next_chunk(whole) or file.next_chunk() or file.rest()
        if chunk is None:
            raise NotTheSame("it became shorter")
        if chunk.after.end > end:
            held = chunk.lines[: end - chunk.start]
            chunk = Chunk(chunk.start, file.checkpoint.after(held), held)
        yield chunk
        file.move_to(chunk.after)
