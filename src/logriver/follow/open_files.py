"""A bound on how many followed files are open: the one that was idle for longest is closed, and opened again later."""

from typing import Protocol

MAX_OPEN = 500
"""Far below the usual limit of 1024 descriptors: sockets and the log need some too."""


class Closable(Protocol):
    """A reader that can do without its open file for a while."""

    def close_if_idle(self) -> bool:
        """Close it unless it is needed now; False if it is."""
        ...


class OpenFiles:
    """The open ones, the last used last."""

    def __init__(self, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._open: dict[Closable, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def used(self, reader: Closable) -> None:
        """It has its file open and used it just now."""
        self._open.pop(reader, None)
        self._open[reader] = None
        if len(self._open) <= self._limit:
            return
        for other in list(self._open):
            if other is not reader and other.close_if_idle():
                del self._open[other]
                return

    def closed(self, reader: Closable) -> None:
        """It needs its file no more."""
        self._open.pop(reader, None)
