"""Retention: the oldest partitions go when their records are too old, or when space is needed.

A partition is dropped as a whole, and only one that is closed, is not the newest, and whose records are all below the
acknowledgement that is on disk, so that no restart stores any of them again. Age is that of receiving: a record of 1970
that came today is new.

Dropping is three steps: the intent with the number of rows is made durable, the partition is dropped, the rows are
counted as removed. Partitions go in order, so the intent also says that everything before it is gone. After a kill
between any two steps the next start drops again what is still there, or has come back, and counts the rows once.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

from logriver import clock, metrics
from logriver.columns import TABLE
from logriver.errors import StoreError
from logriver.store.base import PartitionSize, Store
from logriver.store.disk import Disk
from logriver.threads import SupervisedThread, beat

_LOOK_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.2
# The engine may hold a drop or a check of parts back for long.
_LATE_SECONDS = 120.0
_STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Memory(Protocol):
    """What retention needs to be remembered, each call durable on return; `queue/state.py` does it."""

    def number(self, name: str) -> int:
        """`watermark` (all records up to it are done), `removed`, `removing_partition`, `removing_rows`."""
        ...

    def begin_removal(self, partition: int, rows: int) -> None:
        """`partition` is about to be dropped and everything before it is gone."""
        ...

    def finish_removal(self) -> None:
        """The partition is gone, its rows are counted; calling it again changes nothing."""
        ...


class WatchedStore(Store, Protocol):
    """A store whose files are on the disk that is watched. Both calls may raise `StoreError`."""

    def repair_parts(self) -> None:
        """Make whole what a full disk damaged, delete what is not needed any more: to be called about once a second."""
        ...

    def set_disk_pressure(self, short: bool) -> None:
        """To be told at each look whether space is short."""
        ...


class Openness(Protocol):
    """Who knows which partitions are still written to."""

    def first_open_partition(self) -> int:
        """Nothing is inserted any more into partitions below this."""
        ...


@dataclass(frozen=True, slots=True)
class _Content:
    rows: int
    last_seq: int
    newest_ns: int


class Retention:
    """Keeps `store` within its age (seconds, None is for ever) and its space on `disk`, in a thread of its own.

    `removed` counts the records that were removed since the data directory was made, those of a partition from before
    it is dropped: for a moment they may also still be found, but are never neither.
    """

    def __init__(self, store: WatchedStore, memory: Memory, disk: Disk, max_age_seconds: int | None) -> None:
        """Finish what a former process had begun. Raises `StoreError`."""
        self._store = store
        self._memory = memory
        self._disk = disk
        self._max_age_seconds = max_age_seconds
        self._contents: dict[int, _Content] = {}
        self._loop = SupervisedThread(
            "retention",
            "old records cannot be removed",
            first_backoff_seconds=_LOOK_AGAIN_SECONDS,
            last_backoff_seconds=_LOOK_SECONDS,
            late_seconds=_LATE_SECONDS,
        )
        self.removed = memory.number("removed") + memory.number("removing_rows")
        self._finish()
        disk.look(store.partitions(), memory.number("removing_partition"))

    @property
    def problems(self) -> list[str]:
        """What keeps records from being removed or received."""
        full = self._disk.problem()
        return [*self._loop.problems, *([full] if full else [])]

    def start(self, writer: Openness) -> None:
        """Begin to watch."""
        self._loop.start(lambda: self._turn(writer))

    def stop(self, timeout_seconds: float = _STOP_SECONDS) -> bool:
        """Finish the drop that is under way and end. False if that takes longer."""
        return self._loop.stop(timeout_seconds)

    def _turn(self, writer: Openness) -> float:
        if not self._disk.is_usable:
            return _LOOK_SECONDS
        try:
            self._store.repair_parts()
            self.sweep(writer)
        except BaseException:
            self._disk.exhausted = True
            raise
        return _LOOK_AGAIN_SECONDS if self._disk.leaving or self._disk.exhausted else _LOOK_SECONDS

    def sweep(self, writer: Openness) -> None:
        """Drop what is too old and as much more as there is too little space for."""
        removed = self._memory.number("removing_partition")
        # In this order: a partition that is closed now is closed in the list too, and the newest is known.
        first_open = writer.first_open_partition()
        self._disk.keep_reserve()
        partitions = self._store.partitions()
        if self._memory.number("removing_rows") or any(size.rows and size.partition <= removed for size in partitions):
            self._finish()
            partitions = self._store.partitions()
        wanted_bytes = self._disk.look(partitions, removed)
        filled = [size for size in partitions if size.rows]
        closed = [size for size in filled[:-1] if size.partition < first_open]
        done = self._memory.number("watermark")
        dropped = 0
        for size in closed:
            content = self._content(size)
            due = wanted_bytes > 0 or self._too_old(content)
            if not due or content.last_seq > done or self._loop.is_stopping:
                break
            self._drop(size, content)
            beat()
            dropped += 1
            wanted_bytes -= size.bytes + size.old_bytes
        self._disk.exhausted = wanted_bytes > 0 and not dropped and not self._disk.leaving
        self._store.set_disk_pressure(self._disk.is_short)

    def _too_old(self, content: _Content) -> bool:
        if self._max_age_seconds is None:
            return False
        return content.newest_ns < clock.now_ns() - self._max_age_seconds * clock.SECOND_NS

    def _content(self, size: PartitionSize) -> _Content:
        """What is in a closed partition; that does not change any more."""
        content = self._contents.get(size.partition)
        if content is None:
            newest = "toUnixTimestamp64Nano(max(_received))"
            sql = f"SELECT count(), max(_seq), {newest} FROM {TABLE} WHERE _slice = {size.partition}"
            content = _Content(*(int(str(value)) for value in self._store.query(sql).rows[0]))
            self._contents[size.partition] = content
        return content

    def _drop(self, size: PartitionSize, content: _Content) -> None:
        self._memory.begin_removal(size.partition, content.rows)
        # From here on they are removed, also when the drop itself has to be tried again.
        self.removed += content.rows
        metrics.removed.inc(content.rows)
        self._finish()
        self._contents.pop(size.partition, None)
        fields = {"partition": size.partition, "records": content.rows, "bytes": size.bytes}
        log.info("removed the oldest partition", extra={"fields": fields})

    def _finish(self) -> None:
        """Drop everything up to the intended partition, then count it."""
        intended = self._memory.number("removing_partition")
        for size in self._store.partitions():
            if size.rows and size.partition <= intended:
                self._store.drop(size.partition)
        left = self._store.query(f"SELECT count() FROM {TABLE} WHERE _slice <= {intended}").rows[0][0]
        if int(str(left)):
            raise StoreError(f"partition {intended} was dropped and {left} records are still there")
        self._memory.finish_removal()
