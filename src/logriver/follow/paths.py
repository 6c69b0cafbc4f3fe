"""Which files the settings mean at the moment: each path of `follow`, each table of `sources`. Blocking."""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from logriver.decode.decoder import Options
from logriver.decode.formats import FORMATS, split_source
from logriver.decode.source_options import checked_formats, options_of
from logriver.errors import SettingsError
from logriver.follow.file_calls import progressed
from logriver.path_text import path_of
from logriver.settings import FollowSettings

JOURNAL = "journal:"
"""What a path begins with that is no file's (`journal.py`)."""

_MAGIC = frozenset("*?[")
_COMPRESSED = frozenset((".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".Z"))
ARCHIVES = frozenset((".gz", ".zst"))
"""The ends of names of compressed files that can be read."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file, links followed, and how its lines become records."""

    path: Path
    real_path: Path
    options: Options
    status: os.stat_result

    @property
    def file_key(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino

    @property
    def is_archive(self) -> bool:
        """Whether it is compressed in a way that can be read (`archive.py`)."""
        return self.path.suffix in ARCHIVES


class PathPattern:
    """A file that may not exist yet, a glob (`**` recurses), or a directory.

    Of a directory and a glob, hidden and compressed files are left out.
    """

    def __init__(self, path: str, options: Options, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """`path` as in `path_text.py`. Raises `SettingsError` for one that no file can have.

        `include` and `exclude` are patterns as in `_fits`; of the files that are found, those stay that fit.
        """
        if "\0" in path_of(path):
            raise SettingsError(f"{path[:200]!r} is no path: it has a zero byte")
        self.path = Path(path_of(path)).expanduser().absolute()
        self.options = options
        self._include = list(map(path_of, include))
        self._exclude = list(map(path_of, exclude))
        self._found: dict[str, FoundFile] = {}

    def files(self) -> list[FoundFile]:
        """The files that it means, in the order of their paths."""
        found = {}
        for path in filter(self._wants, self._paths()):
            progressed()
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[str(path)] = self._file(path, status)
        self._found = found
        return list(found.values())

    def _file(self, path: Path, status: os.stat_result) -> FoundFile:
        """Resolving where a path leads is expensive: of thousands hardly one leads elsewhere than the last time."""
        known = self._found.get(str(path))
        if known and known.file_key == (status.st_dev, status.st_ino):
            with contextlib.suppress(OSError):
                if known.real_path is known.path or known.real_path.samefile(path):
                    return replace(known, status=status)
        real_path = path.resolve()
        return FoundFile(path, path if real_path == path else real_path, self.options, status)

    def directory(self) -> Path:
        """Where its files appear: the part of the path before the first wildcard."""
        if _is_directory(self.path):
            return self.path
        parts = self.path.parts
        wild = next((number for number, part in enumerate(parts) if _MAGIC & set(part)), len(parts) - 1)
        return Path(*parts[:wild])

    def means(self, path: Path) -> bool:
        """Whether a file at `path` would be one of its files."""
        if path == self.path or path.parent == self.path:
            return self._wants(path)
        pattern = self.path / "*" if self.path.name == "**" else self.path
        return _fits_parts(path.parts, pattern.parts) and self._wants(path)

    def _wants(self, path: Path) -> bool:
        included = not self._include or any(_fits(path, pattern) for pattern in self._include)
        return included and not any(_fits(path, pattern) for pattern in self._exclude)

    def _paths(self) -> list[Path]:
        try:
            if self.path.is_dir():
                return _plain_logs(self.path.iterdir())
            if self.path.exists() or not _MAGIC & set(str(self.path)):
                return [self.path]
            directory = self.directory()
            pattern = self.path.relative_to(directory)
            # The last `**` of a path means files too.
            found = directory.glob(str(pattern / "*" if pattern.name == "**" else pattern))
            return _plain_logs(path for path in found if not _in_hidden(path.relative_to(directory)))
        except OSError:
            # A directory that we may not search has no files for us; the others are followed all the same.
            return []


def path_patterns(settings: FollowSettings, zone: str = "") -> list[PathPattern]:
    """What the settings say is followed, but for journals; `zone` is that of sources that name none.

    Raises `SettingsError`.
    """
    patterns = checked_formats(settings.formats)
    of_all = Options(zone=zone, max_record_bytes=settings.max_record_bytes, host=settings.machine)
    found = []
    for text in (split_source(text, (*FORMATS, *patterns)) for text in settings.follow):
        if not text.path.startswith(JOURNAL):
            pattern = patterns.get(text.format, "")
            options = replace(of_all, format=text.format, pattern=pattern, zone=text.zone or zone)
            found.append(PathPattern(text.path, options))
    found += [
        PathPattern(table.path, options_of(table, patterns, of_all), table.include, table.exclude)
        for table in settings.sources
        if not table.path.startswith(JOURNAL)
    ]
    return found


def siblings(path: Path) -> list[FoundFile]:
    """The files in the directory of a path, first those whose names begin as its does: rotated ones; archives last."""
    found = []
    with contextlib.suppress(OSError):
        for other in _plain_logs(path.parent.iterdir(), _COMPRESSED - ARCHIVES):
            progressed()
            with contextlib.suppress(OSError):
                status = other.stat()
                if stat.S_ISREG(status.st_mode):
                    found.append(FoundFile(other, other.resolve(), Options(), status))
    return sorted(found, key=lambda file: (file.is_archive, not file.path.name.startswith(path.stem)))


def _fits(path: Path, pattern: str) -> bool:
    """Whether a pattern of `include` or `exclude` fits: one with a `/` the whole path, another the name."""
    if "/" in pattern:
        return _fits_parts(path.parts, Path(pattern).expanduser().parts)
    return fnmatchcase(path.name, pattern)


def _fits_parts(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """Part by part; `**` stands for any number of them."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_fits_parts(parts[skipped:], patterns[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits_parts(parts[1:], patterns[1:])


def _in_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:-1])


def _is_directory(path: Path) -> bool:
    """`Path.is_dir`, which raises where a directory on the way may not be searched."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _plain_logs(paths: Iterator[Path], left_out: frozenset[str] = _COMPRESSED) -> list[Path]:
    found = []
    for path in paths:
        progressed()
        if not path.name.startswith(".") and path.suffix not in left_out:
            found.append(path)
    return sorted(found)
