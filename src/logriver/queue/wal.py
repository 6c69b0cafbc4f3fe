"""The queue on a write-ahead log: a sink for whoever receives, a queue for the writer.

One thread writes. Batches that arrive while it syncs form the next group, which shares one `fdatasync`; their answers
leave after it. What the log means byte by byte is in `wal_segment.py`, reading it at start in `recovery.py`, what is
waiting in `backlog.py`, what outlives the segments in `state.py`.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from logriver import clock, metrics
from logriver.errors import KeyReused, LogriverError, Overloaded, Unavailable
from logriver.queue.backlog import Backlog
from logriver.queue.base import DeadLetter, Run
from logriver.queue.damage import Damages, unreadable
from logriver.queue.dead_letters import DeadLetters
from logriver.queue.ledger import Ledger
from logriver.queue.record_header import Letter, RecordHeader, position_forms
from logriver.queue.recovery import StoredIn, recover
from logriver.queue.row_formats import row_end
from logriver.queue.segment_files import make_segment
from logriver.queue.segment_header import FILE_HEADER_BYTES, NO_END, SegmentHeader
from logriver.queue.state import KEY_LIFE_NS, Hole, KnownKey, Snapshot, State
from logriver.queue.wal_segment import SegmentWriter, Span, encode_apart, encode_record
from logriver.record import MAX_SEQ, Batch, Held, Known, Receipt

_SPAN_BYTES = 8_000_000
_SNAPSHOT_SECONDS = 5.0
_TICK_SECONDS = 0.5
_READ_AGAIN_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """A batch on its way to the disk."""

    batch: Batch
    header: RecordHeader
    buffers: list[bytes]
    size: int
    answer: asyncio.Future[Receipt]

    def resolve(self, error: Exception | None) -> None:
        """Give the answer, on the event loop."""
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
            return
        accepted = self.header.rows + self.header.dead
        self.answer.set_result(Receipt(self.header.rows, self.header.rejected, self.header.last_seq if accepted else 0))


class Wal:
    """See the module. `put` and `known` are called on one event loop, the rest on any thread."""

    def __init__(
        self,
        directory: Path,
        node: str,
        state: State,
        stored_seq: int,
        segment_bytes: int,
        max_backlog_bytes: int,
        check_disk: Callable[[], None] = lambda: None,
        stored_in: StoredIn = lambda first_seq, last_seq: 0,
    ) -> None:
        """Recover what is in `directory`. Raises as `recover` does.

        `check_disk` is asked before each batch and raises `Overloaded` or `Unavailable` while there is no room.
        """
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._node = node
        self._state = state
        self._segment_bytes, self._max_backlog_bytes = segment_bytes, max_backlog_bytes
        self._check_disk = check_disk
        self.damage = Damages(state, directory)
        found = recover(directory, state, self.damage, stored_seq, stored_in)
        self._problems = found.problems
        self.backlog = Backlog(found.mark, found.last_seq)
        self.letters = DeadLetters(state)
        self._ledger = Ledger.of(state.known())
        self._keys, self._keys_being_saved = dict[bytes, KnownKey](), dict[bytes, KnownKey]()
        self._holes: list[Hole] = []
        self._lock = threading.Lock()
        self._next_seq = found.last_seq + 1
        self._durable_seq = found.last_seq
        self._last_received_ns = 0
        self._finished, self._next_number = found.segments, found.next_number
        self._previous_end = found.previous_end
        self._segment: SegmentWriter | None = None
        for header in found.headers:
            self._remember(header)
        for hole in found.holes:
            self._record_hole(hole)
        self.backlog.add(found.spans)
        self._gathered, self._pending = list[_Entry](), list[_Entry]()
        self._pending_bytes = 0
        self._attempts: dict[bytes, asyncio.Task[Receipt]] = {}
        self._work = threading.Condition(self._lock)
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    @property
    def mark(self) -> int:
        """The visible mark: searches read up to it."""
        return self.backlog.mark

    @property
    def waiting(self) -> int:
        """Numbers that are durable and not yet below the mark."""
        return max(0, self._durable_seq - self.backlog.mark)

    @property
    def problems(self) -> list[str]:
        """What people should know of the log."""
        return [*self._problems, *self.damage.problems]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write. Answers are given on `loop`."""
        self._loop = loop
        for run in (self._write_forever, self._keep_forever):
            thread = threading.Thread(target=run, name=f"queue{run.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    # The sink.

    def put(self, batch: Batch) -> Awaitable[Receipt]:
        """See `Sink.put`."""
        if batch.key is not None:
            return self._once(batch.key.scope, batch)
        try:
            return self._append(batch)
        except LogriverError as error:
            refused: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def known(self, follower: str) -> Known:
        """See `Sink.known`."""
        with self._lock:
            return self._ledger.known(follower)

    def sources(self) -> list[Held]:
        """The ledger, for showing it."""
        with self._lock:
            return self._ledger.entries()

    async def wait_searchable(self, seq: int, timeout_seconds: float) -> bool:
        """See `Sink.wait_searchable`."""
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def listen(mark: int) -> None:
            if mark >= seq:
                loop.call_soon_threadsafe(reached.set)

        with self.backlog.listening(listen):
            if self.mark >= seq:
                return True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reached.wait(), timeout_seconds)
        return self.mark >= seq

    async def _once(self, scope: bytes, batch: Batch) -> Receipt:
        """Append a batch with a key unless that key is known; an equal one that is on its way is waited for."""
        while scope in self._attempts:
            await asyncio.wait([self._attempts[scope]])
        attempt = asyncio.create_task(self._append_unless_known(scope, batch))
        self._attempts[scope] = attempt
        attempt.add_done_callback(lambda _: self._attempts.pop(scope))
        # The caller may go away; what it sent may be on disk all the same, so the key stays taken until that is known.
        return await asyncio.shield(attempt)

    async def _append_unless_known(self, scope: bytes, batch: Batch) -> Receipt:
        with self._lock:
            known = self._keys.get(scope) or self._keys_being_saved.get(scope)
        known = known or await asyncio.to_thread(self._state.key, scope)
        if known is None or known.received_ns < clock.now_ns() - KEY_LIFE_NS:
            return await self._append(batch)
        if batch.key is not None and known.content != batch.key.content:
            raise KeyReused("this idempotency key came before with other content", hint="use a new key for a new body")
        metrics.duplicate_batches.inc()
        # Which numbers the first one took is not remembered; none is above this.
        return Receipt(known.accepted, known.rejected, self._durable_seq, duplicate=True)

    def _append(self, batch: Batch) -> "asyncio.Future[Receipt]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        with self._lock:
            self._check_room()
            if (position := batch.position) is not None:
                self._ledger.begin(position)
            entry = self._entry(batch, answer)
            self._pending_bytes += entry.size
        self._gathered.append(entry)
        if len(self._gathered) == 1:
            loop.call_soon(self._hand_over)
        return answer

    def _hand_over(self) -> None:
        """Give the writing thread, once in a turn of the event loop, all that this turn brought.

        Waking it for each would have the two threads fight for the interpreter.
        """
        with self._work:
            self._pending += self._gathered
            self._gathered = []
            self._work.notify_all()

    def _check_room(self) -> None:
        if self._closing:
            raise Unavailable("the server is stopping", retry_after_seconds=5)
        if self.backlog.bytes + self._pending_bytes > self._max_backlog_bytes:
            metrics.turned_away.labels(reason="backlog").inc()
            raise Overloaded(
                f"{self.backlog.bytes} bytes are waiting to be stored", hint="send slower; nothing was kept"
            )
        self._check_disk()
        if self._next_seq >= MAX_SEQ:
            raise Unavailable("the numbers of this node are used up")

    def _entry(self, batch: Batch, answer: "asyncio.Future[Receipt]") -> _Entry:
        decoded = batch.decoded
        if not self._gathered:
            # One time for what comes in one turn of the event loop, never earlier than the one before.
            self._last_received_ns = max(self._last_received_ns, clock.now_ns())
        covered_range, covered_stream = position_forms(batch.position)
        header = RecordHeader(
            self._next_seq,
            decoded.count,
            len(batch.dead),
            sum(map(len, decoded.rows)),
            self._last_received_ns,
            batch.source,
            batch.key.scope if batch.key else b"",
            batch.key.content if batch.key else b"",
            batch.rejected,
            covered_range,
            batch.replays,
            covered_stream,
        )
        self._next_seq = header.last_seq + 1
        if batch.apart:
            buffers = encode_apart(header, decoded.rows)
        else:
            letters = [Letter(refused.reason, refused.raw) for refused in batch.dead]
            buffers = encode_record(header, decoded.rows, letters)
        return _Entry(batch, header, buffers, sum(map(len, buffers)), answer)

    # The writing thread.

    def _write_forever(self) -> None:
        while self._write_next():
            pass

    def _write_next(self) -> bool:
        """Write one group, and let go of it before the next is waited for. False once the log is closed."""
        with self._work:
            while not self._pending and (self._gathered or not self._closing):
                self._work.wait()
            entries, self._pending = self._pending, []
        if not entries:
            return False
        try:
            self._write(entries)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, the senders must hear of it and the thread must go on.
            self._give_up(entries, error)
        if self._segment is not None and self._segment.size >= self._segment_bytes:
            self._rotate(self._segment)
        return True

    def _write(self, entries: list[_Entry]) -> None:
        segment = self._segment or self._open_segment(entries[0].header.first_seq)
        spans = _spans(segment, entries)
        headers = [entry.header for entry in entries if entry.header.remembered]
        started = clock.monotonic()
        segment.append([buffer for entry in entries for buffer in entry.buffers], spans, headers)
        metrics.sync_seconds.observe(clock.monotonic() - started)
        metrics.log_syncs.inc()
        metrics.log_bytes.inc(sum(entry.size for entry in entries))
        with self._lock:
            for header in headers:
                self._remember(header)
            self._durable_seq = entries[-1].header.last_seq
            self._pending_bytes -= sum(entry.size for entry in entries)
        self.backlog.add(spans)
        self._answer(entries, None)

    def _open_segment(self, first_seq: int) -> SegmentWriter:
        header = SegmentHeader(self._node, self._next_number, first_seq, self._previous_end)
        segment = self._segment = make_segment(self._directory, header, self._state)
        self._next_number += 1
        self._previous_end = NO_END
        return segment

    def _rotate(self, segment: SegmentWriter) -> None:
        self._segment = None
        try:
            segment.seal()
        except OSError as error:
            # All of its records are durable; without an index recovery reads them one by one.
            self._previous_end = segment.size
            log.warning(
                "segment could not be sealed", extra={"fields": {"segment": str(segment.path), "error": str(error)}}
            )
        with self._lock:
            self._finished.append((segment.path, segment.last_seq))

    def _give_up(self, entries: list[_Entry], error: Exception) -> None:
        """A write or sync failed: nothing of the group counts, its numbers become a hole, its senders are told."""
        metrics.sync_failures.inc()
        first_seq, last_seq = entries[0].header.first_seq, entries[-1].header.last_seq
        reason = f"the log could not be written: {error.strerror if isinstance(error, OSError) else error!r}"
        log.error(reason, exc_info=error, extra={"fields": {"first_seq": first_seq, "last_seq": last_seq}})
        segment, self._segment = self._segment, None
        if segment is not None:
            self._previous_end = segment.size
            with contextlib.suppress(OSError):
                segment.abandon()
        # Before the answers leave, so that recovery cannot bring back what they say is lost.
        with contextlib.suppress(OSError):
            self._open_segment(last_seq + 1)
        with self._lock:
            if segment is not None:
                self._finished.append((segment.path, segment.last_seq))
            for entry in entries:
                if (position := entry.batch.position) is not None:
                    self._ledger.failed(position)
            if last_seq >= first_seq:
                self._record_hole(Hole(first_seq, last_seq, reason))
                self._durable_seq = max(self._durable_seq, last_seq)
            self._pending_bytes -= sum(entry.size for entry in entries)
        self._answer(entries, Unavailable(reason, retry_after_seconds=5))

    def _answer(self, entries: list[_Entry], error: Exception | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(_resolve_all, entries, error)

    def _remember(self, header: RecordHeader) -> None:
        if header.key_scope:
            known = KnownKey(header.key_content, header.rows, header.rejected, header.received_ns)
            self._keys[header.key_scope] = known
        if (position := header.position) is not None:
            self._ledger.apply(position, header.received_ns)
        if header.replays is not None:
            self.letters.replayed(header.replays)

    def _record_hole(self, hole: Hole) -> None:
        self._holes.append(hole)
        self.backlog.skip(hole.first_seq, hole.last_seq)

    # The queue.

    def take(self, max_records: int, max_bytes: int, linger_seconds: float) -> Run | None:
        """See `Queue.take`."""
        run = self._take(max_records, max_bytes, linger_seconds)
        for name, first_seq, last_seq in run.damaged if run else ():
            self.damage.found([unreadable(name, first_seq, last_seq)])
            with self._lock:
                self._holes.append(Hole(first_seq, last_seq, "damaged in the log"))
        return run

    def _take(self, max_records: int, max_bytes: int, linger_seconds: float) -> Run | None:
        spans = self.backlog.take(max_records, max_bytes, linger_seconds)
        while spans and not self._stopped.is_set():
            try:
                return self.backlog.read(spans)
            except OSError as error:
                log.error("the log cannot be read, trying again", extra={"fields": {"error": str(error)}})
                self._stopped.wait(_READ_AGAIN_SECONDS)
        return None

    def acknowledge(self, run: Run) -> None:
        """See `Queue.acknowledge`."""
        self.backlog.acknowledge(run)

    def bury(self, letters: list[DeadLetter]) -> None:
        """See `Queue.bury`."""
        self.letters.bury(letters)
        metrics.dead_letters.inc(len(letters))

    def buried(self, first_seq: int, last_seq: int) -> set[int]:
        """See `Queue.buried`."""
        return self.letters.buried(first_seq, last_seq)

    # The keeping thread.

    def _keep_forever(self) -> None:
        last, saved = clock.monotonic(), True
        while not self._stopped.wait(_TICK_SECONDS):
            with self._lock:
                removable = any(last_seq <= self.mark for _, last_seq in self._finished)
            if (removable and saved) or clock.monotonic() - last >= _SNAPSHOT_SECONDS:
                saved = self._snapshot()
                last = clock.monotonic()

    def _snapshot(self) -> bool:
        """Make a snapshot durable, then remove the segments that it covers. False if the disk did not let us."""
        with self._lock:
            self._keys_being_saved, self._keys = self._keys, {}
            holes, self._holes = self._holes, []
            changes = self._ledger.changes(clock.now_ns())
            replays = self.letters.replays()
            snapshot = Snapshot(
                self.mark,
                self._next_seq - 1,
                self._keys_being_saved,
                changes.files,
                holes,
                changes.forgotten,
                replays,
                changes.streams,
                changes.forgotten_streams,
                self._durable_seq,
            )
            covered = [entry for entry in self._finished if entry[1] <= snapshot.mark]
            snapshot.segments_removed = max((int(path.stem) for path, _ in covered), default=0)
        try:
            self._state.save(snapshot, clock.now_ns())
            for path, _ in covered:
                self.damage.let_go(path)
        except (sqlite3.Error, OSError) as error:
            # The segments stay, so nothing is lost; the next snapshot takes it along.
            log.error("snapshot failed, trying again", extra={"fields": {"error": str(error)}})
            with self._lock:
                self._keys = self._keys_being_saved | self._keys
                self._holes = holes + self._holes
                self._ledger.not_saved(changes)
            return False
        self.letters.saved(replays, snapshot.mark)
        with self._lock:
            self._keys_being_saved = {}
            self._finished = [entry for entry in self._finished if entry not in covered]
        return True

    def stop_receiving(self) -> None:
        """Refuse new batches and wait until those that were taken are durable."""
        with self._work:
            self._closing = True
            self._work.notify_all()
        if self._threads:
            self._threads[0].join()
        self.backlog.close()

    def close(self) -> None:
        """Make a last snapshot; to be called when the writers have finished."""
        self._stopped.set()
        if self._threads:
            self._threads[1].join()
        segment, self._segment = self._segment, None
        if segment is not None and segment.size > FILE_HEADER_BYTES:
            self._rotate(segment)
        elif segment is not None:
            self._finished.append((segment.path, segment.last_seq))
        self._snapshot()


def _spans(segment: SegmentWriter, entries: list[_Entry]) -> list[Span]:
    """The records of a group as they will stand at the end of the segment, with their rows still in memory."""
    spans: list[Span] = []
    span = Span(segment.path, segment.size, segment.size, entries[0].header.first_seq, segment.last_seq, [])
    end_of: tuple[str, int] | None = None
    end = b""
    for entry in entries:
        header = entry.header
        if span.end - span.start >= _SPAN_BYTES:
            spans.append(span)
            span = Span(segment.path, span.end, span.end, header.first_seq, header.first_seq - 1, [])
        if end_of != (header.source, header.received_ns):
            end_of = header.source, header.received_ns
            end = row_end(*end_of)
        span.end += entry.size
        span.last_seq = header.last_seq
        if header.dead:
            span.ready = None
        elif span.ready is not None:
            span.ready += [rows.replace(b"\n", end) for rows in entry.batch.decoded.rows]
    spans.append(span)
    return [span for span in spans if span.last_seq >= span.first_seq]


def _resolve_all(entries: list[_Entry], error: Exception | None) -> None:
    for entry in entries:
        entry.resolve(error)
