"""Which files `[[FORMAT][@ZONE]=]PATH` means at the moment. Blocking."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from logriver.clock import Zone
from logriver.protocols.formats import split_source

_MAGIC = frozenset("*?[")
_COMPRESSED = frozenset((".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".Z"))
_ARCHIVES = frozenset((".gz", ".zst"))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file, links followed; `format` None is to be recognised, `zone` None is the follower's."""

    path: Path
    real_path: Path
    format: str | None
    status: os.stat_result
    zone: Zone | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino

    @property
    def is_archive(self) -> bool:
        """Whether it is compressed in a way that can be read (`archive.py`)."""
        return self.path.suffix in _ARCHIVES


class Source:
    """A file that may not exist yet, a glob (`**` recurses), or a directory.

    Of a directory and a glob, hidden and compressed files are left out.
    """

    def __init__(self, text: str) -> None:
        """Read `[[FORMAT][@ZONE]=]PATH`. Raises `SettingsError`."""
        self.format, self.zone, path = split_source(text)
        self.path = Path(path).expanduser().absolute()

    def files(self) -> Iterator[FoundFile]:
        """The files that it means, in the order of their paths."""
        for path in self._paths():
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield FoundFile(path, path.resolve(), self.format, status, self.zone)

    def directory(self) -> Path:
        """Where its files appear: the part of the path before the first wildcard."""
        if _is_directory(self.path):
            return self.path
        parts = self.path.parts
        wild = next((number for number, part in enumerate(parts) if _MAGIC & set(part)), len(parts) - 1)
        return Path(*parts[:wild])

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


def siblings(path: Path) -> list[FoundFile]:
    """The files in the directory of a path, first those whose names begin as its does: rotated ones; archives last."""
    found = []
    with contextlib.suppress(OSError):
        for other in _plain_logs(path.parent.iterdir(), _COMPRESSED - _ARCHIVES):
            with contextlib.suppress(OSError):
                status = other.stat()
                if stat.S_ISREG(status.st_mode):
                    found.append(FoundFile(other, other.resolve(), None, status))
    return sorted(found, key=lambda file: (file.is_archive, not file.path.name.startswith(path.stem)))


def _in_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts[:-1])


def _is_directory(path: Path) -> bool:
    """`Path.is_dir`, which raises where a directory on the way may not be searched."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _plain_logs(paths: Iterator[Path], left_out: frozenset[str] = _COMPRESSED) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith(".") and path.suffix not in left_out)
