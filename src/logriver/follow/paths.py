"""Which files `[FORMAT=]PATH` means at the moment. Blocking."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from logriver.protocols.formats import split_format

_MAGIC = frozenset("*?[")
_COMPRESSED = frozenset((".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".Z"))


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file, links followed; `format` None is to be recognised."""

    path: Path
    real_path: Path
    format: str | None
    status: os.stat_result


class Source:
    """A file that may not exist yet, a glob (`**` recurses), or a directory.

    Of a directory and a glob, hidden and compressed files are left out.
    """

    def __init__(self, text: str) -> None:
        """Read `[FORMAT=]PATH`. Raises `SettingsError`."""
        self.format, path = split_format(text)
        self.path = Path(path).expanduser().absolute()

    def files(self) -> Iterator[FoundFile]:
        """The files that it means, in the order of their paths."""
        for path in self._paths():
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield FoundFile(path, path.resolve(), self.format, status)

    def directory(self) -> Path:
        """Where its files appear: the part of the path before the first wildcard."""
        if self.path.is_dir():
            return self.path
        parts = self.path.parts
        wild = next((number for number, part in enumerate(parts) if _MAGIC & set(part)), len(parts) - 1)
        return Path(*parts[:wild])

    def _paths(self) -> list[Path]:
        if self.path.is_dir():
            return _plain_logs(self.path.iterdir())
        if self.path.exists() or not _MAGIC & set(str(self.path)):
            return [self.path]
        directory = self.directory()
        return _plain_logs(directory.glob(str(self.path.relative_to(directory))))


def _plain_logs(paths: Iterator[Path]) -> list[Path]:
    try:
        return sorted(path for path in paths if not path.name.startswith(".") and path.suffix not in _COMPRESSED)
    except OSError:
        return []
