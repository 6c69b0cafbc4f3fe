"""Slices: the partitions of the table, cut by day and size so that retention can drop whole ones.

A slice's number is the day it was begun (days since 1970) times 1000 plus a count, so that after a restart the day is
known and a number is never used again.
"""

import threading

from logriver import clock
from logriver.store.base import Store

PER_DAY = 1000
_DAY_NS = 86_400 * clock.SECOND_NS


class Slices:
    """Names the slice that the next block belongs to. For any thread."""

    def __init__(self, store: Store, slice_bytes: int) -> None:
        self._store = store
        self._slice_bytes = slice_bytes
        self._lock = threading.Lock()
        self._unmeasured_bytes = 0
        self._current = 0
        self._size = 0
        self._measure()

    def next(self, block_bytes: int) -> int:
        """The slice for a block of `block_bytes` (as rows, several times what it will take on disk)."""
        with self._lock:
            self._unmeasured_bytes += block_bytes
            if self._unmeasured_bytes >= self._slice_bytes:
                self._measure()
            first_today = clock.now_ns() // _DAY_NS * PER_DAY
            if self._current < first_today:
                self._begin(first_today)
            elif self._size >= self._slice_bytes and (self._current + 1) % PER_DAY:
                self._begin(self._current + 1)
            return self._current

    def _measure(self) -> None:
        self._unmeasured_bytes = 0
        newest = max(self._store.slices(), key=lambda size: size.slice, default=None)
        if newest is not None and newest.slice >= self._current:
            self._current, self._size = newest.slice, newest.bytes

    def _begin(self, slice: int) -> None:
        self._current, self._size, self._unmeasured_bytes = slice, 0, 0
