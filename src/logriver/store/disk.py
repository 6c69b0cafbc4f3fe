"""Space on the disk: what Logriver has of it, what it may have, and what must stay free.

Logriver's own bytes are the store's (parts that were merged away or dropped and are still on disk included), the log's
and the state's. It may have `--max-disk` of them. So much must stay free that everything acknowledged can still be
stored: the largest merge, which writes its result beside its sources; twice the backlog, once as a part and once as the
merge of it; the state, whose journal can grow to its size; and what may arrive between two looks. Only receiving waits
for that space: retention makes it, and what the writer needs is what it is kept for.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from logriver import clock, metrics
from logriver.errors import Overloaded, Unavailable
from logriver.settings import Settings
from logriver.store.base import PartitionSize

MARGIN_BYTES = 16_000_000
"""What may arrive between two looks, and a step of retention ahead of the limits at which receiving stops."""
_LEAST_PARTITION_BYTES = 16_000_000
_LEAST_SEGMENT_BYTES = 1_000_000
_RESERVE_BYTES = 4_000_000
_FREE_GOOD_SECONDS = 0.02
_ACT_SHARE = 15 / 16
_FULL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found at the last look; `leaving` are bytes of own that are being deleted."""

    own: int
    leaving: int
    free: int
    limit: int
    floor: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the parts of a server may take, in bytes."""

    partition_bytes: int
    segment_bytes: int
    backlog_bytes: int
    dead_letter_bytes: int


def plan(settings: Settings, total_bytes: int) -> Sizes:
    """The sizes of the settings, smaller where the disk (`total_bytes`: what we have and what is free) is small."""
    limit = min(settings.max_disk_bytes(total_bytes), total_bytes)
    return Sizes(
        partition_bytes=settings.partition_bytes or max(_LEAST_PARTITION_BYTES, limit // 32),
        segment_bytes=min(settings.segment_bytes, max(_LEAST_SEGMENT_BYTES, limit // 16)),
        backlog_bytes=min(settings.max_backlog_bytes, max(_LEAST_SEGMENT_BYTES, limit // 8)),
        dead_letter_bytes=min(settings.max_dead_letter_bytes, max(_LEAST_SEGMENT_BYTES, limit // 16)),
    )


class Disk:
    """The disk that `directory` is on. `look` is called by retention, `check` and `problem` by anyone.

    `limit_of` gives what Logriver may use, of what it has and what is free; `backlog_bytes` the log that is still to be
    stored, `directory_problem` why nothing can be written to the directory at all. None may block.
    """

    def __init__(
        self,
        directory: Path,
        limit_of: Callable[[int], int],
        backlog_bytes: Callable[[], int],
        directory_problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._directory_problem = directory_problem
        self._limit_of = limit_of
        self._backlog_bytes = backlog_bytes
        self._free = (0.0, 0)
        self._seen = _Seen(0, 0, 0, 0, 0)
        self.exhausted = False
        """Whether retention looked, needs space, and finds nothing that it could remove."""

    def look(self, partitions: list[PartitionSize], dropped: int) -> int:
        """Measure; `dropped` is the last dropped partition. How many bytes retention should free now, at most 0 for
        none.

        Bytes that are being deleted already do not count, or each look would find more to drop.
        """
        state = sum(file.stat().st_size for file in self._directory.glob("state.db*"))
        own = sum(size.bytes + size.old_bytes for size in partitions) + state + directory_bytes(self._directory / "log")
        leaving = sum(size.bytes + size.old_bytes for size in partitions if size.partition <= dropped)
        free = free_bytes(self._directory)
        floor = max((size.bytes for size in partitions), default=0) + state + MARGIN_BYTES
        seen = self._seen = _Seen(own, leaving, free, self._limit_of(own + free), floor)
        metrics.disk_own_bytes.set(own)
        metrics.disk_limit_bytes.set(seen.limit)
        metrics.disk_free_bytes.set(free)
        too_much = own - leaving - int(seen.limit * _ACT_SHARE)
        too_little = floor + 2 * self._backlog_bytes() + MARGIN_BYTES - free - leaving
        return max(too_much, too_little)

    def keep_reserve(self) -> None:
        """Give up a file that only takes space when hardly any is left, and make it again when there is enough.

        Removing needs a little space itself: to write the intent, and for the engine to note what is gone. Raises
        `OSError`.
        """
        reserve = self._directory / "reserve"
        held = reserve.stat().st_size if reserve.exists() else 0
        free = free_bytes(self._directory)
        if held and free < _RESERVE_BYTES // 2:
            reserve.unlink()
        elif not held and free > self._seen.floor:
            with reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)

    @property
    def is_short(self) -> bool:
        """Whether less was free at the last look than must always be."""
        return self._seen.free < self._seen.floor

    @property
    def leaving(self) -> int:
        """Bytes that were being deleted at the last look."""
        return self._seen.leaving

    def check(self) -> None:
        """Whether there is space to receive; costs next to nothing.

        Raises `Overloaded` while retention frees space, or the writer has to store what is there before it can;
        `Unavailable` where there is nothing of ours to remove.
        """
        refusal = self._refusal()
        if refusal is not None:
            metrics.turned_away.labels(reason="disk").inc()
            raise refusal

    def problem(self) -> str | None:
        """Why nothing can be received, None while it can."""
        refusal = self._refusal()
        return refusal.message if isinstance(refusal, Unavailable) else None

    @property
    def is_usable(self) -> bool:
        """Whether the directory is there and can be written."""
        return self._directory_problem() is None

    def _refusal(self) -> Overloaded | None:
        problem = self._directory_problem()
        if problem is not None:
            return Unavailable(problem, retry_after_seconds=_FULL_SECONDS, hint="it goes on when that is mended")
        seen, backlog = self._seen, self._backlog_bytes()
        free, needed = self._free_now(), seen.floor + 2 * backlog
        if free < needed:
            message = f"the disk has {_mb(free)} free, {_mb(needed)} must stay free"
            if self.exhausted:
                return Unavailable(message, retry_after_seconds=_FULL_SECONDS, hint="free space on the server's disk")
            return Overloaded(message, hint="old records are being removed; send again")
        # Without a backlog there is nothing to wait for: the limit is then smaller than what is never removed.
        if seen.own > seen.limit and backlog:
            return Overloaded(
                f"{_mb(seen.own)} of the disk are used, the limit is {_mb(seen.limit)}",
                hint="old records are being removed; send again",
            )
        return None

    def _free_now(self) -> int:
        looked, free = self._free
        now = clock.monotonic()
        if now - looked > _FREE_GOOD_SECONDS:
            try:
                free = free_bytes(self._directory)
            except OSError:
                return 0  # it has just gone, and the next look says so
            self._free = (now, free)
        return free


def free_bytes(path: Path) -> int:
    """What an ordinary user can still write there."""
    return shutil.disk_usage(path).free


def directory_bytes(path: Path) -> int:
    """The sizes of all files below `path`. Files may come and go meanwhile."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += Path(folder, name).stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
