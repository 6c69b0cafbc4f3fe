"""How far a long answer is, as one line on stderr that is written over and over."""

import sys
import time
from collections.abc import Iterable, Iterator

from logriver import clock

# What is over sooner needs none.
_QUIET_SECONDS = 1.0
_EVERY_SECONDS = 0.2
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Progress:
    """Counts what goes through `of`, and shows it where stderr is a terminal and the result is not in its way.

    That goes elsewhere than to the terminal, or comes last. `rows` is how many records that was, where the
    caller counts them.
    """

    def __init__(self, *, result_comes_last: bool = False) -> None:
        self._shows = sys.stderr.isatty() and (result_comes_last or not sys.stdout.isatty())
        self._started = clock.monotonic()
        self._due = self._started + _QUIET_SECONDS
        self._bytes = 0
        self.rows = 0
        self._is_shown = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave how much it was, where something was shown."""
        if self._is_shown:
            self._write("\n")

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """`chunks`, counted."""
        for chunk in chunks:
            self._bytes += len(chunk)
            if self._shows and clock.monotonic() >= self._due:
                self._write("")
            yield chunk

    def _write(self, end: str) -> None:
        now = clock.monotonic()
        self._due = now + _EVERY_SECONDS
        self._is_shown = True
        seconds = now - self._started
        rows = f"{self.rows:,} records, " if self.rows else ""
        rate = f"{size(self._bytes / seconds)}/s"
        elapsed = time.strftime("%H:%M:%S", time.gmtime(seconds))
        sys.stderr.write(f"\r\x1b[K{rows}{size(self._bytes)}, {rate}, {elapsed}{end}")
        sys.stderr.flush()


def size(count: float) -> str:
    """`1.5 MB`."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} B"
