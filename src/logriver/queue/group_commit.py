"""Group commit: the thread that writes batches to segments, the only one that touches them.

Batches that arrive while it syncs form the next group, which shares one `fdatasync`; their answers leave after it.

A group is written once. Either its bytes are durable, or it has failed: then the segment is abandoned, and the numbers
become a skipped range. What follows from either (ledger, backlog, answers) is repeated until it is done, whatever is
raised in between, so no number is left between the two and nobody waits for an answer for ever.
"""

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from logriver import clock, metrics
from logriver.errors import Unavailable
from logriver.queue.record_header import RecordHeader
from logriver.queue.row_formats import row_end
from logriver.queue.segment_files import make_segment
from logriver.queue.segment_header import FILE_HEADER_BYTES, NO_END, SegmentHeader
from logriver.queue.state import State
from logriver.queue.wal_segment import Extent, SegmentWriter
from logriver.record import Batch, Position, Receipt
from logriver.threads import Owner, SupervisedThread, idle

_EXTENT_BYTES = 8_000_000
# So long after a failed write it is shown: what comes next may show that it is over, but nothing may come.
_SHOWN_SECONDS = 10.0

_BEHIND_A_HOLE = "what comes before it of the same source could not be written"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A batch on its way to the disk."""

    batch: Batch
    header: RecordHeader
    buffers: list[bytes]
    size: int
    answer: asyncio.Future[Receipt]
    position: Position | None = None
    """What of its source it covers, for as long as the ledger takes it for begun."""

    def resolve(self, error: Exception | None) -> None:
        """Give the answer, on the event loop. Giving it again changes nothing."""
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
            return
        accepted = self.header.rows + self.header.dead
        self.answer.set_result(Receipt(self.header.rows, self.header.rejected, self.header.last_seq if accepted else 0))


@dataclass(slots=True)
class Group:
    """Entries that are written together. `is_durable` or a `failure` says what became of them."""

    entries: list[Entry]
    size: int
    extents: list[Extent] = field(default_factory=list)
    headers: list[RecordHeader] = field(default_factory=list)
    is_durable: bool = False
    failure: str = ""
    is_cut_off: bool = False
    """Whether the segment in which it failed is abandoned, or it did not fail in one."""

    @property
    def first_seq(self) -> int:
        """The first number of the group."""
        return self.entries[0].header.first_seq

    @property
    def last_seq(self) -> int:
        """The last number of the group; below the first where it took none."""
        return self.entries[-1].header.last_seq


class Outcome(Protocol):
    """Who is told what became of a group. Both may be called again for the same group after they raised.

    Before it is written, with `work` held, it is asked whether it may be.
    """

    @property
    def any_broken(self) -> bool:
        """Whether there is any entry that may not be written."""
        ...

    def continues(self, entry: Entry) -> bool:
        """Whether an entry may be written: it does not come behind one of the same source that failed."""
        ...

    def durable(self, group: Group) -> None:
        """It is on disk."""
        ...

    def failed(self, group: Group) -> None:
        """It is not, and never comes back: its numbers are to be skipped."""
        ...


class GroupCommit:
    """Takes entries from the event loop; `work` guards them."""

    def __init__(
        self,
        directory: Path,
        state: State,
        after: SegmentHeader,
        segment_bytes: int,
        work: threading.Condition,
        outcome: Outcome,
    ) -> None:
        """`after` is the header of the next segment, but for its first number."""
        self._directory = directory
        self._state = state
        self._node, self._next_number = after.node, after.number
        self._segment_bytes = segment_bytes
        self._work = work
        self._outcome = outcome
        self._previous_end = after.previous_end
        self._segment: SegmentWriter | None = None
        self._writing = Owner("the segment that is being written")
        # The first so many are handed over to the thread, the others come with the end of the event loop's turn.
        self._gathered: list[Entry] = []
        self._handed_over = 0
        self._is_handing_over = False
        self._group: Group | None = None
        self._closing = False
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._failed = ("", 0.0)
        self._loop = SupervisedThread("queue-write", "new records cannot be written", last_backoff_seconds=1.0)
        self.finished: list[tuple[Path, int]] = []
        """Segments that nothing is appended to any more, with their last numbers. Guarded by `work`."""
        self.pending_bytes = 0
        """Of entries that are not on disk yet."""

    @property
    def problems(self) -> list[str]:
        """What keeps batches from being written now."""
        failure, at = self._failed
        shown = failure and clock.monotonic() - at < _SHOWN_SECONDS
        return [*([failure] if shown else []), *self._loop.problems]

    def start(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write. Answers are given on `event_loop`, which alone may `add`."""
        self._event_loop = event_loop
        self._loop.start(self._turn)

    def add(self, entry: Entry) -> None:
        """Take an entry. With `work` held; it was not taken if this raises."""
        if not self._is_handing_over:
            asyncio.get_running_loop().call_soon(self._hand_over)
            self._is_handing_over = True
        self._gathered.append(entry)
        self.pending_bytes += entry.size

    def take_back(self, entry: Entry) -> None:
        """Forget the entry that was added last, before `work` was let go."""
        self._gathered.pop()
        self.pending_bytes -= entry.size

    def _hand_over(self) -> None:
        """Give the thread, once in a turn of the event loop, all that this turn brought.

        Waking it for each would have the two threads fight for the interpreter.
        """
        with self._work:
            self._is_handing_over = False
            self._handed_over = len(self._gathered)
            self._work.notify_all()

    @property
    def begins_a_turn(self) -> bool:
        """Whether nothing was added yet in this turn of the event loop."""
        return not self._is_handing_over

    def stop(self, timeout_seconds: float) -> bool:
        """Write what was taken and end. Who would have to wait longer is told that it may not be on disk."""
        with self._work:
            self._closing = True
            self._work.notify_all()
        if self._loop.join(timeout_seconds):
            return True
        self._loop.stop(0.0)
        with self._work:
            left = [*(self._group.entries if self._group else ()), *self._gathered]
        self._answer(left, Unavailable("the server stopped before this was known to be on disk", retry_after_seconds=5))
        return False

    def close(self) -> None:
        """After `stop` returned True: seal the last segment."""
        segment, self._segment = self._segment, None
        if segment is not None and segment.size > FILE_HEADER_BYTES:
            self._rotate(segment)
        elif segment is not None:
            self.finished.append((segment.path, segment.last_seq))

    # The thread.

    def _turn(self) -> float | None:
        """Write one group and see it through, or go on with the one that an error left. None once the log is closed."""
        self._writing.check()
        if self._group is None and not self._next_group():
            return None
        assert self._group is not None
        self._settle(self._group)
        with self._work:
            self.pending_bytes -= self._group.size
            self._group = None
        if self._segment is not None and self._segment.size >= self._segment_bytes:
            self._rotate(self._segment)
        return 0.0

    def _next_group(self) -> bool:
        with self._work, idle():
            while not (self._handed_over or self._closing):
                self._work.wait()
            count = len(self._gathered) if self._closing else self._handed_over
            if not count:
                return False
            entries = self._gathered[:count]
            failure = ""
            if self._outcome.any_broken:
                entries, failure = self._with_one_fate(entries)
            # What is not written leaves the segment as it is.
            size = sum(entry.size for entry in entries)
            self._group = Group(entries, size, failure=failure, is_cut_off=bool(failure))
            del self._gathered[: len(entries)]
            self._handed_over = max(0, self._handed_over - len(entries))
        return True

    def _with_one_fate(self, entries: list[Entry]) -> tuple[list[Entry], str]:
        """The first entries as far as they may be written, or why they may not."""
        is_good = self._outcome.continues(entries[0])
        count = next((n for n, entry in enumerate(entries) if self._outcome.continues(entry) != is_good), len(entries))
        return entries[:count], "" if is_good else _BEHIND_A_HOLE

    def _settle(self, group: Group) -> None:
        if not group.is_durable and not group.failure:
            try:
                self._write(group)
            except BaseException as error:  # noqa: BLE001
                # Whatever it is, the senders must hear of it and the thread must go on.
                self._note_failure(group, error)
        if group.is_durable:
            self._outcome.durable(group)
            self._answer(group.entries, None)
        else:
            # Before the answers leave, so that recovery cannot bring back what they say is lost.
            self._replace_segment(group)
            self._outcome.failed(group)
            self._answer(group.entries, Unavailable(group.failure, retry_after_seconds=5))

    def _write(self, group: Group) -> None:
        segment = self._segment or self._open_segment(group.first_seq)
        group.extents = _extents(segment, group.entries)
        group.headers = [entry.header for entry in group.entries if entry.header.remembered]
        buffers = [buffer for entry in group.entries for buffer in entry.buffers]
        started, size = clock.monotonic(), segment.size
        try:
            segment.append(buffers, group.extents, group.headers)
        finally:
            group.is_durable = segment.size > size
        self._failed = ("", 0.0)
        metrics.sync_seconds.observe(clock.monotonic() - started)
        metrics.log_syncs.inc()
        metrics.log_bytes.inc(group.size)

    def _note_failure(self, group: Group, error: BaseException) -> None:
        if group.is_durable:
            raise error
        # Before anything that may fail too: it must not be written twice.
        group.failure = "the log could not be written"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        group.failure = f"{group.failure}: {reason}"
        self._failed = (group.failure, clock.monotonic())
        metrics.sync_failures.inc()
        fields = {"first_seq": group.first_seq, "last_seq": group.last_seq}
        log.error(group.failure, exc_info=error, extra={"fields": fields})

    def _open_segment(self, first_seq: int) -> SegmentWriter:
        header = SegmentHeader(self._node, self._next_number, first_seq, self._previous_end)
        segment = self._segment = make_segment(self._directory, header, self._state)
        self._next_number += 1
        self._previous_end = NO_END
        return segment

    def _replace_segment(self, group: Group) -> None:
        """Nothing more is appended to a segment in which a group failed; the next one says where it ends."""
        segment = self._segment
        if segment is not None and not group.is_cut_off:
            with self._work:
                self.finished.append((segment.path, segment.last_seq))
            self._previous_end = segment.size
            self._segment = None
            group.is_cut_off = True
            with contextlib.suppress(OSError):
                segment.abandon()
        group.is_cut_off = True
        if self._segment is None:
            with contextlib.suppress(OSError):
                self._open_segment(group.last_seq + 1)

    def _rotate(self, segment: SegmentWriter) -> None:
        self._segment = None
        try:
            segment.seal()
        except Exception as error:  # noqa: BLE001
            # All of its records are durable; without an index recovery reads them one by one.
            self._previous_end = segment.size
            log.warning(
                "segment could not be sealed", extra={"fields": {"segment": str(segment.path), "error": str(error)}}
            )
        finally:
            with self._work:
                self.finished.append((segment.path, segment.last_seq))

    def _answer(self, entries: list[Entry], error: Exception | None) -> None:
        if self._event_loop is not None and not self._event_loop.is_closed():
            self._event_loop.call_soon_threadsafe(_resolve_all, entries, error)


def _extents(segment: SegmentWriter, entries: list[Entry]) -> list[Extent]:
    """The records of a group as they will stand at the end of the segment, with their rows still in memory."""
    extents: list[Extent] = []
    extent = Extent(segment.path, segment.size, segment.size, entries[0].header.first_seq, segment.last_seq, [])
    end_of: tuple[str, int] | None = None
    end = b""
    for entry in entries:
        header = entry.header
        if extent.end - extent.start >= _EXTENT_BYTES:
            extents.append(extent)
            extent = Extent(segment.path, extent.end, extent.end, header.first_seq, header.first_seq - 1, [])
        if end_of != (header.source, header.received_ns):
            end_of = header.source, header.received_ns
            end = row_end(*end_of)
        extent.end += entry.size
        extent.last_seq = header.last_seq
        if header.dead:
            extent.ready = None
        elif extent.ready is not None and header.rows:
            extent.ready.append(entry.batch.decoded.rows.replace(b"\n", end))
    extents.append(extent)
    return [extent for extent in extents if extent.last_seq >= extent.first_seq]


def _resolve_all(entries: list[Entry], error: Exception | None) -> None:
    for entry in entries:
        try:
            entry.resolve(error)
        except Exception as failure:  # noqa: BLE001
            # No memory for a receipt: the sender hears of that instead, and the others get theirs.
            entry.resolve(failure)
