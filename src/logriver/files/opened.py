"""A file that is being read: of fixed length, the one that it had when it was opened."""

import os

from logriver.errors import Unavailable
from logriver.path_text import printable

_LOOK_BYTES = 65_536


class Opened:
    """Reads at offsets of a descriptor, which it closes. What is appended later is not part of it."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self.size = os.fstat(descriptor).st_size

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, all of them. Raises `Unavailable` where they are not there any more."""
        try:
            data = os.pread(self._descriptor, end - start, start)
            # A signal or an odd file system may give less.
            while data and len(data) < end - start:
                more = os.pread(self._descriptor, end - start - len(data), start + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise Unavailable(f"'{printable(self._name[:100])}' cannot be read: {error.strerror}") from None
        if len(data) < end - start:
            raise Unavailable(f"'{printable(self._name[:100])}' was truncated while it was read", hint="ask again")
        return data

    def line_start(self, offset: int) -> int:
        """Where the line begins that has the byte at `offset`, or that would begin there."""
        while offset > 0:
            start = max(0, offset - _LOOK_BYTES)
            found = self.read(start, offset).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            offset = start
        return 0

    def line_end(self, offset: int) -> int:
        """Where the line ends, its end included, that has the byte at `offset`; the size at most."""
        while offset < self.size:
            end = min(self.size, offset + _LOOK_BYTES)
            found = self.read(offset, end).find(b"\n")
            if found >= 0:
                return offset + found + 1
            offset = end
        return self.size

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
