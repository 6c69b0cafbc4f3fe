"""Which files below the roots a search looks through: those that nobody follows. Everything here blocks."""

import os
import stat
from collections.abc import Collection, Generator
from dataclasses import dataclass

from logriver.file_position import FileKey
from logriver.files.roots import Roots
from logriver.path_text import text_of

MAX_ENTRIES = 20_000
"""So many names of directories are looked at."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A regular file with something in it; `path` as `path_text.py` spells it."""

    path: str
    size: int
    modified_ns: int


class LogFiles:
    """The files below `roots`, but for those with the keys `stored`, hidden ones, and what links lead to.

    `found` is filled by `look`; `are_all` is whether nothing was left out for want of space or permission.
    """

    def __init__(self, roots: Roots, stored: Collection[FileKey]) -> None:
        self._roots = roots
        self._known = set(stored)
        self._left = MAX_ENTRIES
        self.found: list[LogFile] = []
        self.are_all = True

    def look(self) -> Generator[None, None, None]:
        """Find them; a step is one directory."""
        waiting = self._roots.directories()
        while waiting:
            path = waiting.pop()
            try:
                with os.scandir(path) as entries:
                    waiting += [entry.path for entry in entries if self._is_directory(entry)]
            except OSError:
                self.are_all = False
            yield

    def newest_first(self) -> list[LogFile]:
        """By the time of their last change."""
        return sorted(self.found, key=lambda file: (-file.modified_ns, file.path))

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        """Whether it is a directory to look into; a file is noted."""
        if entry.name.startswith("."):
            return False
        self._left -= 1
        if self._left < 0:
            self.are_all = False
            return False
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        file_key = (status.st_dev, status.st_ino)
        if file_key in self._known:
            return False
        # A file with two names, or below two roots, is one.
        self._known.add(file_key)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            self.found.append(LogFile(text_of(entry.path), status.st_size, status.st_mtime_ns))
        return stat.S_ISDIR(status.st_mode)
