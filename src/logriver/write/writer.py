"""The writer: claimed batches from the queue become blocks in the store, verified, then acknowledged.

The numbers are the truth. The engine's own deduplication is not used: stopped at the wrong moment it answers OK to a
block that it does not have. So every block is counted by its numbers after the insert, and after any doubt (a restart,
an exception) the writer asks first which numbers are there and inserts only the others. Splitting and repeating are
therefore free. Only an error that says the data cannot be parsed is the data's fault; that row becomes a dead letter.
Any other is tried again for as long as it takes.
"""

import logging
import sqlite3
from dataclasses import dataclass, field
from functools import partial

from logriver import clock, metrics
from logriver.columns import ROW_FORMAT, TABLE
from logriver.errors import DataRefused, LogriverError, StoreError
from logriver.queue.base import ClaimedBatch, DeadLetter, Queue, RowRange
from logriver.store.base import Block, Store
from logriver.threads import SupervisedThread, beat
from logriver.write.partitions import Partitions

_FIRST_BACKOFF_SECONDS = 0.2
# An insert that has begun is waited for so long after the time is over.
_LAST_INSERT_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """What one thread has claimed and not acknowledged yet; `dead` are its dead letters.

    They are kept here too, because the dead letters on disk are bounded and the oldest go.
    """

    claimed: ClaimedBatch | None = None
    in_doubt: bool = False
    is_stored: bool = False
    dead: set[int] = field(default_factory=set)


class Writer:
    """Some threads that empty a queue into a store."""

    def __init__(
        self,
        queue: Queue,
        store: Store,
        node: str,
        partition_bytes: int,
        *,
        block_records: int,
        block_bytes: int,
        block_seconds: float,
        removed_partition: int = 0,
    ) -> None:
        """`removed_partition`: partitions up to this number were removed and are not used again."""
        self._queue = queue
        self._store = store
        self._node = node
        self._partitions = Partitions(store, partition_bytes, removed_partition)
        self._block = (block_records, block_bytes, block_seconds)
        self._loops: list[SupervisedThread] = []

    @property
    def problems(self) -> list[str]:
        """What keeps blocks from being stored now."""
        return sorted({problem for loop in self._loops for problem in loop.problems})

    def first_open_partition(self) -> int:
        """Nothing is inserted any more into partitions below this."""
        return self._partitions.first_open()

    def start(self, workers: int) -> None:
        """Begin to write, `workers` blocks at one time."""
        for number in range(workers):
            loop = SupervisedThread(
                f"writer-{number}",
                "blocks cannot be stored",
                first_backoff_seconds=_FIRST_BACKOFF_SECONDS,
                foreseen=(LogriverError, OSError, sqlite3.Error),
            )
            self._loops.append(loop)
            loop.start(partial(self._turn, _Work()))

    def join(self, timeout_seconds: float) -> bool:
        """Wait until the closed queue is empty; after the timeout leave the rest in the log. True if it is empty.

        It takes at most some seconds longer than the timeout: see `has_ended`.
        """
        deadline = clock.monotonic() + timeout_seconds
        emptied = all(loop.join(deadline - clock.monotonic()) for loop in self._loops)
        deadline = clock.monotonic() + _LAST_INSERT_SECONDS
        for loop in self._loops:
            loop.stop(deadline - clock.monotonic())
        return emptied

    @property
    def has_ended(self) -> bool:
        """Whether every thread has ended: one whose insert never returns has not."""
        return all(loop.join(0.0) for loop in self._loops)

    def _turn(self, work: _Work) -> float | None:
        """Store and acknowledge one batch, and let go of it before the next is waited for. None at the end.

        Whatever is raised, `work` keeps the batch: it stays in the log and is stored by a later turn.
        """
        if work.claimed is None:
            claimed = self._queue.poll(*self._block)
            if claimed is None:
                return None
            work.dead, work.in_doubt, work.is_stored, work.claimed = set(), claimed.in_doubt, False, claimed
        try:
            if not work.is_stored:
                self._store_claimed(work.claimed, work)
            work.is_stored = True
        except BaseException as error:
            work.in_doubt = True
            code = error.engine_code if isinstance(error, StoreError) else 0
            metrics.insert_failures.labels(code=str(code)).inc()
            raise
        self._queue.ack(work.claimed)
        work.claimed = None
        return 0.0

    def _store_claimed(self, claimed: ClaimedBatch, work: _Work) -> None:
        if claimed.dead_letters:
            self._queue.dead_letter(claimed.dead_letters)
        if work.in_doubt:
            work.dead |= self._queue.dead_lettered(claimed.first_seq, claimed.last_seq)
        for row_range in claimed.row_ranges:
            self._store_range(row_range, work.in_doubt, work.dead)
            beat()

    def _store_range(self, row_range: RowRange, in_doubt: bool, dead: set[int]) -> None:
        """Insert what is missing of a range and verify it; `dead` are the numbers of dead letters, more are added."""
        started = clock.monotonic()
        waiting = self._missing(row_range, dead) if in_doubt else [row_range]
        while waiting:
            part = waiting.pop(0)
            try:
                with self._partitions.use(len(part.rows)) as partition:
                    self._store.insert(Block(part.rows, part.first_seq, part.count, partition))
            except DataRefused as error:
                dead.add(self._dead_letter(part, error))
                waiting = self._missing(part, dead) + waiting
        last_seq = row_range.first_seq + row_range.count - 1
        expected = row_range.count - sum(row_range.first_seq <= seq <= last_seq for seq in dead)
        found = self._count(row_range)
        if found != expected:
            raise StoreError(f"{found} of {expected} records from number {row_range.first_seq} on arrived in the store")
        metrics.block_seconds.observe(clock.monotonic() - started)
        metrics.blocks.inc()
        metrics.stored.inc(found)

    def _dead_letter(self, row_range: RowRange, error: DataRefused) -> int:
        """Make the refused row a dead letter; its number."""
        raw = row_range.rows.split(b"\n")[error.row]
        seq = row_range.first_seq + error.row
        fields = {"seq": seq, "reason": error.message, "engine_code": error.engine_code, "detail": error.detail}
        log.error("record cannot be stored", extra={"fields": fields})
        self._queue.dead_letter(
            [DeadLetter(seq, f"the engine refused it: {error.message}", raw, "", clock.now_ns(), ROW_FORMAT)]
        )
        return seq

    def _count(self, row_range: RowRange) -> int:
        answer = self._store.query(f"SELECT count() FROM {TABLE} WHERE {self._range_condition(row_range)}")
        return int(str(answer.rows[0][0]))

    def _missing(self, row_range: RowRange, dead: set[int]) -> list[RowRange]:
        """The parts of a range that are neither stored nor `dead`."""
        answer = self._store.query(f"SELECT _seq FROM {TABLE} WHERE {self._range_condition(row_range)}")
        stored = {int(str(seq)) for (seq,) in answer.rows} | dead
        if not stored:
            return [row_range]
        lines = row_range.rows.split(b"\n")
        parts: list[RowRange] = []
        first = 0
        for index in range(row_range.count + 1):
            if index == row_range.count or row_range.first_seq + index in stored:
                if index > first:
                    rows = b"\n".join([*lines[first:index], b""])
                    parts.append(RowRange(row_range.first_seq + first, index - first, rows))
                first = index + 1
        return parts

    def _range_condition(self, row_range: RowRange) -> str:
        last_seq = row_range.first_seq + row_range.count - 1
        return f"_seq BETWEEN {row_range.first_seq} AND {last_seq} AND _node = '{self._node}'"
