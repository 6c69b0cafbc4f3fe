"""Looking for the files that are followed: all sources in one call on a thread, which costs an idle follower least.

A source whose file system does not answer is left out, with those of the same directory, until it does: its files are
taken to be as they were, and the others are looked at all the same.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from logriver.file_position import FileKey
from logriver.follow.file_calls import FileCalls, progressed
from logriver.follow.paths import FoundFile, PathPattern
from logriver.path_text import text_of

# So many that hang, and the rest of their directory is taken to.
_HANGING_OF_ONE_DIRECTORY = 8

Directories = dict[Path, int]
"""Existing directories with their inodes: one that was made anew is another."""


@dataclass(slots=True)
class _Seen:
    """What the last look at a source found."""

    files: list[FoundFile] = field(default_factory=list)
    directories: Directories = field(default_factory=dict)
    looks: int = 0


class FoundFiles:
    """Of some sources. Used on one event loop."""

    def __init__(self, sources: list[PathPattern], calls: FileCalls) -> None:
        self._calls = calls
        self._seen = {source: _Seen() for source in sources}

    async def look(self) -> None:
        """Look at every source that answers. The rest waits for what hangs, once for each directory."""
        left = self._answering()
        while left:
            try:
                await self._calls.run(self._key(left[0]), partial(self._look_at, left))
            except TimeoutError:
                answering = set(self._answering())
                left = [source for source in left if source in answering]
            else:
                return

    def all(self) -> Iterable[FoundFile]:
        """The files of all sources, in their order; a file that two have comes twice."""
        return chain.from_iterable(seen.files for seen in self._seen.values())

    def first_found(self) -> set[FileKey]:
        """The files that were there at the first look at their source, while that is the last one."""
        return {file.file_key for seen in self._seen.values() if seen.looks == 1 for file in seen.files}

    def directories(self) -> Directories:
        """Where files may appear, but for what does not answer."""
        found: Directories = {}
        for source in self._answering():
            found |= self._seen[source].directories
        return found

    def empty(self) -> list[PathPattern]:
        """The sources without a file."""
        return [source for source, seen in self._seen.items() if not seen.files]

    def problems(self) -> list[str]:
        """The directories that do not answer."""
        hanging = {self._key(source) for source in self._seen if self._hangs(source)}
        return [f"'{text_of(path)}' is not followed now: its file system does not answer" for path in sorted(hanging)]

    def _answering(self) -> list[PathPattern]:
        hanging = Counter(source.path.parent for source in self._seen if self._hangs(source))
        return [
            source
            for source in self._seen
            if not (self._hangs(source) or hanging[source.path.parent] >= _HANGING_OF_ONE_DIRECTORY)
        ]

    def _hangs(self, source: PathPattern) -> bool:
        return self._calls.hangs(self._key(source))

    def _key(self, source: PathPattern) -> str:
        """Files of one directory wait for each other, once it is known that they are files."""
        files = self._seen[source].files
        return str(source.path.parent if files and files[0].path == source.path else source.path)

    def _look_at(self, sources: list[PathPattern]) -> None:
        """Blocking. What was seen of a source is replaced as a whole."""
        for source in sources:
            progressed(self._key(source))
            # Where a directory cannot be read just now, its files are as they were.
            with suppress(OSError):
                files = source.files()
                directories = _existing({str(source.directory()), *_parents(files)})
                self._seen[source] = _Seen(files, directories, self._seen[source].looks + 1)


def _parents(files: list[FoundFile]) -> set[str]:
    # As text: of thousands of paths each directory becomes a path once.
    paths = {path for file in files for path in (str(file.path), str(file.real_path))}
    return {path.rpartition("/")[0] or "/" for path in paths}


def _existing(directories: Iterable[str]) -> Directories:
    found = {}
    for directory in map(Path, directories):
        progressed()
        try:
            found[directory] = directory.stat().st_ino
        except OSError:
            continue
    return found
