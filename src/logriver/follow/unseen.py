"""Rotated files that came and went unseen: begun and renamed, or copied, between two looks or while nothing looked.

Only the path that is followed leads to a file's lines, so of two rotations in one pause the middle file would be lost.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from logriver.follow.generations import Generations
from logriver.follow.paths import FoundFile

# The names that rotating tools give: app.log.1, app.log-20240131, app.log.2024-01-31
_ROTATED = re.compile(r"(.+?)[.-]\d[\d.-]*")


def rotated_from(path: Path) -> Path | None:
    """The path that a file had before it was rotated, by its name; None if that is not of a rotation."""
    name = _ROTATED.fullmatch(path.name)
    return path.with_name(name[1]) if name else None


def unseen(
    followed: Iterable[FoundFile], beside: dict[Path, list[FoundFile]], generations: Generations
) -> Iterator[FoundFile]:
    """The files that rotated away from followed paths and were never seen, under those paths. `beside`: by directory.

    They are newer than the oldest rotated file that was: others are of the time before their path was followed. Between
    known ones there are unknown ones after a crash, because several are read at one time. Of empty ones, which stay
    unknown, only the newest matter.
    """
    rotated: dict[Path | None, list[FoundFile]] = {}
    for file in chain.from_iterable(beside.values()):
        if not file.is_archive:
            rotated.setdefault(rotated_from(file.path), []).append(file)
    for file in followed:
        others = [other for other in rotated.get(file.path, ()) if other.place not in generations.present]
        times_ns = [other.status.st_mtime_ns for other in others if generations.known_at(other.place)]
        for other in others:
            if not times_ns or generations.known_at(other.place):
                continue
            if other.status.st_mtime_ns > (min(times_ns) if other.status.st_size else max(times_ns)):
                yield replace(file, real_path=other.real_path, status=other.status)


def compressed_since(path: Path, seen: os.stat_result, beside: Iterable[FoundFile]) -> FoundFile | None:
    """What is compressed of a file that was at `path` and last seen with that status; None where nothing is.

    Compressing tools keep the time of the last write, some of them in whole seconds. Of several that may be it, it is
    the first: what was rotated later was written later.
    """
    archives = (file for file in beside if file.is_archive and rotated_from(file.path.with_suffix("")) == path)
    later = (file for file in archives if _since(file, seen))
    return min(later, key=lambda file: file.status.st_mtime_ns, default=None)


def _since(file: FoundFile, seen: os.stat_result) -> bool:
    written_ns = file.status.st_mtime_ns
    return written_ns >= (seen.st_mtime_ns if written_ns % 10**9 else int(seen.st_mtime) * 10**9)
