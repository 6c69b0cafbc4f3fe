"""Rotated files that came and went unseen: begun and renamed, or copied, between two looks or while nothing looked.

Only the path that is followed leads to a file's lines, so of two rotations in one pause the middle file would be lost.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

from logriver.file_position import FileIdentity, FileKey
from logriver.follow.archive import Archive
from logriver.follow.growing_file import head_hash
from logriver.follow.incarnations import Incarnations
from logriver.follow.paths import ARCHIVES, FoundFile

# The names that rotating tools give: app.log.1, app.log-20240131, app.log.2024-01-31
_ROTATED = re.compile(r"(.+?)[.-]\d[\d.-]*")


def rotated_from(path: Path) -> Path | None:
    """The path that a file had before it was rotated, and perhaps compressed, by its name; None if that is no such."""
    name = _ROTATED.fullmatch(path.stem if path.suffix in ARCHIVES else path.name)
    return path.with_name(name[1]) if name else None


def known_archives(asked: Iterable[tuple[FoundFile, list[FileIdentity]]]) -> set[FileKey]:
    """Of compressed files, each with what was last seen under its key, those that begin as that does. Blocking.

    The key alone says little: the oldest is deleted, and the next one gets its inode. One that cannot be read now is
    taken to be known.
    """
    known = set()
    for file, incarnations in asked:
        status = file.status
        try:
            if any(_begins_as(file.real_path, status.st_ino, status.st_mtime_ns, one) for one in incarnations):
                known.add(file.file_key)
        except OSError:
            known.add(file.file_key)
    return known


@lru_cache(maxsize=20_000)
def _begins_as(path: Path, _inode: int, _mtime_ns: int, identity: FileIdentity) -> bool:
    with closing(Archive(path, 1)) as opened:
        return head_hash(opened.head(identity.head_length)) == identity.head_hash


def unseen(
    followed: Iterable[FoundFile],
    beside: dict[Path, list[FoundFile]],
    incarnations: Incarnations,
    archives: Collection[FileKey],
) -> Iterator[FoundFile]:
    """The files that rotated away from followed paths and were never seen, under those paths.

    `beside` is by directory, `archives` are the compressed ones among them that are known.

    They are newer than the oldest rotated file that was: others are of the time before their path was followed. Between
    known ones there are unknown ones after a crash, because several are read at one time. Of empty ones, which stay
    unknown, only the newest matter.
    """
    rotated: dict[Path | None, list[FoundFile]] = {}
    for file in chain.from_iterable(beside.values()):
        rotated.setdefault(rotated_from(file.path), []).append(file)
    for file in followed:
        others = [other for other in rotated.get(file.path, ()) if other.file_key not in incarnations.present]
        known = {
            other.file_key
            for other in others
            if (other.file_key in archives if other.is_archive else incarnations.known_at(other.file_key))
        }
        times_ns = [other.status.st_mtime_ns for other in others if other.file_key in known]
        for other in others:
            if not times_ns or other.file_key in known:
                continue
            if other.status.st_mtime_ns > (min(times_ns) if other.status.st_size else max(times_ns)):
                yield replace(file, real_path=other.real_path, status=other.status)


def compressed_since(path: Path, seen: os.stat_result, beside: Iterable[FoundFile]) -> FoundFile | None:
    """What is compressed of a file that was at `path` and last seen with that status; None where nothing is.

    Compressing tools keep the time of the last write, some of them in whole seconds. Of several that may be it, it is
    the first: what was rotated later was written later.
    """
    archives = (file for file in beside if file.is_archive and rotated_from(file.path) == path)
    later = (file for file in archives if _since(file, seen))
    return min(later, key=lambda file: file.status.st_mtime_ns, default=None)


def _since(file: FoundFile, seen: os.stat_result) -> bool:
    written_ns = file.status.st_mtime_ns
    return written_ns >= (seen.st_mtime_ns if written_ns % 10**9 else int(seen.st_mtime) * 10**9)
