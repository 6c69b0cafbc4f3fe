"""The backlog: what is durable in the log and not yet stored, which of it is claimed, and the watermark.

Writers claim batches in order and finish them out of order. The watermark is the highest number below which every
number is done; whoever waits for a number to be searchable waits for the watermark. For any thread.

Every call either does all of what it does or nothing, also where memory runs out in the middle of it, and `add`, `skip`
and `ack` may be repeated: what takes memory is done before anything is changed.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from logriver import clock, metrics, threads
from logriver.queue.base import ClaimedBatch, DeadLetter, RowRange
from logriver.queue.file_read import is_gone, read_around, read_range
from logriver.queue.record_header import RecordHeader, RefusedLine
from logriver.queue.row_formats import DECODERS
from logriver.queue.wal_segment import Extent, records

_JOIN_BYTES = 1_000_000
# Where less than this share of a block comes in this share of the time, blocks are so far apart. Where more comes,
# waiting for the rest halves the merges, which saves a quarter of all work.
_SHARE = 0.25
# Where a small block takes long, they are farther apart: so many times as long as one takes, up to this share.
_APART_PER_BLOCK = 6
_LONGEST_SHARE = 0.5
# What comes after a pause waits for so little, for what comes with it.
_GATHER_SHARE = 0.02
# Rows that are kept in memory until they are taken; what is beyond is read from the log again.
_READY_BYTES = 64_000_000
# So often the disk is asked for what it does not give.
_MOST_READS = 30

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    extent: Extent
    since: float


@dataclass(slots=True)
class _Claim:
    """Spans that a writer has, or that are to be taken before all others because it gave them back."""

    extents: list[Extent]
    since: float
    taken_at: float
    is_given_back: bool = False


class Backlog:
    """Starts behind `watermark`. Numbers up to `doubtful` were in the log before this start: perhaps stored already."""

    def __init__(self, watermark: int, doubtful: int) -> None:
        self.watermark = watermark
        self.bytes = 0
        self._doubtful = doubtful
        self._extents: deque[_Waiting] = deque()
        self._untaken_records = 0
        self._untaken_bytes = 0
        self._done: dict[int, int] = {}
        # By their first number.
        self._claims: dict[int, _Claim] = {}
        self._added_seq = watermark
        self._mark_moved_at = self._last_taken_at = clock.monotonic()
        self._block_seconds = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._failed_reads: dict[int, int] = {}
        self._listeners: list[Callable[[int], None]] = []

    @contextmanager
    def listening(self, listener: Callable[[int], None]) -> Iterator[None]:
        """Call `listener(watermark)`, on a writer's thread, whenever the watermark moves inside of this block."""
        with self._changed:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._changed:
                self._listeners.remove(listener)

    def add(self, extents: list[Extent]) -> None:
        """Durable records, behind all that were added before."""
        now = clock.monotonic()
        with self._changed:
            for extent in extents:
                if extent.last_seq > self._added_seq:
                    self._add(extent, now)
            self._changed.notify()
        metrics.backlog_bytes.set(self.bytes)

    def _add(self, extent: Extent, now: float) -> None:
        size, records = extent.end - extent.start, extent.last_seq - extent.first_seq + 1
        if self._untaken_bytes + size > _READY_BYTES:
            extent.ready = None
        if not (self._extents and self._extents[-1].extent.extend(extent, _JOIN_BYTES)):
            self._extents.append(_Waiting(extent, now))
        if self._added_seq <= self.watermark:
            self._mark_moved_at = now
        self._added_seq = extent.last_seq
        self.bytes += size
        self._untaken_bytes += size
        self._untaken_records += records

    def skip(self, first_seq: int, last_seq: int) -> None:
        """A skipped range: these numbers are done without a record."""
        self._finish(first_seq, last_seq, 0)

    def close(self) -> None:
        """No more is added: `take` gives what is left at once, then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def oldest_seconds(self) -> float:
        """How long the oldest durable and unfinished record has been waiting; 0 if there is none."""
        with self._changed:
            waiting = [*(claim.since for claim in self._claims.values()), *(w.since for w in list(self._extents)[:1])]
        return clock.monotonic() - min(waiting) if waiting else 0.0

    def stalled_seconds(self) -> tuple[float, float]:
        """For how long nothing was claimed, and the watermark has not moved, while something waits; else zeros."""
        with self._changed:
            if self._added_seq <= self.watermark:
                return 0.0, 0.0
            now, moved_at = clock.monotonic(), self._mark_moved_at
            return now - max(moved_at, self._last_taken_at), now - moved_at

    def poll(self, max_records: int, max_bytes: int, linger_seconds: float) -> list[Extent]:
        """The next extents, in order and with contiguous numbers (see `Queue.poll`); none once closed and empty."""
        with self._changed:
            while not self._closed and self._given_back() is None:
                full = max(self._untaken_records / max_records, self._untaken_bytes / max_bytes)
                if self._extents and full >= 1:
                    break
                rest = self._due_at(full, linger_seconds) - clock.monotonic() if self._extents else None
                if rest is not None and rest <= 0:
                    break
                with threads.idle():
                    self._changed.wait(rest)
            if free := self._given_back():
                free.is_given_back = False
                return free.extents
            taken = self._claim(max_records, max_bytes)
            if self._extents:
                self._changed.notify()
            return taken

    def _given_back(self) -> _Claim | None:
        return next((claim for claim in self._claims.values() if claim.is_given_back), None)

    def _claim(self, max_records: int, max_bytes: int) -> list[Extent]:
        taken: list[Extent] = []
        count = size = 0
        for waiting in self._extents:
            extent = waiting.extent
            if count >= max_records or size >= max_bytes or (taken and taken[-1].last_seq + 1 != extent.first_seq):
                break
            taken.append(extent)
            count += extent.last_seq - extent.first_seq + 1
            size += extent.end - extent.start
        if not taken:
            return taken
        now = clock.monotonic()
        self._claims[taken[0].first_seq] = _Claim(taken, self._extents[0].since, now)
        self._last_taken_at = now
        for _ in taken:
            self._extents.popleft()
        self._untaken_records -= count
        self._untaken_bytes -= size
        return taken

    def give_back(self, extents: list[Extent]) -> None:
        """Claimed extents that could not be read: they are the next to be claimed."""
        with self._changed:
            claim = self._claims.get(extents[0].first_seq)
            if claim is not None:
                claim.is_given_back = True
            self._changed.notify()

    def _due_at(self, full: float, linger_seconds: float) -> float:
        """When what waits is handed over, a block that is `full` to that share and gets no fuller."""
        since = self._extents[0].since
        if full >= _SHARE:
            return since + linger_seconds
        apart = max(_APART_PER_BLOCK * self._block_seconds, linger_seconds * _SHARE)
        apart = min(apart, linger_seconds * _LONGEST_SHARE)
        soon = max(since + linger_seconds * _GATHER_SHARE, self._last_taken_at + apart)
        return min(soon, since + linger_seconds)

    def read(self, extents: list[Extent]) -> ClaimedBatch:
        """What is in claimed extents, every byte checked. Raises `OSError` where another try may give it.

        What many tries do not give, and what is not there any more, is damaged.
        """
        first_seq = extents[0].first_seq
        try:
            claimed = _read(extents, self._doubtful, around=self._failed_reads.get(first_seq, 0) >= _MOST_READS)
        except OSError:
            self._failed_reads[first_seq] = self._failed_reads.get(first_seq, 0) + 1
            raise
        self._failed_reads.pop(first_seq, None)
        return claimed

    def ack(self, claimed: ClaimedBatch) -> None:
        """See `Queue.acknowledge`."""
        self._finish(claimed.first_seq, claimed.last_seq, claimed.bytes)

    def _finish(self, first_seq: int, last_seq: int, size: int) -> None:
        with self._changed:
            if first_seq <= self.watermark or first_seq in self._done:
                return
            self._done[first_seq] = last_seq
            self.bytes -= size
            now = clock.monotonic()
            claim = self._claims.pop(first_seq, None)
            if claim is not None:
                self._block_seconds = (self._block_seconds + now - claim.taken_at) / 2
            before = self.watermark
            while self.watermark + 1 in self._done:
                self.watermark = self._done.pop(self.watermark + 1)
            watermark = self.watermark
            if watermark > before:
                self._mark_moved_at = now
            listeners = list(self._listeners) if watermark > before else []
            self._changed.notify()
        metrics.backlog_bytes.set(self.bytes)
        for listener in listeners:
            try:
                listener(watermark)
            except Exception as error:
                # Who waits looks at the watermark again when its time is over.
                log.warning("a listener for the watermark failed", exc_info=error)


class _RowRangeBuilder:
    """Collects rows with contiguous numbers into ranges of a claimed batch."""

    def __init__(self, claimed: ClaimedBatch) -> None:
        self._claimed = claimed
        self._rows: list[bytes] = []
        self._first_seq = self._count = 0

    def add(self, first_seq: int, count: int, rows: list[bytes]) -> None:
        if self._first_seq + self._count != first_seq:
            self.end()
            self._first_seq = first_seq
        self._rows += rows
        self._count += count

    def end(self) -> None:
        if self._count:
            self._claimed.row_ranges.append(RowRange(self._first_seq, self._count, b"".join(self._rows)))
        self._rows, self._count = [], 0


def _read(extents: list[Extent], doubtful: int, *, around: bool) -> ClaimedBatch:
    """Read extents with contiguous numbers, from memory or from the log, there checking every byte.

    `around` what the disk does not give.
    """
    size = sum(extent.end - extent.start for extent in extents)
    claimed = ClaimedBatch(extents[0].first_seq, extents[-1].last_seq, size, extents[0].first_seq <= doubtful)
    row_ranges = _RowRangeBuilder(claimed)
    for extent in extents:
        if extent.ready is not None:
            row_ranges.add(extent.first_seq, extent.last_seq - extent.first_seq + 1, extent.ready)
        else:
            _read_log(extent, claimed, row_ranges, around=around)
    row_ranges.end()
    return claimed


def _read_log(extent: Extent, claimed: ClaimedBatch, row_ranges: _RowRangeBuilder, *, around: bool) -> None:
    expected = extent.first_seq
    complete = DECODERS[extent.formats.rows]
    for header, body, dead_letters in _unfinished(extent, around=around):
        if header.first_seq > expected:
            claimed.damaged.append((extent.path.name, expected, header.first_seq - 1))
        if header.rows:
            row_ranges.add(header.first_seq, header.rows, [complete(body, header.source, header.received_ns)])
        for number, dead_letter in enumerate(dead_letters, header.first_seq + header.rows):
            claimed.dead_letters.append(
                DeadLetter(number, dead_letter.reason, dead_letter.raw, header.source, header.received_ns)
            )
        expected = header.last_seq + 1
    if expected <= extent.last_seq:
        claimed.damaged.append((extent.path.name, expected, extent.last_seq))


def _unfinished(extent: Extent, *, around: bool) -> Iterator[tuple[RecordHeader, bytes, list[RefusedLine]]]:
    """The records of an extent but for those before its first number, which were done before this start."""
    try:
        whole = (extent.path, extent.start, extent.end)
        data = read_around(*whole)[0] if around else read_range(*whole)
    except OSError as error:
        if not is_gone(error):
            raise
        data = b""
    return (record for record in records(data, extent.formats) if record[0].last_seq >= extent.first_seq)
