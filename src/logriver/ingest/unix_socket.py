"""Unix sockets to listen on, for proxies on this machine: whoever comes by one is never taken for a local caller.

Anybody on this machine may connect (mode 0666): access control decides, and the directory's own mode can say who gets
there at all. A socket file that a server left behind is replaced; one that is listened on, or another file, is not.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from logriver.errors import SettingsError

PREFIX = "unix:"
_MODE = 0o666
# What `sockaddr_un` of Linux has space for, without the zero at the end.
_MAX_PATH_BYTES = 107


def path_of(text: str) -> Path | None:
    """The path in an address such as `unix:/run/logriver.sock`; None for one of another kind.

    Raises `SettingsError` for a path that no socket can have.
    """
    text = text.strip()
    if not text.startswith(PREFIX):
        return None
    path = text.removeprefix(PREFIX)
    if not path.startswith("/") or "\0" in path:
        hint = "write it as unix:/run/logriver/http.sock"
        raise SettingsError(f"setting 'listen': {text[:60]!r} has no absolute path", hint=hint)
    size = len(os.fsencode(path))
    if size > _MAX_PATH_BYTES:
        hint = "choose a shorter path"
        raise SettingsError(f"setting 'listen': a socket's path has {_MAX_PATH_BYTES} bytes, not {size}", hint=hint)
    return Path(path)


def bound(path: Path) -> socket.socket:
    """A socket bound to `path`, not listening yet. Raises `OSError` that names the path."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(_MODE)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise OSError(f"{PREFIX}{path} cannot be listened on: {reason}") from None
    return listener


@contextlib.contextmanager
def removed_at_end(listeners: Sequence[socket.socket]) -> Iterator[None]:
    """Remove the files of those listeners that are Unix sockets at the end, unless they are somebody else's by then."""
    paths = [Path(listener.getsockname()) for listener in listeners if listener.family == socket.AF_UNIX]
    files = [(path, path.stat()) for path in paths]
    try:
        yield
    finally:
        for path, file in files:
            with contextlib.suppress(OSError):
                if os.path.samestat(file, path.stat()):
                    path.unlink()


def _is_left_over(path: Path) -> bool:
    """Whether there is a socket at `path` on which nobody listens. Raises `OSError` where somebody does."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(None, "there is a file of that name, which is not a socket")
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            return True
    raise OSError(None, "another process listens on it")
