"""Which partition of the table a block goes into: they are cut by day and size so that retention can drop whole ones.

A partition's number is the day it was begun (days since 1970) times 100,000 plus a count. Numbers only grow and are
never used again, also after a restart. A day with more partitions goes on in the next day's numbers.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from logriver import clock
from logriver.store.base import Store

PER_DAY = 100_000
"""A small disk under full load needs some ten thousand a day; the numbers fit into 32 bits until 2087."""
_DAY_NS = 86_400 * clock.SECOND_NS


class Partitions:
    """Names the partition that the next block belongs to, above the number `removed`. For any thread."""

    def __init__(self, store: Store, partition_bytes: int, removed: int = 0) -> None:
        self._store = store
        self._partition_bytes = partition_bytes
        self._lock = threading.Lock()
        self._unmeasured_bytes = 0
        self._current = 0
        self._size = 0
        self._in_use: Counter[int] = Counter()
        self._measure()
        if self._current <= removed:
            self._begin(removed + 1)

    @contextmanager
    def use(self, block_bytes: int) -> Iterator[int]:
        """The partition for a block of `block_bytes` (as rows, several times what it will take on disk).

        It stays open inside of this block, so that retention does not drop what is being inserted.
        """
        with self._lock:
            chosen = self._choose(block_bytes)
            self._in_use[chosen] += 1
        try:
            yield chosen
        finally:
            with self._lock:
                self._in_use[chosen] -= 1

    def first_open(self) -> int:
        """Partitions below this are closed: nothing is inserted into them any more."""
        with self._lock:
            return min([self._current, *(number for number, users in self._in_use.items() if users)])

    def _choose(self, block_bytes: int) -> int:
        self._unmeasured_bytes += block_bytes
        if self._unmeasured_bytes >= self._partition_bytes:
            self._measure()
        first_today = clock.now_ns() // _DAY_NS * PER_DAY
        if self._current < first_today:
            self._begin(first_today)
        elif self._size >= self._partition_bytes:
            self._begin(self._current + 1)
        return self._current

    def _measure(self) -> None:
        self._unmeasured_bytes = 0
        newest = max(self._store.partitions(), key=lambda size: size.partition, default=None)
        if newest is not None and newest.partition >= self._current:
            self._current, self._size = newest.partition, newest.bytes

    def _begin(self, partition: int) -> None:
        self._in_use = +self._in_use
        self._current, self._size, self._unmeasured_bytes = partition, 0, 0
