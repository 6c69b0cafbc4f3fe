"""The queue on a write-ahead log: a sink for whoever receives, a queue for the writer.

A batch is encoded before it takes its numbers: what cannot be encoded takes none. From then on its numbers are either
durable or a skipped range (`group_commit.py`), so that the watermark reaches the last one that was given out. What
the log means byte by byte is in `wal_segment.py`, reading it at start in `recovery.py`, what is waiting in
`backlog.py`, what outlives the segments in `state.py`.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from logriver import clock, metrics
from logriver.errors import KeyReused, LogriverError, Overloaded, Unavailable
from logriver.file_position import Committed
from logriver.queue.backlog import Backlog
from logriver.queue.base import ClaimedBatch, DeadLetter
from logriver.queue.damage import Damages, unreadable
from logriver.queue.dead_letters import DeadLetters
from logriver.queue.group_commit import Entry, Group, GroupCommit
from logriver.queue.ledger import Ledger
from logriver.queue.record_header import RecordHeader, RefusedLine, position_forms
from logriver.queue.recovery import StoredIn, recover
from logriver.queue.state import KEY_LIFE_NS, KnownKey, SkippedRange, Snapshot, State
from logriver.queue.wal_segment import encode_apart, encode_record
from logriver.record import MAX_SEQ, Batch, Known, Receipt
from logriver.threads import Owner, SupervisedThread

_SNAPSHOT_SECONDS = 5.0
_TICK_SECONDS = 0.5
_STOP_SECONDS = 10.0
_FORESEEN = (LogriverError, OSError, sqlite3.Error)

log = logging.getLogger(__name__)


class Wal:
    """See the module. `put` and `known` are called on one event loop, the rest on any thread.

    One lock guards what is remembered; the writing thread's own is in `GroupCommit`.
    """

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

        `check_disk` is asked before each batch and raises `Overloaded` or `Unavailable` while there is no space.
        """
        directory.mkdir(exist_ok=True)
        self._state = state
        self._max_backlog_bytes = max_backlog_bytes
        self._check_disk = check_disk
        self.damage = Damages(state, directory)
        found = recover(directory, state, self.damage, stored_seq, stored_in)
        self.torn = found.problems
        """What was being written when the process ended before."""
        self.recovered_seq = found.last_seq
        """The highest number that was given out before this start."""
        self.backlog = Backlog(found.watermark, found.last_seq)
        self.dead_letters = DeadLetters(state)
        self._ledger = Ledger.of(state.known())
        self._keys, self._keys_being_saved = dict[bytes, KnownKey](), dict[bytes, KnownKey]()
        self._skipped: list[SkippedRange] = []
        self._lock = threading.Lock()
        self._next_seq = found.last_seq + 1
        self._durable_seq = found.last_seq
        self._last_received_ns = 0
        work = threading.Condition(self._lock)
        self._commit = GroupCommit(directory, state, found.next_segment(node), segment_bytes, work, self)
        self._commit.finished += found.segments
        for header in found.headers:
            self._remember(header)
        for skipped_range in found.skipped_ranges:
            self._record_skipped(skipped_range)
        self.backlog.add(found.extents)
        self._attempts: dict[bytes, asyncio.Task[Receipt]] = {}
        self._closing = False
        self._putting = Owner("putting into the queue")
        self._unreadable = ""
        self._saved_at, self._is_saved = clock.monotonic(), True
        self._keeping = SupervisedThread(
            "queue-snapshot", "the queue cannot make its snapshot", last_backoff_seconds=5.0, foreseen=_FORESEEN
        )

    @property
    def watermark(self) -> int:
        """The watermark: searches read up to it."""
        return self.backlog.watermark

    @property
    def waiting(self) -> int:
        """Numbers that are durable and not yet below the watermark."""
        return max(0, self._durable_seq - self.backlog.watermark)

    def stalled_seconds(self) -> tuple[float, float]:
        """For how long nothing was claimed and the watermark has not moved, and only the latter; else zeros."""
        return self.backlog.stalled_seconds()

    @property
    def problems(self) -> list[str]:
        """What keeps records from being written, read back or forgotten now."""
        unreadable = [self._unreadable] if self._unreadable else []
        return [*self._commit.problems, *unreadable, *self._keeping.problems]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write. Answers are given on `loop`."""
        self._commit.start(loop)
        self._keeping.start(self._keep, after_seconds=_TICK_SECONDS)

    # The sink.

    def put(self, batch: Batch) -> Awaitable[Receipt]:
        """See `Sink.put`. On the event loop; never raises but when awaited."""
        self._putting.check()
        if batch.key is not None:
            return self._once(batch.key.scope, batch)
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        try:
            self._append(batch, answer)
        except Exception as error:  # noqa: BLE001  (given to who awaits)
            answer.set_exception(error)
        return answer

    async def known(self, follower: str) -> Known:
        """See `Sink.known`."""
        with self._lock:
            return self._ledger.known(follower)

    def sources(self) -> list[Committed]:
        """The ledger, for showing it."""
        with self._lock:
            return self._ledger.entries()

    async def wait_searchable(self, seq: int, timeout_seconds: float) -> bool:
        """See `Sink.wait_searchable`."""
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def listen(watermark: int) -> None:
            if watermark >= seq:
                loop.call_soon_threadsafe(reached.set)

        with self.backlog.listening(listen):
            if self.watermark >= seq:
                return True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reached.wait(), timeout_seconds)
        return self.watermark >= seq

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
            answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            self._append(batch, answer)
            return await answer
        if batch.key is not None and known.content != batch.key.content:
            raise KeyReused("this idempotency key came before with other content", hint="use a new key for a new body")
        metrics.duplicate_batches.inc()
        # Which numbers the first one took is not remembered; none is above this.
        return Receipt(known.accepted, known.rejected, self._durable_seq, duplicate=True)

    def _append(self, batch: Batch, answer: "asyncio.Future[Receipt]") -> None:
        """Encode a batch, then give it its numbers and the writing thread. Whatever is raised, it took no number."""
        with self._lock:
            self._check_space()
            if self._commit.begins_a_turn:
                # One time for what comes in one turn of the event loop, never earlier than the one before.
                self._last_received_ns = max(self._last_received_ns, clock.now_ns())
            entry = self._entry(batch, answer)
            next_seq = entry.header.last_seq + 1
            if next_seq > MAX_SEQ:
                raise Unavailable("the numbers of this node are used up")
            self._commit.add(entry)
            if entry.position is not None:
                try:
                    self._ledger.begin(entry.position)
                except BaseException:
                    self._commit.take_back(entry)
                    raise
            self._next_seq = next_seq

    def _check_space(self) -> None:
        if self._closing:
            raise Unavailable("the server is stopping", retry_after_seconds=5)
        if self.backlog.bytes + self._commit.pending_bytes > self._max_backlog_bytes:
            metrics.turned_away.labels(reason="backlog").inc()
            raise Overloaded(
                f"{self.backlog.bytes} bytes are waiting to be stored", hint="send slower; nothing was kept"
            )
        self._check_disk()

    def _entry(self, batch: Batch, answer: "asyncio.Future[Receipt]") -> Entry:
        decoded = batch.decoded
        covered_range, covered_stream = position_forms(batch.position)
        header = RecordHeader(
            self._next_seq,
            decoded.count,
            len(batch.dead),
            len(decoded.rows),
            self._last_received_ns,
            batch.source,
            batch.key.scope if batch.key else b"",
            batch.key.content if batch.key else b"",
            batch.rejected,
            covered_range,
            batch.replays,
            covered_stream,
        )
        if batch.apart:
            buffers = encode_apart(header, decoded.rows)
        else:
            dead_letters = [RefusedLine(refused.reason, refused.raw) for refused in batch.dead]
            buffers = encode_record(header, decoded.rows, dead_letters)
        return Entry(batch, header, buffers, sum(map(len, buffers)), answer, batch.position)

    # What became of a group, told by the writing thread.

    @property
    def any_broken(self) -> bool:
        """See `Outcome.any_broken`."""
        return self._ledger.any_broken

    def continues(self, entry: Entry) -> bool:
        """See `Outcome.continues`."""
        return entry.position is None or self._ledger.continues(entry.position)

    def durable(self, group: Group) -> None:
        """See `Outcome.durable`."""
        with self._lock:
            for header in group.headers:
                self._remember(header)
            self._durable_seq = max(self._durable_seq, group.last_seq)
        self.backlog.add(group.extents)

    def failed(self, group: Group) -> None:
        """See `Outcome.failed`. Neither ranges nor keys of the group count, its numbers become a skipped range."""
        with self._lock:
            for entry in group.entries:
                if entry.position is not None:
                    self._ledger.failed(entry.position)
                    # If this is repeated, the same range may have begun again by then.
                    entry.position = None
            if group.last_seq >= group.first_seq:
                self._record_skipped(SkippedRange(group.first_seq, group.last_seq, group.failure))
            self._durable_seq = max(self._durable_seq, group.last_seq)

    def _remember(self, header: RecordHeader) -> None:
        if header.key_scope:
            known = KnownKey(header.key_content, header.rows, header.rejected, header.received_ns)
            self._keys[header.key_scope] = known
        if (position := header.position) is not None:
            self._ledger.apply(position, header.received_ns)
        if header.replays is not None:
            self.dead_letters.replayed(header.replays)

    def _record_skipped(self, skipped_range: SkippedRange) -> None:
        self._skipped.append(skipped_range)
        self.backlog.skip(skipped_range.first_seq, skipped_range.last_seq)

    # The queue.

    def poll(self, max_records: int, max_bytes: int, linger_seconds: float) -> ClaimedBatch | None:
        """See `Queue.take`."""
        extents = self.backlog.poll(max_records, max_bytes, linger_seconds)
        if not extents:
            return None
        try:
            claimed = self.backlog.read(extents)
            self._note_damage(claimed)
        except BaseException as error:
            self.backlog.give_back(extents)
            if isinstance(error, OSError):
                self._unreadable = (
                    f"log segment {extents[0].path.name} cannot be read: {error.strerror or type(error).__name__}"
                )
            raise
        self._unreadable = ""
        return claimed

    def _note_damage(self, claimed: ClaimedBatch) -> None:
        for name, first_seq, last_seq in claimed.damaged:
            self.damage.found([unreadable(name, first_seq, last_seq)])
            with self._lock:
                self._skipped.append(SkippedRange(first_seq, last_seq, "damaged in the log"))

    def ack(self, claimed: ClaimedBatch) -> None:
        """See `Queue.acknowledge`."""
        self.backlog.ack(claimed)

    def dead_letter(self, dead_letters: list[DeadLetter]) -> None:
        """See `Queue.dead_letter`."""
        self.dead_letters.dead_letter(dead_letters)
        metrics.dead_letters.inc(len(dead_letters))

    def dead_lettered(self, first_seq: int, last_seq: int) -> set[int]:
        """See `Queue.dead_lettered`."""
        return self.dead_letters.dead_lettered(first_seq, last_seq)

    # The keeping thread.

    def _keep(self) -> float:
        with self._lock:
            removable = any(last_seq <= self.watermark for _, last_seq in self._commit.finished)
        if (removable and self._is_saved) or clock.monotonic() - self._saved_at >= _SNAPSHOT_SECONDS:
            self._is_saved = False
            self._snapshot()
            self._saved_at, self._is_saved = clock.monotonic(), True
        return _TICK_SECONDS

    def _snapshot(self) -> bool:
        """Make a snapshot durable, then remove the segments that it covers.

        Whatever is raised, the segments stay and nothing is lost: the next snapshot takes it along.
        """
        changes = None
        try:
            with self._lock:
                # What a snapshot that failed has left is still there.
                keys = self._keys_being_saved | self._keys if self._keys_being_saved else self._keys
                self._keys, self._keys_being_saved = {}, keys
                skipped_ranges = self._skipped.copy()
                replays = self.dead_letters.replays()
                changes = self._ledger.changes(clock.now_ns())
                snapshot = Snapshot(
                    self.watermark,
                    self._next_seq - 1,
                    keys,
                    changes.files,
                    skipped_ranges,
                    changes.forgotten,
                    replays,
                    changes.streams,
                    changes.forgotten_streams,
                    self._durable_seq,
                )
                covered = [entry for entry in self._commit.finished if entry[1] <= snapshot.watermark]
                snapshot.segments_removed = max((int(path.stem) for path, _ in covered), default=0)
            self._state.save(snapshot, clock.now_ns())
            for path, _ in covered:
                self.damage.let_go(path)
        except BaseException:
            if changes is not None:
                with self._lock:
                    self._ledger.not_saved(changes)
            raise
        self.dead_letters.saved(replays, snapshot.watermark)
        with self._lock:
            self._keys_being_saved = {}
            del self._skipped[: len(skipped_ranges)]
            self._commit.finished[:] = [entry for entry in self._commit.finished if entry not in covered]
        return True

    def stop_receiving(self, timeout_seconds: float = _STOP_SECONDS) -> bool:
        """Refuse new batches and wait until those that were taken are durable. False if that takes longer."""
        with self._lock:
            self._closing = True
        stopped = self._commit.stop(timeout_seconds)
        self.backlog.close()
        return stopped

    def close(self, timeout_seconds: float = _STOP_SECONDS) -> bool:
        """Make a last snapshot; to be called when the writers have finished. False if a thread does not end."""
        if not self._keeping.stop(timeout_seconds) or not self._commit.stop(0.0):
            return False
        self._commit.close()
        self._snapshot()
        return True
