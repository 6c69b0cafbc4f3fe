"""Lines of a pipe or a file, in batches, as they come."""

import codecs
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from logriver import clock

MAX_LINE_BYTES = 16_000_000
"""A longer line is skipped and named in `Lines.too_long`, so that memory stays bounded."""

_READ_BYTES = 1 << 20
"""At most what a Linux pipe can hold."""
_LOOK_SECONDS = 0.2
"""How often a request to stop is looked for while nothing comes."""


@dataclass(slots=True)
class Lines:
    """Consecutive lines without their ends, empty ones left out, each with its number in the input (from 1)."""

    texts: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)
    size: int = 0


class Pipe:
    """Splits what comes from a file descriptor into batches of lines."""

    def __init__(self, descriptor: int, max_bytes: int, linger_seconds: float) -> None:
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._linger_seconds = linger_seconds
        self._rest = bytearray()
        self._rest_too_long = False
        self._number = 0
        self._lines = Lines()

    def batches(self, stop: threading.Event) -> Iterator[Lines]:
        """Batches of at least `max_bytes` or as old as `linger_seconds`, the rest when the input ends or `stop` is set.

        Blocks while nothing comes. A stop takes along what the pipe holds at that moment.
        """
        due = clock.monotonic()
        while not stop.is_set():
            wait_seconds = max(0.0, due - clock.monotonic()) if self._pending() else _LOOK_SECONDS
            if self._readable(min(wait_seconds, _LOOK_SECONDS)):
                was_pending = self._pending()
                if not self._read():
                    break
                if not was_pending:
                    due = clock.monotonic() + self._linger_seconds
            if self._lines.size >= self._max_bytes or (self._pending() and clock.monotonic() >= due):
                yield self._take()
        else:
            if self._readable(0):
                self._read()
        if self._rest or self._rest_too_long:
            self._add(b"")
        if self._pending():
            yield self._take()

    def _readable(self, timeout_seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], timeout_seconds)[0])

    def _read(self) -> bool:
        """Add what there is; False at the end of the input."""
        chunk = os.read(self._descriptor, _READ_BYTES)
        if not chunk:
            return False
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._add(piece)
        self._hold_back(rest)
        return True

    def _hold_back(self, piece: bytes) -> None:
        """Keep the beginning of a line whose end has not come yet."""
        if not self._rest_too_long:
            self._rest += piece
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest.clear()
            self._rest_too_long = True

    def _add(self, end: bytes) -> None:
        """One line is complete: what was held back and its `end`."""
        self._hold_back(end)
        self._number += 1
        if self._rest_too_long:
            self._lines.too_long.append(self._number)
        elif text := self._text():
            self._lines.texts.append(text)
            self._lines.numbers.append(self._number)
            self._lines.size += len(text)
        self._rest.clear()
        self._rest_too_long = False

    def _text(self) -> bytes:
        # A file may begin with the mark of UTF-8, which is no part of its first line.
        rest = self._rest.removeprefix(codecs.BOM_UTF8) if self._number == 1 else self._rest
        return bytes(rest.rstrip(b"\r"))

    def _pending(self) -> bool:
        return bool(self._lines.texts or self._lines.too_long)

    def _take(self) -> Lines:
        taken, self._lines = self._lines, Lines()
        return taken
