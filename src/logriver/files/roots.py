"""The allowed roots: the only judge of paths.

A name is resolved with all its symbolic links before it is judged. What was opened is judged again by the path that the
kernel has for the descriptor, so that nothing can be swapped between the look and the reading.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from logriver.errors import BadRequest, Forbidden, LogriverError, NotFound
from logriver.path_text import path_of, printable, text_of

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SHOWN = 100


class Roots:
    """The directories below which files may be read. Everything here blocks."""

    def __init__(self, paths: Sequence[str]) -> None:
        """`paths` are spelled as `path_text.py` says, and so are the names that are asked for."""
        # Resolved at each look, links may change.
        self._paths = [os.path.abspath(path_of(path)) for path in paths]  # noqa: PTH100

    def open(self, name: str) -> tuple[int, str]:
        """A descriptor of the regular file called `name`, and its real path, as it is.

        A relative name is looked for in each root, the first that has it. In this order: `BadRequest` for an empty or
        impossible name, `Forbidden` outside of the roots, `NotFound`, `BadRequest` for what is no regular file.
        """
        path = self.resolve(name)
        mode = self._mode(path, name)
        if stat.S_ISDIR(mode):
            raise BadRequest(f"{_shown(name)} is a directory")
        # Before it is opened: to open a device can already do something.
        if not stat.S_ISREG(mode):
            raise BadRequest(f"{_shown(name)} is no regular file")
        descriptor = self._open(path, name, _READ)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadRequest(f"{_shown(name)} is no regular file")
        return descriptor, path

    def open_directory(self, path: str) -> int:
        """A descriptor of the directory at a path that `resolve` gave. Raises as `open`."""
        return self._open(path, text_of(path), _READ | os.O_DIRECTORY)

    def resolve(self, name: str) -> str:
        """The real path of what is called `name`, which is there. Raises `BadRequest`, `Forbidden`, `NotFound`."""
        if not name:
            raise BadRequest("the name of a file is needed")
        try:
            path = path_of(name)
            candidates = [os.path.realpath(Path(root, path)) for root in self._paths]
        except (ValueError, OSError) as error:
            raise _refusal(name, error) from None
        outside = False
        for path in candidates:
            allowed = self.allows(path)
            if os.path.lexists(path):
                if not allowed:
                    raise _outside(name)
                return path
            outside = outside or not allowed
        raise _outside(name) if outside else NotFound(f"there is no {_shown(name)}")

    def allows(self, path: str) -> bool:
        """Whether a real path is a root or below one."""
        real = [os.path.realpath(root) for root in self._paths]
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in real)

    def directories(self) -> list[str]:
        """The real paths of the roots that are there."""
        return [path for path in map(os.path.realpath, self._paths) if Path(path).is_dir()]

    def _mode(self, path: str, name: str) -> int:
        try:
            return os.lstat(path).st_mode
        except OSError as error:
            raise _refusal(name, error) from None

    def _open(self, path: str, name: str, flags: int) -> int:
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            raise _refusal(name, error) from None
        # A directory on the way can have become a link since.
        if not self.allows(os.readlink(f"/proc/self/fd/{descriptor}")):  # noqa: PTH115 - may not be a path any more
            os.close(descriptor)
            raise _outside(name)
        return descriptor


def _outside(name: str) -> Forbidden:
    return Forbidden(f"{_shown(name)} is outside of the allowed directories", hint="they are set by --files-root")


def _refusal(name: str, error: Exception) -> LogriverError:
    """What an error of the system about a name means to its caller."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(f"there is no {_shown(name)}")
    if isinstance(error, PermissionError):
        return Forbidden(f"{_shown(name)} may not be read: permission denied")
    reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else "it cannot be one"
    return BadRequest(f"{_shown(name)} is not the name of a file: {reason}")


def _shown(name: str) -> str:
    return f"'{printable(name if len(name) <= _SHOWN else name[:_SHOWN] + '..')}'"
