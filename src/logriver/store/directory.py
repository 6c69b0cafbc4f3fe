"""The data directory: one process at a time, one data format, one short name for the node.

FORMAT      the version of the data format (`migrations/`); a newer one is refused and nothing is touched
LOCK        held (flock) as long as the process lives
TOKEN       the token, readable by the owner alone (`auth/token.py`)
NODE        the node's short random name, made at the first start
log/        the write-ahead log (`queue/wal.py`)
state.db    what the queue remembers (`queue/state.py`)
promoted.json  fields that were promoted by calls and by use (`materialized_file.py`)
store/      the engine's files
reserve     takes space only, given up when a full disk leaves none for removing (`disk.py`)
engine.xml  the engine's configuration, written at every start
"""

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from logriver import clock
from logriver.errors import DataDirectoryError
from logriver.store.belonging import check_together
from logriver.store.migrations.data_format import FORMAT

_LOOK_SECONDS = 0.02
# Of the number in FORMAT.
_MOST_DIGITS = 9

log = logging.getLogger(__name__)


class DataDirectory:
    """An open data directory. Use `open_directory`. For any thread."""

    def __init__(self, path: Path, lock: int, node: str) -> None:
        self.path = path
        self.node = node
        self._lock = lock
        self._looking = threading.Lock()
        self._looked_at = -_LOOK_SECONDS
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why nothing can be written, None while it can: moved away, not mounted, read-only. Costs next to nothing.

        What begins and what ends is logged once.
        """
        with self._looking:
            now = clock.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._say(self._look())
            return self._problem

    def is_there(self) -> bool:
        """Whether it is where it was when it was opened, whoever may write there."""
        try:
            seen, held = (self.path / "LOCK").stat(), os.fstat(self._lock)
        except OSError:
            return False
        return (seen.st_dev, seen.st_ino) == (held.st_dev, held.st_ino)

    def _look(self) -> str | None:
        if not self.is_there():
            return "the data directory is not there: moved, not mounted, or another one is in its place"
        for place in (self.path, self.path / "log", self.path / "store"):
            if not os.access(place, os.W_OK | os.X_OK) and place.exists():
                return "the data directory cannot be written: its file system or its permissions are read-only"
        return None

    def _say(self, problem: str | None) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            log.warning("the data directory can be used again", extra={"fields": {"path": str(self.path)}})
        else:
            log.error("%s", problem, extra={"fields": {"path": str(self.path)}})

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)


def open_directory(path: Path, log_nodes: Callable[[Path], Collection[str]] = lambda _: ()) -> DataDirectory:
    """Make or take over the directory at `path`; `log_nodes` gives the names of nodes in a directory of segments.

    Raises `DataDirectoryError` if another process has it, a newer version wrote it, what is in it does not belong
    together, or it cannot be used.
    """
    try:
        return _open(path, log_nodes)
    except OSError as error:
        raise DataDirectoryError(f"data directory '{path}' cannot be used: {error.strerror or error}") from None


def _open(path: Path, log_nodes: Callable[[Path], Collection[str]]) -> DataDirectory:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("FORMAT", "NODE"):
        # To open a pipe is to wait for its other end.
        if (path / name).exists() and not (path / name).is_file():
            raise DataDirectoryError(f"data directory '{path}': {name} is not a file", hint="restore it from a backup")
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
    try:
        check_together(path, log_nodes(path / "log"))
    except (DataDirectoryError, OSError):
        os.close(lock)
        raise
    _write_once(path / "FORMAT", f"{1 if (path / 'state.db').exists() else FORMAT}\n")
    node = _write_once(path / "NODE", f"{secrets.token_hex(3)}\n")
    return DataDirectory(path, lock, node.strip())


def _check_format(path: Path) -> None:
    file = path / "FORMAT"
    if not file.exists():
        return
    text = file.read_text(errors="replace").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text)):
        raise DataDirectoryError(f"data directory '{path}': FORMAT says {text[:40]!r}, which is no version")
    if int(text) > FORMAT:
        raise DataDirectoryError(
            f"data directory '{path}' has data format {text}, this version reads up to {FORMAT}",
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
