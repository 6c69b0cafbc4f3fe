"""What is in a directory below the roots, with sizes and times. Everything here blocks."""

import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from logriver import clock
from logriver.files.roots import Roots
from logriver.path_text import path_of, text_of

MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One name. `path` is where it really is; both are spelled as `path_text.py` says.

    `type` is `file`, `directory`, `link` (to nothing that may be read) or `other`, `size` is in bytes, `modified` is
    RFC 3339.
    """

    name: str
    path: str
    type: str
    size: int
    modified: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries in the order of their names; `truncated` where there are more than `MAX_ENTRIES`."""

    entries: list[Entry]
    truncated: bool


def entries_of(roots: Roots, name: str) -> Listing:
    """What is in the directory `name`, or about that file; with an empty name, what relative names can begin with.

    Raises `BadRequest`, `Forbidden`, `NotFound`.
    """
    path = roots.resolve(name) if name else ""
    if path and not Path(path).is_dir():
        return Listing([_entry(roots, Path(path_of(name)).name, path, os.lstat(path))], truncated=False)
    found: dict[str, Entry] = {}
    # In the order of the roots: a name that two have means the one in the first.
    for directory in [path] if path else roots.directories():
        for entry in _in_directory(roots, directory):
            found.setdefault(entry.name, entry)
            if len(found) > MAX_ENTRIES:
                break
    entries = sorted(found.values(), key=lambda entry: entry.name)
    return Listing(entries[:MAX_ENTRIES], truncated=len(entries) > MAX_ENTRIES)


def _in_directory(roots: Roots, directory: str) -> Iterator[Entry]:
    descriptor = roots.open_directory(directory)
    try:
        with os.scandir(descriptor) as names:
            for name in itertools.islice(names, MAX_ENTRIES + 1):
                try:
                    status = name.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield _entry(roots, name.name, str(Path(directory, name.name)), status)
    finally:
        os.close(descriptor)


def _entry(roots: Roots, name: str, path: str, status: os.stat_result) -> Entry:
    """An entry; a link is what it leads to, if that may be read."""
    if stat.S_ISLNK(status.st_mode):
        target = os.path.realpath(path)
        if roots.allows(target) and os.path.lexists(target):
            path, status = target, os.lstat(target)
    modified = clock.to_text(max(clock.MIN_TIME_NS, min(status.st_mtime_ns, clock.MAX_TIME_NS)))
    return Entry(text_of(name), text_of(path), _type(status.st_mode), status.st_size, modified)


def _type(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"
