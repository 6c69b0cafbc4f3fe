"""The data directory: one process at a time, one data format, one short name for the node.

FORMAT      the version of the data format; a newer one is refused and nothing is touched
LOCK        held (flock) as long as the process lives
TOKEN       the token, readable by the owner alone (`auth/token.py`)
NODE        the node's short random name, made at the first start
log/        the write-ahead log (`queue/wal.py`)
state.db    what the queue remembers (`queue/state.py`)
promoted.json  fields that were promoted by calls and by use (`promoted_file.py`)
store/      the engine's files
reserve     takes room only, given up when a full disk leaves none for removing (`disk.py`)
engine.xml  the engine's configuration, written at every start
"""

import fcntl
import os
import secrets
from pathlib import Path

from logriver.errors import DataDirectoryError

DATA_FORMAT = 1


class DataDirectory:
    """An open data directory. Use `open_directory`."""

    def __init__(self, path: Path, lock: int, node: str) -> None:
        self.path = path
        self.node = node
        self._lock = lock

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def open_directory(path: Path) -> DataDirectory:
    """Make or take over the directory at `path`.

    Raises `DataDirectoryError` if another process has it, a newer version wrote it, or it cannot be used.
    """
    try:
        return _open(path)
    except OSError as error:
        raise DataDirectoryError(f"data directory '{path}' cannot be used: {error.strerror or error}") from None


def _open(path: Path) -> DataDirectory:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_format(path)
    lock = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DataDirectoryError(
            f"data directory '{path}' is in use by another logriver",
            hint="stop that one, or give this one another --data",
        ) from None
    _write_once(path / "FORMAT", f"{DATA_FORMAT}\n")
    node = _write_once(path / "NODE", f"{secrets.token_hex(3)}\n")
    return DataDirectory(path, lock, node.strip())


def _check_format(path: Path) -> None:
    file = path / "FORMAT"
    if not file.exists():
        return
    text = file.read_text().strip()
    if not text.isdigit():
        raise DataDirectoryError(f"data directory '{path}': FORMAT says {text[:40]!r}, which is no version")
    if int(text) > DATA_FORMAT:
        raise DataDirectoryError(
            f"data directory '{path}' has data format {text}, this version reads up to {DATA_FORMAT}",
            hint="use the newer version of logriver; nothing was changed",
        )


def _write_once(file: Path, text: str) -> str:
    """The content of a small file, which is `text` (durable) if it was not there."""
    if file.exists():
        return file.read_text()
    write_durably(file, text.encode())
    return text


def write_durably(file: Path, content: bytes) -> None:
    """Put `content` in the place of whatever the file was; after a crash it is the one or the other."""
    fresh = file.with_suffix(".new")
    with fresh.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(file)
    sync_directory(file.parent)


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
