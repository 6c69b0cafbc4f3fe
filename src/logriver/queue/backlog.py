"""The backlog: what is durable in the log and not yet stored, which of it is taken, and the visible mark.

Writers take runs in order and finish them out of order. The mark is the highest number below which every number is
done; whoever waits for a number to be searchable waits for the mark. For any thread.

Every call either does all of what it does or nothing, also where memory runs out in the middle of it, and `add`, `skip`
and `acknowledge` may be repeated: what takes memory is done before anything is changed.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from logriver import clock, metrics, threads
from logriver.queue.base import DeadLetter, Piece, Run
from logriver.queue.file_read import is_gone, read_around, read_range
from logriver.queue.record_header import Letter, RecordHeader
from logriver.queue.row_formats import DECODERS
from logriver.queue.wal_segment import Span, records

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
    span: Span
    since: float


@dataclass(slots=True)
class _Claim:
    """Spans that a writer has, or that are to be taken before all others because it gave them back."""

    spans: list[Span]
    since: float
    taken_at: float
    is_given_back: bool = False


class Backlog:
    """Starts behind `mark`. Numbers up to `doubtful` were in the log before this start: they may be stored already."""

    def __init__(self, mark: int, doubtful: int) -> None:
        self.mark = mark
        self.bytes = 0
        self._doubtful = doubtful
        self._spans: deque[_Waiting] = deque()
        self._untaken_records = 0
        self._untaken_bytes = 0
        self._done: dict[int, int] = {}
        # By their first number.
        self._claims: dict[int, _Claim] = {}
        self._added_seq = mark
        self._mark_moved_at = self._last_taken_at = clock.monotonic()
        self._block_seconds = 0.0
        self._changed = threading.Condition()
        self._closed = False
        self._failed_reads: dict[int, int] = {}
        self._listeners: list[Callable[[int], None]] = []

    @contextmanager
    def listening(self, listener: Callable[[int], None]) -> Iterator[None]:
        """Call `listener(mark)`, on a writer's thread, whenever the mark moves inside of this block."""
        with self._changed:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._changed:
                self._listeners.remove(listener)

    def add(self, spans: list[Span]) -> None:
        """Durable records, behind all that were added before."""
        now = clock.monotonic()
        with self._changed:
            for span in spans:
                if span.last_seq > self._added_seq:
                    self._add(span, now)
            self._changed.notify()
        metrics.backlog_bytes.set(self.bytes)

    def _add(self, span: Span, now: float) -> None:
        size, records = span.end - span.start, span.last_seq - span.first_seq + 1
        if self._untaken_bytes + size > _READY_BYTES:
            span.ready = None
        if not (self._spans and self._spans[-1].span.extend(span, _JOIN_BYTES)):
            self._spans.append(_Waiting(span, now))
        if self._added_seq <= self.mark:
            self._mark_moved_at = now
        self._added_seq = span.last_seq
        self.bytes += size
        self._untaken_bytes += size
        self._untaken_records += records

    def skip(self, first_seq: int, last_seq: int) -> None:
        """A hole: these numbers are done without a record."""
        self._finish(first_seq, last_seq, 0)

    def close(self) -> None:
        """No more is added: `take` gives what is left at once, then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def oldest_seconds(self) -> float:
        """How long the oldest durable and unfinished record has been waiting; 0 if there is none."""
        with self._changed:
            waiting = [*(claim.since for claim in self._claims.values()), *(w.since for w in list(self._spans)[:1])]
        return clock.monotonic() - min(waiting) if waiting else 0.0

    def stalled_seconds(self) -> tuple[float, float]:
        """For how long nothing was taken, and the mark has not moved, while something durable waits; else zeros."""
        with self._changed:
            if self._added_seq <= self.mark:
                return 0.0, 0.0
            now, moved_at = clock.monotonic(), self._mark_moved_at
            return now - max(moved_at, self._last_taken_at), now - moved_at

    def take(self, max_records: int, max_bytes: int, linger_seconds: float) -> list[Span]:
        """The next spans, in order and with contiguous numbers (see `Queue.take`); none once it is closed and empty."""
        with self._changed:
            while not self._closed and self._given_back() is None:
                full = max(self._untaken_records / max_records, self._untaken_bytes / max_bytes)
                if self._spans and full >= 1:
                    break
                rest = self._due_at(full, linger_seconds) - clock.monotonic() if self._spans else None
                if rest is not None and rest <= 0:
                    break
                with threads.idle():
                    self._changed.wait(rest)
            if free := self._given_back():
                free.is_given_back = False
                return free.spans
            taken = self._claim(max_records, max_bytes)
            if self._spans:
                self._changed.notify()
            return taken

    def _given_back(self) -> _Claim | None:
        return next((claim for claim in self._claims.values() if claim.is_given_back), None)

    def _claim(self, max_records: int, max_bytes: int) -> list[Span]:
        taken: list[Span] = []
        count = size = 0
        for waiting in self._spans:
            span = waiting.span
            if count >= max_records or size >= max_bytes or (taken and taken[-1].last_seq + 1 != span.first_seq):
                break
            taken.append(span)
            count += span.last_seq - span.first_seq + 1
            size += span.end - span.start
        if not taken:
            return taken
        now = clock.monotonic()
        self._claims[taken[0].first_seq] = _Claim(taken, self._spans[0].since, now)
        self._last_taken_at = now
        for _ in taken:
            self._spans.popleft()
        self._untaken_records -= count
        self._untaken_bytes -= size
        return taken

    def give_back(self, spans: list[Span]) -> None:
        """Taken spans that could not be read: they are the next to be taken."""
        with self._changed:
            claim = self._claims.get(spans[0].first_seq)
            if claim is not None:
                claim.is_given_back = True
            self._changed.notify()

    def _due_at(self, full: float, linger_seconds: float) -> float:
        """When what waits is handed over, a block that is `full` to that share and gets no fuller."""
        since = self._spans[0].since
        if full >= _SHARE:
            return since + linger_seconds
        apart = max(_APART_PER_BLOCK * self._block_seconds, linger_seconds * _SHARE)
        apart = min(apart, linger_seconds * _LONGEST_SHARE)
        soon = max(since + linger_seconds * _GATHER_SHARE, self._last_taken_at + apart)
        return min(soon, since + linger_seconds)

    def read(self, spans: list[Span]) -> Run:
        """What is in taken spans, every byte checked. Raises `OSError` where another try may give it.

        What many tries do not give, and what is not there any more, is damaged.
        """
        first_seq = spans[0].first_seq
        try:
            run = _read(spans, self._doubtful, around=self._failed_reads.get(first_seq, 0) >= _MOST_READS)
        except OSError:
            self._failed_reads[first_seq] = self._failed_reads.get(first_seq, 0) + 1
            raise
        self._failed_reads.pop(first_seq, None)
        return run

    def acknowledge(self, run: Run) -> None:
        """See `Queue.acknowledge`."""
        self._finish(run.first_seq, run.last_seq, run.bytes)

    def _finish(self, first_seq: int, last_seq: int, size: int) -> None:
        with self._changed:
            if first_seq <= self.mark or first_seq in self._done:
                return
            self._done[first_seq] = last_seq
            self.bytes -= size
            now = clock.monotonic()
            claim = self._claims.pop(first_seq, None)
            if claim is not None:
                self._block_seconds = (self._block_seconds + now - claim.taken_at) / 2
            before = self.mark
            while self.mark + 1 in self._done:
                self.mark = self._done.pop(self.mark + 1)
            mark = self.mark
            if mark > before:
                self._mark_moved_at = now
            listeners = list(self._listeners) if mark > before else []
            self._changed.notify()
        metrics.backlog_bytes.set(self.bytes)
        for listener in listeners:
            try:
                listener(mark)
            except Exception as error:
                # Who waits looks at the mark again when its time is over.
                log.warning("who waits for the visible mark could not be told", exc_info=error)


class _Pieces:
    """Collects rows with contiguous numbers into pieces of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
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
            self._run.pieces.append(Piece(self._first_seq, self._count, b"".join(self._rows)))
        self._rows, self._count = [], 0


def _read(spans: list[Span], doubtful: int, *, around: bool) -> Run:
    """Read spans with contiguous numbers, from memory or from the log, there checking every byte.

    `around` what the disk does not give.
    """
    size = sum(span.end - span.start for span in spans)
    run = Run(spans[0].first_seq, spans[-1].last_seq, size, spans[0].first_seq <= doubtful)
    pieces = _Pieces(run)
    for span in spans:
        if span.ready is not None:
            pieces.add(span.first_seq, span.last_seq - span.first_seq + 1, span.ready)
        else:
            _read_log(span, run, pieces, around=around)
    pieces.end()
    return run


def _read_log(span: Span, run: Run, pieces: _Pieces, *, around: bool) -> None:
    expected = span.first_seq
    complete = DECODERS[span.formats.rows]
    for header, body, letters in _unfinished(span, around=around):
        if header.first_seq > expected:
            run.damaged.append((span.path.name, expected, header.first_seq - 1))
        if header.rows:
            pieces.add(header.first_seq, header.rows, [complete(body, header.source, header.received_ns)])
        for number, letter in enumerate(letters, header.first_seq + header.rows):
            run.letters.append(DeadLetter(number, letter.reason, letter.raw, header.source, header.received_ns))
        expected = header.last_seq + 1
    if expected <= span.last_seq:
        run.damaged.append((span.path.name, expected, span.last_seq))


def _unfinished(span: Span, *, around: bool) -> Iterator[tuple[RecordHeader, bytes, list[Letter]]]:
    """The records of a span but for those before its first number, which were done before this start."""
    try:
        whole = (span.path, span.start, span.end)
        data = read_around(*whole)[0] if around else read_range(*whole)
    except OSError as error:
        if not is_gone(error):
            raise
        data = b""
    return (record for record in records(data, span.formats) if record[0].last_seq >= span.first_seq)
